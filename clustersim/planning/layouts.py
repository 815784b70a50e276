"""Layouts: every legal and distinct way to split one training step over so many GPUs.

What is legal is decided by the rules of a scenario. Of layouts that are the same job, one stands for all: on a single
pipeline rank one schedule, without copies of a rank no ZeRO, and a schedule with loops has at least two chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.ops import Shape
from clustersim.scenario.batch import Batch, batch_findings
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.model_shard import model_shard_findings
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.plan import PLANNED_SCHEDULES, PlanSpec
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.scenario.split import Split
from clustersim.workload.stages import takes_shape

RECOMPUTES = ("none", "selective", "full")
_KEYS = {
    "tp": "parallelism.tp",
    "cp": "parallelism.cp",
    "pp": "parallelism.pp",
    "vpp": "parallelism.vpp",
    "dp": "parallelism.dp",
    "ep": "parallelism.ep",
    "micro_batch_size": "batch.micro_batch_size",
    "schedule": "schedule",
    "recompute": "training.recompute",
    "zero_stage": "parallelism.zero_stage",
    "sequence_parallel": "parallelism.sequence_parallel",
}
"""Dotted key of each choice."""
CHOICES = tuple(_KEYS)


class Layout(NamedTuple):
    """One way to split the job. ``sequence_parallel`` follows from the others unless the scenario says it."""

    tp: int
    cp: int
    pp: int
    vpp: int
    dp: int
    ep: int
    micro_batch_size: int
    schedule: str
    recompute: str
    zero_stage: int
    sequence_parallel: bool

    @property
    def num_gpus(self) -> int:
        """GPUs that it takes."""
        return self.tp * self.cp * self.pp * self.dp

    @property
    def dense(self) -> tuple[int, int, int, int, int]:
        """What decides over the groups and the stages: tp, cp, pp, dp and ep."""
        return self.tp, self.cp, self.pp, self.dp, self.ep

    def values(self, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a scenario that make this layout, by dotted key; what is `fixed` stays as it is."""
        values = {_KEYS[name]: value for name, value in self._asdict().items() if name not in fixed}
        return values | {"cluster.gpus": self.num_gpus}


@dataclass(frozen=True, slots=True)
class Space:
    """What is searched on so many GPUs.

    Parameters
    ----------
    model, global_batch_size, num_gpus
        The job.
    fixed
        Choices that the scenario has made, by name.
    spec
        Values of the others.
    parallelism
        What is not searched: etp, split and order.
    blocking
        Whether sends block, which few schedules have a form for.
    """

    model: ModelSpec
    global_batch_size: int
    num_gpus: int
    fixed: Mapping[str, Any] = field(default_factory=dict)
    spec: PlanSpec = field(default_factory=PlanSpec)
    parallelism: Parallelism = field(default_factory=Parallelism)
    blocking: bool = False

    def allowed(self, name: str, usual: Sequence[Any]) -> list[Any]:
        """Return the values of a choice: the one that is fixed, those that are listed, or the usual ones."""
        if name in self.fixed:
            return [self.fixed[name]]
        listed = getattr(self.spec, "schedules" if name == "schedule" else name, None)
        return list(usual if listed is None else dict.fromkeys(listed))

    def sequence_parallel(self, tp: int, cp: int) -> bool:
        """Return whether tp shards the sequence, too: as the scenario says, or wherever it can."""
        given = self.fixed.get("sequence_parallel")
        return tp > 1 and self.model.seq_length % (cp * tp) == 0 if given is None else bool(given)


Column = NDArray[np.int32]


class LayoutTable(NamedTuple):
    """Layouts as columns; schedules and recomputation as numbers of `PLANNED_SCHEDULES` and `RECOMPUTES`."""

    tp: Column
    cp: Column
    pp: Column
    vpp: Column
    dp: Column
    ep: Column
    micro_batch_size: Column
    schedule: Column
    recompute: Column
    zero_stage: Column
    sequence_parallel: Column

    @property
    def num_layouts(self) -> int:
        """Number of rows."""
        return len(self.tp)

    def layout(self, row: int) -> Layout:
        """Return one of them."""
        *sizes, schedule, recompute, zero_stage, sequence = (int(column[row]) for column in self)
        names = PLANNED_SCHEDULES[schedule], RECOMPUTES[recompute]
        return Layout(*sizes, *names, zero_stage, bool(sequence))


def layout_table(space: Space) -> LayoutTable:
    """Return every legal and distinct layout.

    Examples
    --------
    >>> gpt = ModelSpec(num_layers=2, hidden_size=8, num_attention_heads=2, vocab_size=16, seq_length=8)
    >>> spec = PlanSpec(schedules=("1f1b",), recompute=("none",), zero_stage=(0,), cp=(1,))
    >>> table = layout_table(Space(gpt, 2, 2, spec=spec))
    >>> [table.layout(row)[:7] for row in range(table.num_layouts)]
    [(1, 1, 1, 1, 2, 1, 1), (1, 1, 2, 1, 1, 1, 1), (1, 1, 2, 1, 1, 1, 2), (2, 1, 1, 1, 1, 1, 1), (2, 1, 1, 1, 1, 1, 2)]
    """
    blocks = [np.empty((0, len(LayoutTable._fields)), dtype=np.int32)]
    recomputes = [RECOMPUTES.index(name) for name in space.allowed("recompute", RECOMPUTES)]
    for tp, cp, pp, dp, ep in _dense(space):
        zeros = [zero for zero in space.allowed("zero_stage", range(4)) if dp * cp > 1 or not zero]
        sequence = int(space.sequence_parallel(tp, cp))
        for micro_batch_size in _micro_batch_sizes(space, dp):
            num_microbatches = space.global_batch_size // (dp * micro_batch_size)
            for schedule, vpp in _schedules(space, pp, num_microbatches):
                head = [tp, cp, pp, vpp, dp, ep, micro_batch_size, PLANNED_SCHEDULES.index(schedule)]
                choices = [[*head, again, zero, sequence] for again in recomputes for zero in zeros]
                blocks.append(np.array(choices, dtype=np.int32).reshape(-1, len(LayoutTable._fields)))
    return LayoutTable(*np.ascontiguousarray(np.concatenate(blocks).T))


def _dense(space: Space) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield the sizes of the axes that the model, the batch and the number of GPUs allow."""
    moe = space.model.moe
    experts = _divisors(moe.num_experts) if moe else [1]
    for tp in space.allowed("tp", _divisors(space.num_gpus)):
        for cp in space.allowed("cp", _divisors(space.num_gpus // tp) if space.num_gpus % tp == 0 else []):
            for pp in space.allowed("pp", _divisors(space.num_gpus)):
                dp, rest = divmod(space.num_gpus, tp * cp * pp)
                if rest or dp not in space.allowed("dp", [dp]) or not _micro_batch_sizes(space, dp):
                    continue
                for ep in space.allowed("ep", experts):
                    if _can_be_sharded(space, tp, cp, dp, ep):
                        yield tp, cp, pp, dp, ep


def _can_be_sharded(space: Space, tp: int, cp: int, dp: int, ep: int) -> bool:
    sizes = {"tp": tp, "cp": cp, "dp": dp, "ep": ep, "sequence_parallel": space.sequence_parallel(tp, cp)}
    parallelism = space.parallelism.model_copy(update=sizes)
    return (tp * cp * dp) % (ep * parallelism.expert_tp) == 0 and not any(
        model_shard_findings(space.model, parallelism)
    )


def _micro_batch_sizes(space: Space, dp: int) -> list[int]:
    share = space.global_batch_size // dp
    found = []
    for size in space.allowed("micro_batch_size", _divisors(share) if share else []):
        if not any(batch_findings(Batch(global_batch_size=space.global_batch_size, micro_batch_size=size), dp)):
            found.append(size)
    return found


def _schedules(space: Space, pp: int, num_microbatches: int) -> Iterator[tuple[str, int]]:
    """Yield the schedules that so many ranks and micro-batches allow, with their numbers of chunks."""
    usual = sorted(PLANNED_SCHEDULES, key=lambda name: name != "1f1b")  # the one that stands for all on a single rank
    for name in space.allowed("schedule", usual):
        rules = SCHEDULE_RULES[name]
        if space.blocking and not rules.allows_blocking_p2p:
            continue
        found = False
        for vpp in space.allowed("vpp", _chunks(space, name, pp)):
            listed = rules.num_listed_stages(pp, vpp)
            is_distinct = pp > 1 or vpp == rules.chunks.smallest or "vpp" in space.fixed
            if (
                rules.chunks.allows(vpp)
                and vpp >= rules.chunks.smallest
                and is_distinct
                and _can_be_dealt(space, listed)
                and takes_shape(name, Shape(pp, num_microbatches, vpp))
            ):
                found = True
                yield name, vpp
        if found and pp == 1:
            return


def _chunks(space: Space, name: str, pp: int) -> list[int]:
    """Return the numbers of chunks on each rank that are worth a look under a schedule."""
    rules = SCHEDULE_RULES[name].chunks
    if rules.largest is not None:
        return [rules.largest]
    # one chunk under a schedule with loops is the order of another one
    fewest = rules.smallest if pp == 1 or "schedule" in space.fixed else 2
    return [vpp for vpp in range(fewest, space.model.num_layers // pp + 1) if space.model.num_layers % (vpp * pp) == 0]


def _can_be_dealt(space: Space, num_stages: int) -> bool:
    try:
        (space.parallelism.split or Split()).layers_by_stage(space.model.num_layers, num_stages)
    except ValueError:
        return False
    return True


def _divisors(number: int) -> list[int]:
    small = [divisor for divisor in range(1, int(number**0.5) + 1) if number % divisor == 0]
    return sorted({*small, *(number // divisor for divisor in small)})
