"""Mistakes that pydantic found, in our words and with the places where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from clustersim.errors import Fault, nearest
from clustersim.scenario.aliases import aliases_of
from clustersim.scenario.costs import PER_RANK, PER_STAGE
from clustersim.scenario.findings import ERROR_TYPE, Finding
from clustersim.scenario.keys import dotted_keys, model_at
from clustersim.scenario.node import Node, Path, child, dotted, locate, plain

_LATER = "is not available in this version"
_NOT_YET: dict[str, str] = {
    "noise": f"a reserved key; it {_LATER}",
    "faults": f"a reserved key; it {_LATER}",
    "schedule.limit": f"a memory limit for schedules {_LATER}",
}
_FORMS = {
    "schedule": "the name of a schedule, or a mapping of keys",
    "cluster.topology": "a name from the gallery, a path, or a mapping of keys",
    "profile": "the path of a CSV file, or a mapping of keys",
    "cluster.placement": "the name of a placement, or a mapping of keys",
}
_MISSING = {
    "version": "write `version: 1`",
    "cluster": "such as `cluster: {topology: dgx-h100}`",
    "batch": "such as `batch: {num_microbatches: 16}`",
    "schedule": "such as `schedule: 1f1b`; `clustersim plan` searches for the best of a model",
}
_UNKNOWN = "unknown key"
_MANY_KEYS = 16
_NO_MAPPING = ("model_type", "dict_type", "model_attributes_type")

_Context = Mapping[str, Any]
_WORDS: dict[str, Callable[[_Context, str], str]] = {
    "missing": lambda _context, _got: "missing key",
    "int_type": lambda _context, got: f"must be a whole number; got {got}",
    "float_type": lambda _context, got: f"must be a number; got {got}",
    "bool_type": lambda _context, got: f"must be true or false; got {got}",
    "string_type": lambda _context, got: f"must be text; got {got}",
    "tuple_type": lambda _context, got: f"must be a list; got {got}",
    "dict_type": lambda _context, got: f"must be a mapping of keys; got {got}",
    "model_type": lambda _context, got: f"must be a mapping of keys; got {got}",
    "model_attributes_type": lambda _context, got: f"must be a mapping of keys; got {got}",
    "literal_error": lambda context, got: f"got {got}; allowed: {_allowed(context['expected'])}",
    "greater_than_equal": lambda context, got: f"must be at least {context['ge']}; got {got}",
    "greater_than": lambda context, got: f"must be more than {context['gt']}; got {got}",
    "less_than_equal": lambda context, got: f"must be at most {context['le']}; got {got}",
    "finite_number": lambda _context, got: f"must be a finite number; got {got}",
    "too_short": lambda _context, _got: "must not be empty",
    "too_long": lambda context, _got: f"must have at most {context['max_length']} items",
    "string_too_short": lambda context, _got: f"must have at least {context['min_length']} characters",
    "string_too_long": lambda context, _got: f"must have at most {context['max_length']} characters",
    "value_error": lambda context, _got: str(context["error"]),
    "union_tag_invalid": lambda context, _got: f"got '{context['tag']}'; allowed: {_allowed(context['expected_tags'])}",
    "union_tag_not_found": lambda _context, _got: "missing key",
}
_TYPES = {type(None): "nothing (null)", str: "text", bool: "true or false", int: "a whole number", float: "a number"}


def faults_of(error: ValidationError, form: Any, root: Node) -> list[Fault]:
    """Return the faults of `error`, from validating the document `root`.

    Parameters
    ----------
    error
        What pydantic found.
    form
        Model of the document, or a union of models.
    root
        The document.
    """
    faults: list[Fault] = []
    for details in error.errors(include_url=False):
        path = _path(root, details["loc"])
        if details["type"] == "too_short" and _node_at(root, path).items:
            continue  # a list is short for pydantic because its items have mistakes, which are told
        if details["type"] == ERROR_TYPE:
            findings: tuple[Finding, ...] = details["ctx"]["findings"]
            faults += [fault_of(Finding((*path, *found.path), found.what, found.hint), root) for found in findings]
        elif details["type"] == "extra_forbidden":
            faults.append(_unknown_key(details["loc"], path, form, root))
        else:
            faults.append(_fault(details, path, root))
    meant = {_meant(fault) for fault in faults if fault.what == _UNKNOWN}
    return [fault for fault in faults if fault.what != _WORDS["missing"]({}, "") or fault.where not in meant]


def _meant(fault: Fault) -> str:
    """Return the key for which an unknown one is taken: it is misspelt, not missing."""
    name = fault.hint.split("'")[1] if fault.hint.startswith("did you mean") else ""
    parent, dot, _ = fault.where.rpartition(".")
    return f"{parent}{dot}{name}"


def fault_of(finding: Finding, root: Node) -> Fault:
    """Return the fault of `finding` in the document `root`."""
    place = locate(root, finding.path)
    return Fault(place.written, finding.what, place.nearest, finding.hint)


def with_positions(faults: Iterable[Fault], root: Node) -> tuple[Fault, ...]:
    """Return faults that were found once the document was read, those without a position at the key that they name."""
    places = ((fault, locate(root, tuple(fault.where.split(".")))) for fault in faults)
    return tuple(
        fault if fault.position else replace(fault, where=place.written, position=place.nearest)
        for fault, place in places
    )


def _path(root: Node, loc: tuple[str | int, ...]) -> Path:
    """Return where `loc` leads in the document: pydantic puts the name of a union's chosen member among the keys."""
    node: Node | None = root
    path: Path = ()
    for step in loc:
        entry = child(node, step) if node else None
        if entry is None and node and _is_member_name(node, step):
            continue
        node = entry.node if entry else None
        path = (*path, step)
    return path


def _is_member_name(node: Node, step: str | int) -> bool:
    fabric = node.entries.get("fabric")
    return step in (PER_RANK, PER_STAGE) or (fabric is not None and fabric.node.value == step)


def _fault(details: ErrorDetails, path: Path, root: Node) -> Fault:
    kind, context = details["type"], details.get("ctx", {})
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        path = (*path, "fabric")
    place = locate(root, path)
    got = _describe(plain(_node_at(root, path)))
    words = _WORDS.get(kind)
    if dotted(path) in _FORMS and kind in _NO_MAPPING:
        return Fault(place.written, f"must be {_FORMS[dotted(path)]}; got {got}", place.nearest)
    what = words(context, got) if words else f"{details['msg'][:1].lower()}{details['msg'][1:]}; got {got}"
    hint = _MISSING.get(dotted(path), "") if kind == "missing" else _hint(kind, context, _node_at(root, path))
    return Fault(place.written, what, place.nearest, hint)


def _hint(kind: str, context: _Context, node: Node) -> str:
    if kind in ("literal_error", "union_tag_invalid") and isinstance(node.value, str):
        expected = str(context.get("expected") or context.get("expected_tags"))
        return nearest(node.value, _allowed(expected).split(", "))
    if kind == "string_type" and type(node.value) in (int, float, bool):
        return "put text that looks like a number or a truth value in quotes"
    if kind == "int_type" and isinstance(node.value, str) and node.value.strip().isdecimal():
        return "remove the quotes"
    return ""


def _node_at(root: Node, path: Path) -> Node:
    node = root
    for step in path:
        entry = child(node, step)
        if entry is None:
            return Node(None)
        node = entry.node
    return node


def _unknown_key(loc: Path, path: Path, form: Any, root: Node) -> Fault:
    place = locate(root, path)
    if dotted(path) in _NOT_YET:
        return Fault(place.written, _NOT_YET[dotted(path)], place.key)
    parent = model_at(form, loc[:-1])
    allowed = list(parent.model_fields) if parent else []
    key = str(path[-1])
    hint = nearest(key, [*allowed, *aliases_of(path[:-1])])
    elsewhere = [known for known in dotted_keys(form) if known.split(".")[-1] == key]
    if not hint and elsewhere:
        hint = f"did you mean '{elsewhere[0]}'?"
    if allowed and len(allowed) <= _MANY_KEYS:
        hint = f"{hint} allowed: {', '.join(allowed)}".strip()
    return Fault(place.written, _UNKNOWN, place.key, hint)


def _allowed(expected: str) -> str:
    """Return pydantic's list of choices without its quotes and its 'or'."""
    return expected.replace(" or ", ", ").replace("'", "")


def _describe(value: object) -> str:
    """Return what a user wrote, in few words."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, tuple):
        return "a list"
    if value is None:
        return _TYPES[type(None)]
    if isinstance(value, bool):
        return str(value).lower()
    shown = repr(value) if isinstance(value, str | float) else str(value)
    shown = f"{shown[:60]}..." if len(shown) > 60 else shown
    return f"{shown} ({_TYPES[type(value)]})" if isinstance(value, str | float) else shown
