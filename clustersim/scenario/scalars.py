"""Plain scalars as YAML 1.2's core schema reads them.

PyYAML reads YAML 1.1, in which ``no`` is false, ``010`` is 8, ``12:30`` is 750 and ``1e-6`` is text.

References
----------
YAML 1.2.2, section 10.3.2, Tag Resolution.
"""

from __future__ import annotations

import math
import re

from clustersim.scenario.node import Scalar

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 100


def resolve_scalar(text: str) -> Scalar:
    """Return the value of a plain (unquoted) scalar.

    Raises
    ------
    ValueError
        A number that is infinite, not a number, or absurdly long.

    Examples
    --------
    >>> [resolve_scalar(text) for text in ("010", "0o10", "0x1F", "5e9", "no", "12:30", "~", "10 ms")]
    [10, 8, 31, 5000000000.0, 'no', '12:30', None, '10 ms']
    """
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number")
    if _INT.fullmatch(text):
        return int(short(text), 10)
    if _OCTAL.fullmatch(text):
        return int(short(text)[2:], 8)
    if _HEX.fullmatch(text):
        return int(short(text)[2:], 16)
    if _FLOAT.fullmatch(text):
        return finite(text)
    return text


def finite(text: str) -> float:
    """Return the number that `text` writes; ValueError if it is beyond what a double holds."""
    number = float(short(text))
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def short(text: str) -> str:
    """Return `text`, or raise ValueError for a number of more digits than any quantity has."""
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters is too long")
    return text
