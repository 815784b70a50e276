"""What a scenario says of its sweep: axes, how they are combined, and which combinations are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

from clustersim.errors import nearest
from clustersim.scenario.aliases import canonical
from clustersim.scenario.condition import Condition, ConditionError, parse_condition
from clustersim.scenario.findings import Finding
from clustersim.scenario.keys import Model, axis_findings, dotted_keys, has_key
from clustersim.scenario.override import split_key
from clustersim.scenario.spread import DRAWN, MAX_VALUES, Spread, spread_of

MAX_SAMPLES = 1_000_000
SampleKind = Literal["random", "latin-hypercube"]


def _axis(value: Any) -> Any:
    """Return the values of an axis as they are written: a list, or the mapping of a spread, checked."""
    if isinstance(value, dict):
        spread_of(value)
        return value
    if not isinstance(value, list | tuple):
        raise ValueError(f"must be a list of values, or a mapping such as {{range: ...}}; got {value!r}")
    if not value:
        raise ValueError("must not be empty")
    if len(value) > MAX_VALUES:
        raise ValueError(f"must have at most {MAX_VALUES} items")
    return tuple(value)


def _samples(value: Any) -> Any:
    """Return a way to draw samples and their number."""
    kinds = ("random", "latin-hypercube")
    if not isinstance(value, dict) or len(value) != 1 or next(iter(value)) not in kinds:
        got = next(iter(value)) if isinstance(value, dict) and value else value
        raise ValueError(f"samples are written {{random: 100}} or {{latin-hypercube: 100}}; got {got!r}")
    number = next(iter(value.values()))
    if type(number) is not int or not 1 <= number <= MAX_SAMPLES:
        raise ValueError(f"the number of samples is a whole number from 1 to {MAX_SAMPLES}; got {number!r}")
    return value


_AXIS_SCHEMA = {
    "anyOf": [
        {"type": "array", "minItems": 1},
        {
            "type": "object",
            "description": "range, linspace or geomspace between two ends; uniform or loguniform with samples",
            "minProperties": 1,
            "maxProperties": 1,
        },
    ]
}

Axis = Annotated[Any, BeforeValidator(_axis), WithJsonSchema(_AXIS_SCHEMA)]
"""A tuple of values, or the mapping of a spread as it is written."""


class Sweep(BaseModel):
    """Values that are varied, and how: every combination is a simulation, if nothing else is said."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    axes: dict[str, Axis] = Field({}, description="Values of each dotted key: a list, or a spread between two ends.")
    linked: tuple[Annotated[tuple[str, ...], Field(min_length=2, strict=False)], ...] = Field(
        (), strict=False, description="Groups of axes that go together, each with as many values, not crossed."
    )
    where: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="Conditions over keys, such as parallelism.tp * parallelism.pp <= 64; all others are left out."
    )
    samples: Annotated[dict[SampleKind, int], BeforeValidator(_samples)] | None = Field(
        None, description="{random: N} or {latin-hypercube: N} points in place of every combination, by the seed."
    )

    @field_validator("where", mode="before")
    @classmethod
    def _one_or_more(cls, where: Any) -> Any:
        return (where,) if isinstance(where, str) else where

    def values_of(self, axis: str) -> tuple[Any, ...] | Spread:
        """Return the values of an axis, those of a short list too; a spread where they are drawn."""
        written = self.axes[axis]
        if isinstance(written, tuple):
            return written
        spread = spread_of(written)
        return spread if spread.kind in DRAWN else spread.values()

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Return the axes in their order, those that are linked as one group at the place of the first.

        Examples
        --------
        >>> sweep = Sweep(axes={"a": [1], "b": [1, 2], "c": [3, 4]}, linked=[["c", "b"]])
        >>> sweep.groups()
        (('a',), ('c', 'b'))
        """
        group_of = {axis: group for group in self.linked for axis in group}
        return tuple(dict.fromkeys(group_of.get(axis, (axis,)) for axis in self.axes))


def sweep_findings(model: Model, sweep: Sweep) -> Iterator[Finding]:
    """Yield what is wrong between the parts of a sweep of scenarios of that model."""
    yield from axis_findings(model, sweep.axes)
    yield from _linked_findings(sweep)
    for place, text in enumerate(sweep.where):
        yield from _condition_findings(model, text, ("sweep", "where", place))
    drawn = [axis for axis in sweep.axes if isinstance(sweep.values_of(axis), Spread)]
    if drawn and sweep.samples is None:
        what = "values are drawn from it, but nothing says how many"
        yield Finding(("sweep", "axes", drawn[0]), what, "add `samples: {random: 100}` to the sweep, or give a list")


def _linked_findings(sweep: Sweep) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for place, group in enumerate(sweep.linked):
        path = ("sweep", "linked", place)
        for axis in group:
            if axis not in sweep.axes:
                yield Finding(path, f"'{axis}' is no axis of the sweep", nearest(axis, list(sweep.axes)))
            elif axis in seen:
                yield Finding(path, f"'{axis}' is linked twice", "link all of them in one group")
            seen[axis] = place
        known = {axis: sweep.values_of(axis) for axis in group if axis in sweep.axes}
        sizes = {axis: len(values) for axis, values in known.items() if isinstance(values, tuple)}
        if len(set(sizes.values())) > 1:
            counts = ", ".join(f"{axis} {size}" for axis, size in sizes.items())
            yield Finding(path, f"linked axes have as many values as one another; got {counts}")


def _condition_findings(model: Model, text: str, path: tuple[str | int, ...]) -> Iterator[Finding]:
    try:
        condition = parse_condition(text)
    except ConditionError as error:
        yield Finding(path, f"column {error.offset + 1} of `{text}`: {error.what}")
        return
    for key, offset in condition.named_keys():
        if not has_key(model, canonical(split_key(key))):
            near = nearest(key, list(dict.fromkeys(dotted_keys(model)))) or f"a text has quotes: '{key}'"
            yield Finding(path, f"column {offset + 1} of `{text}`: '{key}' is no key of a scenario", near)


def conditions_of(sweep: Sweep) -> tuple[Condition, ...]:
    """Return the conditions of a sweep that was checked."""
    return tuple(map(parse_condition, sweep.where))
