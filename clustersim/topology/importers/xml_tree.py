"""XML elements with their positions; document types are refused where they begin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from clustersim.errors import Fault, Position, TopologyError

MAX_DEPTH = 64
_LONGEST_SHOWN = 200
_BEFORE_DOCTYPE = re.compile(r"(?:\s|<!--.*?-->|<\?.*?\?>)*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Element:
    """An element: its name, attributes, children, the text in it, and where it begins."""

    tag: str
    attributes: Mapping[str, str]
    position: Position
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text in the element itself, without white space around it."""
        return "".join(self.texts).strip()

    def all(self, *tags: str) -> Iterator[Element]:
        """Yield the children of these names."""
        return (child for child in self.children if child.tag in tags)

    def fault(self, what: str, hint: str = "") -> Fault:
        """Return a fault that stands here."""
        return Fault("", f"<{self.tag}>: {what}", self.position, hint)


def read_xml(file: str, text: str) -> Element:
    """Return the root element of a document.

    Raises
    ------
    TopologyError
        No XML, a document type (it may define entities that blow up or reach for other files), or deep nesting.

    Examples
    --------
    >>> read_xml("a.xml", "<system><cpu/></system>").children[0].position.column
    9
    """
    lines = text.split("\n")  # as expat counts them
    parser = expat.ParserCreate()
    top = Element("", {}, Position(file, 1, 1))
    stack = [top]

    def at(line: int, column_index: int) -> Position:
        shown = lines[line - 1].rstrip("\r") if line <= len(lines) else ""
        return Position(file, line, column_index + 1, shown if len(shown) <= _LONGEST_SHOWN else "")

    def here() -> Position:
        return at(parser.CurrentLineNumber, parser.CurrentColumnNumber)

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(stack) > MAX_DEPTH:
            raise TopologyError(Fault("", f"elements are nested deeper than {MAX_DEPTH} levels", here()))
        element = Element(tag, attributes, here())
        stack[-1].children.append(element)
        stack.append(element)

    def refuse(*_: object) -> NoReturn:
        before = text[: _BEFORE_DOCTYPE.match(text).end()].split("\n")  # type: ignore[union-attr]
        place = at(len(before), len(before[-1]))
        raise TopologyError(Fault("", "document types are not allowed", place, "remove <!DOCTYPE ...>"))

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _tag: stack.pop()
    parser.CharacterDataHandler = lambda written: stack[-1].texts.append(written)
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        what = f"not XML: {expat.ErrorString(error.code)}"
        raise TopologyError(Fault("", what, at(error.lineno, error.offset))) from None
    return top.children[0]
