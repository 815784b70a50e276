"""The attributes that nodes and edges of a graph file may have: what they are called, and what their values mean.

Tools write attributes of their own beside them (labels, colours, positions), which are passed over. Refused is what was
probably meant as one of ours: a name that is nearly right, and a quantity under another name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from clustersim.errors import nearest
from clustersim.scenario.devices import device_names
from clustersim.scenario.units import parse_bandwidth_bytes_per_s, parse_time_ps

_HOW_NEAR = 0.8  # so that "hosts" is taken for "host", but not "cost"

Attributes = Mapping[str, Callable[[Any], object]]
"""What each attribute's value means; ValueError says what is wrong with it."""


class Mistake(NamedTuple):
    """What is wrong with one attribute, and how to mend it."""

    attribute: str
    what: str
    hint: str = ""


def _kind(value: object) -> str:
    kind = _text(value, "a kind is text, such as gpu or switch")
    if kind != "gpu" and kind.strip().lower() in ("gpu", "gpus"):
        raise ValueError(f"got {value!r}; the kind of a GPU is 'gpu'")
    return kind


def _text(value: object, rule: str) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"got {value!r}; {rule}")
    return value


def _device(value: object) -> str:
    name = _text(value, "a device is named by text")
    hint = _hint_of_unknown_device(name)
    if hint:
        raise ValueError(f"'{name}' is not in the device catalogue; {hint}")
    return name


@lru_cache(maxsize=256)
def _hint_of_unknown_device(name: str) -> str:
    known = device_names()
    return "" if name in known else nearest(name, known) or f"allowed: {', '.join(known)}"


def _host(value: object) -> str:
    return str(value) if type(value) is int else _text(value, "a host is named by text or a whole number")


def _rail(value: object) -> int:
    if str(value).isdecimal() and len(str(value)) < 10:
        return int(str(value))
    raise ValueError(f"got {value!r}; a rail is a whole number from 0")


def _flag(value: object) -> bool:
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise ValueError(f"got {value!r}; it is true or false")


def _sharing(value: object) -> Literal["fair", "fifo"]:
    if value == "fair":
        return "fair"
    if value == "fifo":
        return "fifo"
    raise ValueError(f"got {value!r}; a link is shared 'fair' or 'fifo'")


NODE_ATTRIBUTES: Attributes = {
    "kind": _kind,
    "device": _device,
    "host": _host,
    "rail": _rail,
    "reserved": _flag,
}
EDGE_ATTRIBUTES: Attributes = {
    "bandwidth": parse_bandwidth_bytes_per_s,
    "latency": parse_time_ps,
    "overhead": parse_time_ps,
    "sharing": _sharing,
}
# The attributes whose units no other quantity has; each may be meant by a quantity under a name that is not known.
_BY_UNIT = ("bandwidth", "latency")


def read_attributes(given: Mapping[str, object], known: Attributes) -> tuple[dict[str, Any], list[Mistake]]:
    """Return the values of the `known` attributes, and what is wrong with any of the `given` ones; null is absent.

    Examples
    --------
    >>> read_attributes({"latency": "2 us", "label": "east"}, EDGE_ATTRIBUTES)
    ({'latency': 2000000}, [])
    >>> read_attributes({"bandwith": "400 Gbps"}, EDGE_ATTRIBUTES)[1][0].hint
    "did you mean 'bandwidth'?"
    """
    values: dict[str, Any] = {}
    mistakes = list(_mistaken_names(given, known))
    for name, parse in known.items():
        if given.get(name) is not None:
            try:
                values[name] = _parsed(parse, given[name])
            except ValueError as error:
                mistakes.append(Mistake(name, str(error)))
    return values, mistakes


def _parsed(parse: Callable[[Any], object], value: object) -> object:
    return _parsed_text(parse, value) if isinstance(value, str) else parse(value)


@lru_cache(maxsize=4096)
def _parsed_text(parse: Callable[[Any], object], text: str) -> object:
    """Return what `text` means; a graph says the same few bandwidths of very many edges."""
    return parse(text)


def _mistaken_names(given: Mapping[str, object], known: Attributes) -> Iterator[Mistake]:
    for name, value in given.items():
        if name in known:
            continue
        meant = _nearest(name, tuple(known)) or next(
            (other for other in _BY_UNIT if other in known and other not in given and _is(known[other], value)), ""
        )
        if meant:
            yield Mistake(name, "unknown attribute", f"did you mean '{meant}'?")


@lru_cache(maxsize=256)
def _nearest(name: str, known: tuple[str, ...]) -> str:
    return next(iter(get_close_matches(name.lower(), known, n=1, cutoff=_HOW_NEAR)), "")


def _is(parse: Callable[[Any], object], value: object) -> bool:
    """Return whether `value` is text that can be parsed so; a number has no unit and may be anything."""
    if not isinstance(value, str) or not value[:1].isdecimal():
        return False
    try:
        parse(value)
    except ValueError:
        return False
    return True
