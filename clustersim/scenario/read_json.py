"""JSON read with positions: no NaN, no duplicate keys, bounded depth and size."""

from __future__ import annotations

import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]

from clustersim.scenario.node import MAX_DEPTH, MAX_NODES, Entry, Node, Scalar
from clustersim.scenario.scalars import finite, short
from clustersim.scenario.text import Text

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[-+]?[A-Za-z]+")
_WORDS: dict[str, Scalar] = {"null": None, "true": True, "false": False}


def read_json(text: Text, max_values: int = MAX_NODES) -> Node:
    """Return the tree of a JSON document; ScenarioError says what is not JSON, or not allowed here."""
    return _Parser(text, max_values).document()


class _Parser:
    def __init__(self, text: Text, max_values: int) -> None:
        self.text, self.max_values = text, max_values
        self.offset = 0
        self.num_nodes = 0

    def document(self) -> Node:
        if self._next() == "":
            raise self.text.error(0, "the file is empty")
        node = self._value(1)
        if self._next() != "":
            raise self._unexpected("the end of the file")
        return node

    def _next(self) -> str:
        """Return the next character that is not white space, without passing it."""
        match = _SPACE.match(self.text.text, self.offset)
        self.offset = match.end() if match else self.offset
        return self.text.text[self.offset : self.offset + 1]

    def _pass(self, allowed: str, expected: str) -> str:
        """Return the next character and pass it; it must be one of `allowed`."""
        character = self._next()
        if not character or character not in allowed:
            raise self._unexpected(expected)
        self.offset += 1
        return character

    def _unexpected(self, expected: str) -> Exception:
        got = self.text.text[self.offset : self.offset + 1]
        return self.text.error(
            self.offset,
            f"not valid JSON: {expected} expected, got {got!r}"
            if got
            else f"not valid JSON: {expected} expected, got the end of the file",
        )

    def _value(self, depth: int) -> Node:
        start, character = self.offset, self._next()
        start = self.offset
        self.num_nodes += 1
        if depth > MAX_DEPTH:
            raise self.text.error(start, f"values are nested deeper than {MAX_DEPTH} levels")
        if self.num_nodes > self.max_values:
            raise self.text.error(start, f"more than {self.max_values:,} values")
        position = self.text.at_offset(start)
        if character == "{":
            return Node(self._entries(depth), position)
        if character == "[":
            return Node(self._items(depth), position)
        return Node(self._string() if character == '"' else self._number_or_word(), position)

    def _entries(self, depth: int) -> dict[str, Entry]:
        self.offset += 1
        entries: dict[str, Entry] = {}
        if self._next() == "}":
            self.offset += 1
            return entries
        while True:
            if self._next() != '"':
                raise self._unexpected("a key in double quotes")
            position = self.text.at_offset(self.offset)
            key = self._string()
            if key in entries:
                raise self.text.error(position, "the same key twice", key)
            self._pass(":", "':'")
            entries[key] = Entry(key, position, self._value(depth + 1))
            if self._pass(",}", "',' or '}'") == "}":
                return entries

    def _items(self, depth: int) -> tuple[Node, ...]:
        self.offset += 1
        items: list[Node] = []
        if self._next() == "]":
            self.offset += 1
            return ()
        while True:
            items.append(self._value(depth + 1))
            if self._pass(",]", "',' or ']'") == "]":
                return tuple(items)

    def _string(self) -> str:
        start = self.offset
        try:
            string, self.offset = scanstring(self.text.text, start + 1, True)
            string.encode()
        except JSONDecodeError as error:
            raise self.text.error(
                error.pos, f"not valid JSON: {error.msg[:1].lower()}{error.msg[1:].removesuffix(' at')}"
            ) from None
        except UnicodeEncodeError:
            raise self.text.error(start, "half of a surrogate pair; a document is plain text") from None
        return str(string)

    def _number_or_word(self) -> Scalar:
        word = _WORD.match(self.text.text, self.offset)
        if word:
            if word[0] not in _WORDS:
                raise self.text.error(
                    self.offset, f"not valid JSON: {word[0]} is no value", hint="put text in double quotes"
                )
            self.offset = word.end()
            return _WORDS[word[0]]
        number = _NUMBER.match(self.text.text, self.offset)
        if not number:
            raise self._unexpected("a value")
        start, self.offset = self.offset, number.end()
        try:
            return finite(number[0]) if number[2] or number[3] else int(short(number[0]))
        except ValueError as error:
            raise self.text.error(start, str(error)) from None
