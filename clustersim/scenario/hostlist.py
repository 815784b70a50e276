"""Host lists as Slurm writes them: ``node[0-3,7]``, ``rack[1-2]n[01-16]``, ``a,b``; and ``node3-5`` for short.

References
----------
Slurm, ``man scontrol``, ``show hostlist`` and ``show hostnames``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

MAX_HOSTS = 1_000_000
_PIECE = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)
_SHORT = re.compile(r"(.*?)([0-9]{1,9}-[0-9]{1,9})", re.ASCII | re.DOTALL)


def expand_hostlist(text: str) -> tuple[str, ...]:
    """Return the names that a host list stands for, in its order; numbers keep their leading zeros.

    Raises
    ------
    ValueError
        No host list, or one of more than `MAX_HOSTS` names.

    Examples
    --------
    >>> expand_hostlist("login,node[08-10,12]")
    ('login', 'node08', 'node09', 'node10', 'node12')
    >>> expand_hostlist("r[0-1]n[0-1]")
    ('r0n0', 'r0n1', 'r1n0', 'r1n1')
    """
    names: list[str] = []
    for word in _words(text):
        pieces = [_numbers(text, inside) if inside is not None else (name,) for inside, name in _pieces(text, word)]
        count = len(names)
        for piece in pieces:
            count = max(count, 1) * len(piece)
        if count > MAX_HOSTS:
            raise ValueError(f"got {text!r}; a host list has at most {MAX_HOSTS} names")
        names += ("".join(parts) for parts in product(*pieces))
    return tuple(names)


def expand_hosts(text: str, is_host: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the names that a user means: a host's own name, a host list, or ``node3-5`` for ``node[3-5]``.

    Parameters
    ----------
    text
        What the user wrote.
    is_host
        Whether there is a host of that very name; such a name is never read as a list.

    Examples
    --------
    >>> expand_hosts("node3-5", lambda name: False), expand_hosts("rack-3-5", lambda name: name == "rack-3-5")
    (('node3', 'node4', 'node5'), ('rack-3-5',))
    """
    if is_host(text):
        return (text,)
    short = _SHORT.fullmatch(text)
    return expand_hostlist(f"{short[1]}[{short[2]}]" if short and "[" not in text and "," not in text else text)


def _words(text: str) -> Iterator[str]:
    """Yield the parts of a list between the commas outside of brackets."""
    depth, start = 0, 0
    for position, character in enumerate(f"{text},"):
        depth += (character == "[") - (character == "]")
        if character == "," and depth == 0:
            yield text[start:position].strip()
            start = position + 1
    if depth:
        raise ValueError(f"got {text!r}; a bracket is not closed")


def _pieces(text: str, word: str) -> Iterator[tuple[str | None, str]]:
    position = 0
    while match := _PIECE.match(word, position):
        yield match[1], match[2] or ""
        position = match.end()
    if position != len(word) or not word:
        raise ValueError(f"got {text!r}; a host list is written such as node[0-3,7],login")


def _numbers(text: str, inside: str) -> tuple[str, ...]:
    """Return the numbers of one pair of brackets as text of at least the first one's width."""
    numbers: list[str] = []
    for part in inside.split(","):
        match = _RANGE.fullmatch(part.strip())
        if not match:
            raise ValueError(f"got {text!r}; in brackets are numbers and ranges, such as [0-3,7]")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < first + MAX_HOSTS:
            raise ValueError(f"got {text!r}; {part.strip()} is no rising range of at most {MAX_HOSTS} numbers")
        numbers += (str(number).zfill(len(match[1])) for number in range(first, last + 1))
    return tuple(numbers)


def _as_tuple(value: object) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not given:
        raise ValueError("must be the name of a host, a host list such as node[0-3,7], or a list of these")
    for item in given:
        if not isinstance(item, str):
            raise ValueError(f"got {item!r}; a host is named by text")
        expand_hostlist(item)
    return tuple(given)


_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}

HostNames = Annotated[tuple[str, ...], BeforeValidator(_as_tuple), Field(max_length=MAX_HOSTS), WithJsonSchema(_SCHEMA)]
"""Hosts as a file names them: one text or a list of texts, not yet expanded."""
