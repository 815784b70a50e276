"""The text of a document: where its lines stand, and what no document may hold."""

from __future__ import annotations

import re
from bisect import bisect_right

from clustersim.errors import Fault, Position, ScenarioError

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_LONGEST_SHOWN = 200  # a longer source line says nothing to a reader, and may be the whole document


def decoded(name: str, data: bytes) -> str:
    """Return the text in a file that is UTF-8; ScenarioError says where it is not."""
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode().removeprefix("\ufeff")
        place = Position(name, before.count("\n") + 1, len(before) - before.rfind("\n"))
        what = f"not UTF-8 text: byte 0x{data[error.start]:02x}"
        raise ScenarioError(Fault("", what, place, "save the file as UTF-8")) from None


class Text:
    """A document's text under the name that messages give it."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text.removeprefix("\ufeff")
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(self.text))]
        control = _CONTROL.search(self.text)
        if control:
            raise self.error(control.start(), f"control character U+{ord(control[0]):04X}; a document is plain text")

    def at(self, line_index: int, column_index: int) -> Position:
        """Return the position of a line and column that count from 0."""
        return Position(self.name, line_index + 1, column_index + 1, self.line(line_index))

    def at_offset(self, offset: int) -> Position:
        """Return the position of the character at `offset`."""
        line_index = bisect_right(self._starts, offset) - 1
        return self.at(line_index, offset - self._starts[line_index])

    def line(self, line_index: int) -> str:
        """Return a line without its end, and nothing for one too long to show."""
        if not 0 <= line_index < len(self._starts):
            return ""
        start = self._starts[line_index]
        end = self._starts[line_index + 1] if line_index + 1 < len(self._starts) else len(self.text)
        if end - start > _LONGEST_SHOWN:
            return ""
        line = self.text[start:end].rstrip("\r\n\x85\u2028\u2029")
        return "".join(character if character.isprintable() else " " for character in line)

    def error(self, place: int | Position, what: str, where: str = "", hint: str = "") -> ScenarioError:
        """Return the error of one mistake at an offset or a position."""
        position = self.at_offset(place) if isinstance(place, int) else place
        return ScenarioError(Fault(where, what, position, hint))
