"""Which sweep a store belongs to: all that decides its points and what they give, and what differs between two."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clustersim.scenario.show import resolved_mapping
from clustersim.scenario.spec import Scenario
from clustersim.scenario.sweep import Sweep

Identity = dict[str, Any]
"""A JSON document: version, resolved scenario, files that it names, the sweep, its points' number and digest."""

_MOST_SHOWN = 60


def identity_of(scenario: Scenario, sweep: Sweep, points: Sequence[Mapping[str, Any]]) -> Identity:
    """Return the identity of a sweep over a scenario that has no sweep of its own any more."""
    origin = scenario.loaded_from
    values = [value for written in sweep.axes.values() if isinstance(written, tuple) for value in written]
    resolved = resolved_mapping(scenario)
    written_sweep = {
        "axes": sweep.axes,
        "linked": sweep.linked,
        "where": sweep.where,
        "samples": sweep.samples,
    }
    document = {
        "clustersim": version("clustersim"),
        "scenario": resolved,
        "files": _files([values, resolved], origin.folder if origin else Path())
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


def _files(value: Any, folder: Path) -> dict[str, str]:
    """Return the digests of the files that texts in a value name, from the scenario's folder on."""
    found = {}
    for text in sorted(set(_texts(value))):
        path = folder / text
        try:
            if path.is_file():
                found[text] = hashlib.sha256(path.read_bytes()).hexdigest()
        except (OSError, ValueError):
            continue  # no path at all, or one that nobody may read: then no run reads it either
    return found


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
