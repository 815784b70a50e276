"""A profile: measured times of a model's parts, which take the place of derived ones.

Each row is one part of the model in one configuration: what it takes on one GPU, as its share of the part comes out
under that configuration, for one micro-batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clustersim.scenario.batch import Batch
from clustersim.scenario.devices import name_in_file
from clustersim.scenario.findings import Finding, raise_if_any
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.precision import PrecisionName
from clustersim.scenario.training import Training
from clustersim.scenario.units import TimePs

if TYPE_CHECKING:
    from clustersim.scenario.spec import ClusterSpec

PartName = Literal["dense-layer", "moe-layer", "embedding", "output", "optimizer"]
PARTS: tuple[PartName, ...] = ("dense-layer", "moe-layer", "embedding", "output", "optimizer")

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
_MAX_ROWS = 100_000
_MOST_SHOWN = 8
_HALVES = ("input_grad", "weight_grad")
_OF_MICROBATCHES = ("forward", "backward", *_HALVES, "recompute")
CONFIGURATION = ("device", "precision", "tp", "cp", "ep", "etp", "micro_batch_size", "seq_length")
"""Keys of a row that say for which configuration it is; one that a row leaves out is any."""

Count = Annotated[int, Field(ge=1, le=10**9)]


class ProfileRow(BaseModel):
    """What one part of a model takes in one configuration."""

    model_config = _STRICT

    part: PartName = Field(
        description="dense-layer: a transformer layer with an MLP; moe-layer: one with experts; embedding; output: "
        "final norm, logits and loss; optimizer: a rank's whole step."
    )
    device: str | None = Field(None, description="Accelerator on which it was measured; absent: any.")
    precision: PrecisionName | None = Field(None, description="training.precision; absent: any.")
    tp: Count | None = Field(None, description="parallelism.tp; absent: any.")
    cp: Count | None = Field(None, description="parallelism.cp; absent: any.")
    ep: Count | None = Field(None, description="parallelism.ep; absent: any.")
    etp: Count | None = Field(None, description="parallelism.etp; absent: any.")
    micro_batch_size: Count | None = Field(None, description="batch.micro_batch_size; absent: any.")
    seq_length: Count | None = Field(None, description="model.seq_length; absent: any.")
    forward: TimePs | None = Field(None, description="Forward of one micro-batch.")
    backward: TimePs | None = Field(
        None, description="Whole backward, for schedules that never part I from W; instead of the two below."
    )
    input_grad: TimePs | None = Field(None, description="Gradient of the input (I); together with weight_grad.")
    weight_grad: TimePs | None = Field(None, description="Gradient of the weights (W); together with input_grad.")
    recompute: TimePs | None = Field(
        None, description="What is run again before the backward; absent: `forward` if recomputation is full."
    )
    optimizer_step: TimePs | None = Field(None, description="Optimizer step of a rank, all its stages together.")
    includes: tuple[Literal["tp", "cp", "ep", "etp"], ...] = Field(
        (), description="Axes whose exchanges are in the times, and are not simulated beside them."
    )
    line: int | None = Field(None, description="Line of the file in which the row stands.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        raise_if_any(self._findings())
        return self

    @property
    def configuration(self) -> dict[str, int | str]:
        """What the row says of its configuration."""
        given = {key: getattr(self, key) for key in CONFIGURATION}
        return {key: value for key, value in given.items() if value is not None}

    @property
    def has_split_backward(self) -> bool:
        """Whether I and W are known apart, where there are any."""
        return self.backward is None

    def fits(self, asked: Configuration) -> bool:
        """Return whether the row is for the configuration `asked`."""
        return all(getattr(asked, key) == value for key, value in self.configuration.items())

    def _findings(self) -> Iterator[Finding]:
        is_update = self.part == "optimizer"
        for key in _OF_MICROBATCHES if is_update else ("optimizer_step",):
            if getattr(self, key) is not None:
                yield Finding((key,), f"means nothing to {self.part}", "leave it empty")
        needed = "optimizer_step" if is_update else "forward"
        if getattr(self, needed) is None:
            yield Finding((needed,), f"missing: {self.part} has it")
        if not is_update:
            yield from self._backward_findings()

    def _backward_findings(self) -> Iterator[Finding]:
        absent = [key for key in _HALVES if getattr(self, key) is None]
        if self.backward is not None and len(absent) < 2:
            yield Finding(("backward",), "given beside its halves; it is either the one or the other two")
        elif self.backward is None and len(absent) == 2:
            yield Finding(("backward",), "missing", "give `backward`, or both `input_grad` and `weight_grad`")
        elif self.backward is None and absent:
            yield Finding((absent[0],), "missing beside the other half", "give both, or `backward` alone")


class Profile(BaseModel):
    """Measured times of a model's parts."""

    model_config = _STRICT

    file: str = Field("", description="File that the rows were read from.")
    sha256: str = Field("", description="Hash of that file's bytes.")
    rows: tuple[ProfileRow, ...] = Field(
        min_length=1, max_length=_MAX_ROWS, description="What each part takes, in one or more configurations."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        raise_if_any(self._findings())
        return self

    def _findings(self) -> Iterator[Finding]:
        first: dict[tuple[object, ...], str] = {}
        for index, row in enumerate(self.rows):
            key = (row.part, *row.configuration.items())
            if key in first:
                yield Finding(("rows", index, "part"), f"{row.part} as in {first[key]}, for the same configuration")
            first.setdefault(key, self._place(index))

    def row_of(self, part: PartName, asked: Configuration) -> ProfileRow | None:
        """Return the row of `part` for a configuration; None if the profile has none of that part at all.

        Raises
        ------
        ValueError
            It has rows of that part, but none for the configuration, or several.
        """
        rows = [index for index, row in enumerate(self.rows) if row.part == part]
        fitting = [index for index in rows if self.rows[index].fits(asked)]
        if not rows:
            return None
        if len(fitting) == 1:
            return self.rows[fitting[0]]
        told = {key for index in rows for key in self.rows[index].configuration}
        wanted = _text({key: getattr(asked, key) for key in CONFIGURATION if key in told})
        if fitting:
            places = " and ".join(map(self._place, fitting))
            raise ValueError(f"{places} of {part} are all for {wanted}; one is needed")
        shown = [f"{_text(self.rows[index].configuration)} ({self._place(index)})" for index in rows[:_MOST_SHOWN]]
        more = f"; and {len(rows) - len(shown)} more" if len(rows) > len(shown) else ""
        raise ValueError(f"no row of {part} is for {wanted}; there are {'; '.join(shown)}{more}")

    def _place(self, index: int) -> str:
        line = self.rows[index].line
        return f"rows.{index}" if line is None else f"line {line}"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What rows of a profile are chosen by."""

    device: str | None
    precision: str
    tp: int
    cp: int
    ep: int
    etp: int
    micro_batch_size: int
    seq_length: int


def configuration_of(
    model: ModelSpec,
    cluster: ClusterSpec,
    parallelism: Parallelism,
    batch: Batch,
    training: Training,
    device: str | None = None,
) -> Configuration:
    """Return what rows are chosen by in a scenario of these sections; `device` is a GPU's, absent: the topology's."""
    usual = cluster.topology.device
    return Configuration(
        device or (usual and name_in_file(usual)),
        training.precision,
        parallelism.tp,
        parallelism.cp,
        parallelism.ep,
        parallelism.expert_tp,
        batch.micro_batch_size,
        model.seq_length,
    )


def parts_in(model: ModelSpec) -> tuple[PartName, ...]:
    """Return the parts that a step of `model` has.

    Examples
    --------
    >>> gpt = ModelSpec(num_layers=2, hidden_size=64, num_attention_heads=4, vocab_size=100, seq_length=32)
    >>> parts_in(gpt)
    ('dense-layer', 'embedding', 'output', 'optimizer')
    """
    moe = model.moe
    is_mixed = moe is not None and (
        moe.first_dense_layers > 0 or (moe.every > 1 and model.num_layers - moe.first_dense_layers > 1)
    )
    absent = ("moe-layer",) if moe is None else () if is_mixed else ("dense-layer",)
    return tuple(part for part in PARTS if part not in absent)


def chosen_rows(profile: Profile, model: ModelSpec, asked: Configuration) -> dict[PartName, ProfileRow]:
    """Return the row of each part that is measured for the configuration `asked`.

    Raises
    ------
    ValueError
        As `Profile.row_of`, of all parts of which that is so.
    """
    rows: dict[PartName, ProfileRow] = {}
    mistakes = []
    for part in parts_in(model):
        try:
            row = profile.row_of(part, asked)
        except ValueError as error:
            mistakes.append(str(error))
        else:
            rows |= {part: row} if row else {}
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return rows


def profile_findings(profile: Profile, model: ModelSpec, asked: Configuration, needs_halves: str) -> Iterator[Finding]:
    """Yield what keeps a profile from being used for a configuration.

    `needs_halves` is what runs the two halves of the backward apart; empty if nothing does.
    """
    for part in parts_in(model):
        try:
            row = profile.row_of(part, asked)
        except ValueError as error:
            yield Finding(("profile",), str(error), "measure it, or remove the part, so that it is derived")
        else:
            if row and needs_halves and not row.has_split_backward:
                what = f"{needs_halves} runs the two halves of the backward apart, and this gives only their sum"
                where = ("profile", "rows", profile.rows.index(row), "backward")
                yield Finding(where, what, "give `input_grad` and `weight_grad` in its place")


def _text(configuration: dict[str, int | str]) -> str:
    return ", ".join(f"{key} {value}" for key, value in configuration.items()) or "any configuration"
