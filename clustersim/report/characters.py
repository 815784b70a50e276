"""What reports are drawn with: characters for terminals that show Unicode, and for those that don't."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """What boxes are drawn with; a tee is called by the way its stem goes."""

    upper_left: str
    upper_right: str
    lower_left: str
    lower_right: str
    across: str
    upright: str
    down: str
    up: str
    right: str
    left: str
    cross: str


@dataclass(frozen=True, slots=True)
class Characters:
    """One set of drawing characters."""

    bar: str
    levels: str  # nothing to full, for curves and shades
    shades: str
    fill: str  # between the label of an op and its end
    tick: str
    dot: str  # between facts on one line
    times: str
    arrow: str
    gap: str  # where rows are left out
    ellipsis: str
    best: str
    box: Box


UNICODE = Characters(
    "█",
    " ▁▂▃▄▅▆▇█",
    " ░▒▓█",
    "─",
    "│",
    "·",
    "×",
    "→",
    "⋮",
    "…",
    "★",
    Box("┌", "┐", "└", "┘", "─", "│", "┬", "┴", "├", "┤", "┼"),
)
ASCII = Characters(
    "#",
    " .:-=+*#@",
    " .:+#",
    "-",
    "|",
    "|",
    "x",
    "->",
    ":",
    "...",
    "*",
    Box("+", "+", "+", "+", "-", "|", "+", "+", "+", "+", "+"),
)

_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def characters_for(ascii_only: bool) -> Characters:
    """Return the characters that the output can hold."""
    return ASCII if ascii_only else UNICODE


def one_line(text: str) -> str:
    """Return a user's text so that it can't disturb a report: control characters and bidi controls become ``?``.

    Examples
    --------
    >>> one_line("a\\x1b[31mred\\nb"), one_line("שלום 🚀")
    ('a?[31mred?b', 'שלום 🚀')
    """
    return "".join("?" if _disturbs(character) else character for character in text)


def _disturbs(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") or character in _BIDI_CONTROLS
