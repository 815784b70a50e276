"""How the layers of a model are dealt to the stages of its pipeline."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clustersim.scenario.findings import Finding, raise_if_any

_FORMS = ("layers", "layout")
_COUNTS = ("embedding_counts", "loss_counts")
_ENDS = ("first", "last")
_REPEAT = re.compile(r"\(([^()]*)\)\*(\d{1,5})|([^()*])\*(\d{1,5})")
_MOST_LETTERS = 200_000
_LETTERS = "Etmv L|,".replace(" ", "")

Count = Annotated[int, Field(strict=True, ge=0, le=100_000)]


class Split(BaseModel):
    """Layers of each stage, in one of four forms; without any, every stage has as many.

    Examples
    --------
    >>> Split(first=3, last=3).layers_by_stage(14, 4)
    (3, 4, 4, 3)
    >>> Split(layout="Et|(tt|)*2,tL").layers_by_stage(6, 4)
    (1, 2, 2, 1)
    >>> Split(embedding_counts=True, loss_counts=True).layers_by_stage(6, 4)
    (1, 2, 2, 1)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    layers: tuple[Count, ...] | None = Field(
        None, min_length=1, max_length=65_536, description="Layers of each global stage, in order."
    )
    layout: str | None = Field(
        None,
        min_length=1,
        max_length=10_000,
        description="Megatron-LM's layout: stages between bars, E embedding, t layer, m MTP module, L loss; (tt|)*6.",
    )
    first: Count | None = Field(None, description="Layers of the first stage; the others share the rest evenly.")
    last: Count | None = Field(None, description="Layers of the last stage; the others share the rest evenly.")
    embedding_counts: bool = Field(False, strict=True, description="Whether the embedding counts as a layer.")
    loss_counts: bool = Field(False, strict=True, description="Whether the output layer and the loss count as one.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        raise_if_any(self._findings())
        return self

    def _findings(self) -> Iterator[Finding]:
        given = [form for form in _FORMS if getattr(self, form) is not None]
        given += ["first or last"] if self.first is not None or self.last is not None else []
        given += ["embedding_counts or loss_counts"] if self.embedding_counts or self.loss_counts else []
        if len(given) > 1:
            yield Finding((), f"{' and '.join(given)}: two forms of a split", "keep one of them")
        if self.layout is not None:
            try:
                _stages_of(self.layout)
            except ValueError as error:
                yield Finding(("layout",), str(error))

    def layers_by_stage(self, num_layers: int, num_stages: int) -> tuple[int, ...]:
        """Return the layers of each stage.

        Raises
        ------
        ValueError
            They can't be dealt so; the message says what would.
        """
        if self.layers is not None or self.layout is not None:
            counts = self.layers if self.layers is not None else _stages_of(self.layout or "")
            if len(counts) != num_stages:
                raise ValueError(f"{len(counts)} stages; pp * vpp = {num_stages} are needed")
            if sum(counts) != num_layers:
                raise ValueError(f"{sum(counts)} layers in all; the model has {num_layers}")
            return counts
        if self.embedding_counts or self.loss_counts:
            extra = self.embedding_counts + self.loss_counts
            even = list(_even(num_layers + extra, num_stages, f"{num_layers} layers and {extra} that count as one"))
            even[0] -= self.embedding_counts
            even[-1] -= self.loss_counts
            return tuple(even)
        ends = [(0, self.first), (num_stages - 1, self.last)]
        fixed = {stage: count for stage, count in ends if count is not None}
        left = num_layers - sum(fixed.values())
        if left < 0:
            raise ValueError(f"{sum(fixed.values())} layers at the ends; the model has {num_layers}")
        others = iter(_even(left, num_stages - len(fixed), f"{left} layers")) if num_stages > len(fixed) else iter(())
        if num_stages <= len(fixed) and left:
            raise ValueError(f"{left} layers are left over")
        return tuple(fixed[stage] if stage in fixed else next(others) for stage in range(num_stages))


def _even(num_layers: int, num_stages: int, what: str) -> tuple[int, ...]:
    if num_layers % num_stages:
        raise ValueError(f"{what} can't be dealt evenly to {num_stages} stages")
    return (num_layers // num_stages,) * num_stages


def _stages_of(layout: str) -> tuple[int, ...]:
    """Return the layers of each stage of Megatron-LM's layout string."""
    text = layout
    while match := _REPEAT.search(text):
        body, times = (match[1], match[2]) if match[2] else (match[3], match[4])
        text = text[: match.start()] + body * int(times) + text[match.end() :]
        if len(text) > _MOST_LETTERS:
            raise ValueError(f"more than {_MOST_LETTERS} letters when written out")
    strange = sorted(set(text) - set(_LETTERS))
    if strange:
        raise ValueError(f"got {strange[0]!r}; a layout has E, t, m, L, bars, and repeats such as (tt|)*6")
    stages = text.replace(",", "").split("|")
    if stages and not stages[-1] and len(stages) > 1:
        stages = stages[:-1]  # a bar at the end closes the last stage
    if any("E" in stage for stage in stages[1:]) or any("L" in stage for stage in stages[:-1]):
        raise ValueError("the embedding (E) is on the first stage and the loss (L) on the last")
    return tuple(stage.count("t") for stage in stages)
