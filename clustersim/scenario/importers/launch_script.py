"""Launch scripts read as text: the flags in them, with the variables that they use. Nothing is ever run.

The words are split as a shell does (`shlex`); a variable has the value that the script assigns to it, or the default in
``${NAME:-default}``. What only a shell could know (``$1``, ``$(...)``) is refused where a flag needs it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clustersim.errors import Fault, Position, ScenarioError
from clustersim.scenario.text import Text

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_@#*]+)(?::?-([^{}]*))?\}|([A-Za-z_][A-Za-z0-9_]*|[0-9@#*]))")
_FLAG = re.compile(r"--[A-Za-z][A-Za-z0-9_-]*")
_PLAIN = re.compile(r"[a-z][a-z0-9_]*")
_MOST_SUBSTITUTIONS = 20


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of a script."""

    name: str  # as written, dashes in front
    value: str | None  # as a shell would hand it on; None for a switch
    position: Position
    unknown: str = ""  # what in the value only a shell could know
    further: tuple[str, ...] = ()  # plain words after the value, of a flag that takes several


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    position: Position


def read_launch_script(file: str, text: str) -> tuple[Flag, ...]:
    """Return the flags in a script, in order.

    Raises
    ------
    ScenarioError
        Quotes that do not end.

    Examples
    --------
    >>> [(flag.name, flag.value) for flag in read_launch_script("run.sh", "L=96\\ntrain.py --num-layers ${L} --bf16")]
    [('--num-layers', '96'), ('--bf16', None)]
    """
    words = list(_words(Text(file, text)))
    variables: dict[str, str] = {}
    for word in words:
        assigned = _ASSIGNMENT.fullmatch(word.text)
        if assigned and not assigned[2].startswith("("):
            variables[assigned[1]] = assigned[2]
    return tuple(_flags(words, variables))


def _words(text: Text) -> Iterator[_Word]:
    """Yield the words of a script; what is quoted around flags (``ARGS="--a 1 --b 2"``) is split once more."""
    lexer = shlex.shlex(text.text, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, "#"
    offset = 0
    try:
        for token in lexer:
            inner = token.split() if _FLAG.search(token) else [token]
            for part in inner:
                # shlex does not tell where a word stands: it is the next one in the text that reads so
                found = text.text.find(part, offset)
                offset = offset if found < 0 else found
                yield _Word(part, text.at_offset(offset))
                offset += len(part) if found >= 0 else 0
    except ValueError as error:
        position = text.at_offset(min(offset, max(0, len(text.text) - 1)))
        raise ScenarioError(Fault("", f"can't be split into words as a shell does: {error}", position)) from None


def _flags(words: list[_Word], variables: dict[str, str]) -> Iterator[Flag]:
    for index, word in enumerate(words):
        text = re.sub(r"^[A-Za-z_][A-Za-z0-9_]*\+?=\(?(?=--)", "", word.text).lstrip("(")
        name, equals, value = text.rstrip(")").partition("=")
        if not _FLAG.fullmatch(name):
            continue
        if equals:
            yield Flag(name, *_resolved(value, word.position, variables))
            continue
        follower = words[index + 1].text if index + 1 < len(words) and not text.endswith(")") else ""
        # a negative number is a value, another flag is not
        is_value = follower not in ("", ")", "\\") and not follower.startswith("--") and not _ASSIGNMENT.match(follower)
        if is_value:
            resolved = _resolved(_value(follower), words[index + 1].position, variables)
            yield Flag(name, *resolved, tuple(_further(words[index + 2 :])))
        else:
            yield Flag(name, None, word.position)


def _further(words: Sequence[_Word]) -> Iterator[str]:
    """Yield the plain words that follow a flag's first value."""
    for word in words:
        if not _PLAIN.fullmatch(word.text):
            return
        yield word.text


def _value(word: str) -> str:
    """Return a word without the bracket that ends an array."""
    return word.removesuffix(")") if word.count(")") > word.count("(") else word


def _resolved(value: str, position: Position, variables: dict[str, str]) -> tuple[str, Position, str]:
    """Return a value with its variables replaced, its position, and what could not be."""
    unknown = ""
    for _ in range(_MOST_SUBSTITUTIONS):
        match = None if "$(" in value or "`" in value else _VARIABLE.search(value)
        if match is None:
            break
        name, default = match[1] or match[3], match[2]
        known = variables.get(name, default)
        if known is None or match[0] in known:
            # NAME=${NAME:-8} is a default, NAME=$NAME is none
            own = _VARIABLE.fullmatch(known or "")
            known = own[2] if own and own[2] is not None else default
        if known is None:
            unknown = match[0]
            break
        value = value[: match.start()] + known + value[match.end() :]
    unknown = unknown or (value if "$" in value or "`" in value else "")
    return value, position, unknown
