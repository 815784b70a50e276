"""What a key of a scenario is at a point of a sweep, without making the scenario of that point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clustersim.scenario.aliases import canonical
from clustersim.scenario.node import Path
from clustersim.scenario.override import split_key
from clustersim.scenario.show import resolved_mapping
from clustersim.scenario.spec import Scenario


class PointValues:
    """Looks keys up: what an axis has at the point, else what the scenario has, its defaults too."""

    def __init__(self, scenario: Scenario, axes: tuple[str, ...]) -> None:
        self.base = resolved_mapping(scenario)
        self.paths: dict[str, Path] = {axis: canonical(split_key(axis)) for axis in axes}
        self._place_by_key: dict[str, tuple[str | None, Path]] = {}

    def value(self, key: str, values: Mapping[str, Any]) -> Any:
        """Return the value under a dotted key at the point where axes have `values`.

        Raises
        ------
        KeyError
            There is none: nothing is given, and there is no default.
        """
        if key not in self._place_by_key:
            self._place_by_key[key] = self._place_of(key)
        axis, path = self._place_by_key[key]
        return _below(self.base if axis is None else values[axis], path)

    def _place_of(self, key: str) -> tuple[str | None, Path]:
        """Return the axis that has a key, None for the scenario, and where in its value."""
        path = canonical(split_key(key))
        for axis in reversed(self.paths):
            axis_path = self.paths[axis]
            if axis_path == path[: len(axis_path)]:
                return axis, path[len(axis_path) :]
        return None, path


def _below(value: Any, path: Path) -> Any:
    """Return what stands at `path` in a value; a name alone stands for a mapping that has it as its ``name``."""
    for step in path:
        if isinstance(value, str) and step == "name":
            continue
        value = value[str(step)] if isinstance(value, Mapping) else _item(value, step)
    return value["name"] if isinstance(value, Mapping) and "name" in value else value


def _item(value: Any, step: str | int) -> Any:
    if isinstance(value, list | tuple) and str(step).isdecimal() and int(str(step)) < len(value):
        return value[int(str(step))]
    raise KeyError(step)
