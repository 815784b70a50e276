"""Which sweep a store belongs to: all that decides its points and what they give, and what differs between two."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clustersim.errors import InputError
from clustersim.scenario.document import READERS, read_document
from clustersim.scenario.node import plain
from clustersim.scenario.show import resolved_mapping
from clustersim.scenario.spec import Scenario
from clustersim.scenario.sweep import Sweep

Identity = dict[str, Any]
"""A JSON document: version, resolved scenario, files that it names, the sweep, its points' number and digest."""

_MOST_SHOWN = 60
_LARGEST_DOCUMENT = 10**6  # bytes; larger ones hold tables, and name no files


def identity_of(scenario: Scenario, sweep: Sweep, points: Sequence[Mapping[str, Any]]) -> Identity:
    """Return the identity of a sweep over a scenario that has no sweep of its own any more."""
    origin = scenario.loaded_from
    folder = origin.folder if origin else Path()
    values = [value for written in sweep.axes.values() if isinstance(written, tuple) for value in written]
    resolved = _from_folder(resolved_mapping(scenario), folder)
    written_sweep = {
        "axes": sweep.axes,
        "linked": sweep.linked,
        "where": sweep.where,
        "samples": sweep.samples,
    }
    document = {
        "clustersim": version("clustersim"),
        "scenario": resolved,
        "files": _files([values, resolved], folder)
        | ({"schedule.csv": origin.order.sha256} if origin and origin.order else {}),
        "sweep": written_sweep,
        "points": {"number": len(points), "sha256": _sha256(points)},
    }
    identity: Identity = json.loads(canonical_json(document))
    return identity


def keys_of(identity: Identity, points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the key of each point: another one wherever something differs that its result may depend on."""
    base = _sha256({name: identity[name] for name in ("clustersim", "scenario", "files")})
    return [_sha256([base, values])[:32] for values in points]


def differences(old: Identity, new: Identity) -> list[str]:
    """Return what differs between two identities, a line each; nothing for the same sweep.

    Examples
    --------
    >>> differences({"scenario": {"steps": 1}}, {"scenario": {"steps": 2, "seed": 0}})
    ['steps is 1 there, 2 here', 'seed is nothing there, 0 here']
    """
    if old == new:
        return []
    were, are = dict(_leaves(old)), dict(_leaves(new))
    changed = [key for key in dict.fromkeys([*were, *are]) if were.get(key) != are.get(key)]
    # that the points are others follows from the rest, if anything else differs
    told = [key for key in changed if not key.startswith("points.")] or changed
    return [
        f"{key.removeprefix('scenario.')} is {_shown(were.get(key))} there, {_shown(are.get(key))} here" for key in told
    ]


def canonical_json(value: Any) -> str:
    """Return a value as the one JSON text of it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _sha256(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _from_folder(value: Any, folder: Path) -> Any:
    """Return a value whose absolute paths of files are those from a folder on: copies of it are then alike."""
    if isinstance(value, Mapping):
        return {key: _from_folder(item, folder) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_from_folder(item, folder) for item in value]
    if isinstance(value, str) and os.path.isabs(value) and _is_file(Path(value)):
        return _relative(Path(value), folder)
    return value


def _files(value: Any, folder: Path) -> dict[str, str]:
    """Return the digests of the files that texts in a value name, and of those that these name, by path from a folder.

    A file names others from its own folder on.
    """
    found: dict[str, str] = {}
    pending = [(text, folder) for text in _texts(value)]
    while pending:
        text, base = pending.pop()
        path = base / text
        if not _is_file(path) or (name := _relative(path, folder)) in found:
            continue
        data = path.read_bytes()
        found[name] = hashlib.sha256(data).hexdigest()
        if len(data) <= _LARGEST_DOCUMENT and path.suffix.lower() in READERS:
            pending += [(inner, path.parent) for inner in _texts_of_document(path)]
    return dict(sorted(found.items()))


def _texts_of_document(path: Path) -> Iterator[str]:
    try:
        yield from _texts(plain(read_document(path).root))
    except InputError:
        return  # what is wrong with it is told where it is read for a run


def _is_file(path: Path) -> bool:
    """Return whether a path is that of a file that can be read: else no run reads it either."""
    try:
        return path.is_file() and os.access(path, os.R_OK)
    except (OSError, ValueError):
        return False


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _leaves(value: Any, parent: str = "") -> Iterator[tuple[str, Any]]:
    is_axis = parent.startswith("sweep.axes.")  # told as a whole, as it is written
    if isinstance(value, dict) and value and not is_axis:
        for key, item in value.items():
            yield from _leaves(item, f"{parent}.{key}" if parent else key)
    else:
        yield parent, value


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = canonical_json(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
