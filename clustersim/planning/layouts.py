"""Layouts: every legal and distinct way to split one training step over so many GPUs.

What is legal is decided by the rules of a scenario. Of layouts that are the same job, one stands for all: on a single
pipeline rank one schedule, without copies of a rank no ZeRO, and a schedule with loops has at least two chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

from clustersim.ops import Shape
from clustersim.scenario.batch import Batch, batch_findings
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.model_shard import model_shard_findings
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.plan import USUAL_SCHEDULES, PlanSpec
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.scenario.split import Split
from clustersim.workload.alone import Alternative, takes_shape

RECOMPUTES = ("none", "selective", "full")
KEYS = {
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
CHOICES = tuple(KEYS)
LayoutShape = tuple[int, int, int, int, int, int, int, str]
"""What layouts have in common that differ in nothing but recomputation and ZeRO: their first eight choices."""


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
    def shape(self) -> LayoutShape:
        """What it has in common with those that differ from it in nothing but recomputation and ZeRO."""
        return self[:8]

    def parallelism(self, usual: Parallelism) -> Parallelism:
        """Return its parallelism, `usual` in what is not searched."""
        names = ("tp", "cp", "pp", "vpp", "dp", "ep", "zero_stage", "sequence_parallel")
        return usual.model_copy(update={name: getattr(self, name) for name in names})

    def alternative(self, usual: Parallelism) -> Alternative:
        """Return it as one whose times can be asked for."""
        return Alternative(self.parallelism(usual), self.micro_batch_size, self.schedule, self.recompute)

    def values(self, fixed: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a scenario that make this layout, by dotted key; what is `fixed` stays as it is."""
        values = {KEYS[name]: value for name, value in self._asdict().items() if name not in fixed}
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


class Frame(NamedTuple):
    """Layouts that differ in nothing but recomputation and ZeRO."""

    tp: int
    cp: int
    pp: int
    vpp: int
    dp: int
    ep: int
    micro_batch_size: int
    schedule: str
    sequence_parallel: bool

    @property
    def shape(self) -> LayoutShape:
        """What it has in common with all of its layouts."""
        return self[:8]

    def layout(self, recompute: str, zero_stage: int) -> Layout:
        """Return one of its layouts."""
        return Layout(*self.shape, recompute, zero_stage, self.sequence_parallel)


def frames(space: Space) -> Iterator[Frame]:
    """Yield all legal and distinct layouts, those together that differ in nothing but recomputation and ZeRO.

    Examples
    --------
    >>> gpt = ModelSpec(num_layers=2, hidden_size=8, num_attention_heads=2, vocab_size=16, seq_length=8)
    >>> space = Space(gpt, 2, 2, spec=PlanSpec(schedules=("1f1b",), cp=(1,)))
    >>> [frame[:7] for frame in frames(space)]
    [(1, 1, 1, 1, 2, 1, 1), (1, 1, 2, 1, 1, 1, 1), (1, 1, 2, 1, 1, 1, 2), (2, 1, 1, 1, 1, 1, 1), (2, 1, 1, 1, 1, 1, 2)]
    """
    schedules: dict[int, tuple[tuple[str, int], ...]] = {}
    for tp, cp, pp, dp, ep in _dense(space):
        if pp not in schedules:
            schedules[pp] = tuple(_schedules(space, pp))
        for micro_batch_size in _micro_batch_sizes(space, dp):
            num_microbatches = space.global_batch_size // (dp * micro_batch_size)
            taken = [(name, vpp) for name, vpp in schedules[pp] if takes_shape(name, Shape(pp, num_microbatches, vpp))]
            for name, vpp in taken if pp > 1 else taken[:1]:  # on one rank one schedule stands for all
                yield Frame(tp, cp, pp, vpp, dp, ep, micro_batch_size, name, space.sequence_parallel(tp, cp))


def variants(space: Space, frame: Frame) -> list[tuple[str, int]]:
    """Return the kinds of recomputation and the ZeRO stages of a frame's layouts; without replicas all are the same."""
    zeros = sorted(space.allowed("zero_stage", range(4)))[: None if frame.dp * frame.cp > 1 else 1]
    return list(product(space.allowed("recompute", RECOMPUTES), zeros))


def layouts(space: Space) -> Iterator[Layout]:
    """Yield every legal and distinct layout."""
    for frame in frames(space):
        for recompute, zero_stage in variants(space, frame):
            yield frame.layout(recompute, zero_stage)


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
    if space.global_batch_size % dp:
        return []
    share = space.global_batch_size // dp
    found = []
    for size in space.allowed("micro_batch_size", _divisors(share) if share else []):
        if not any(batch_findings(Batch(global_batch_size=space.global_batch_size, micro_batch_size=size), dp)):
            found.append(size)
    return found


def _schedules(space: Space, pp: int) -> Iterator[tuple[str, int]]:
    """Yield the schedules that so many ranks allow, with their numbers of chunks."""
    usual = sorted(USUAL_SCHEDULES, key=lambda name: name != "1f1b")  # the one that stands for all on a single rank
    for name in space.allowed("schedule", usual):
        rules = SCHEDULE_RULES[name]
        if space.blocking and not rules.allows_blocking_p2p:
            continue
        for vpp in space.allowed("vpp", _chunks(space, name, pp)):
            is_allowed = rules.chunks.allows(vpp) and vpp >= rules.chunks.smallest
            if is_allowed and _can_be_dealt(space, rules.num_listed_stages(pp, vpp)):
                yield name, vpp


def _chunks(space: Space, name: str, pp: int) -> list[int]:
    """Return the numbers of chunks on each rank that are worth a look under a schedule."""
    rules = SCHEDULE_RULES[name].chunks
    if pp == 1:
        return [rules.smallest]
    # one chunk under a schedule with loops is the order of another one
    fewest = 2 if SCHEDULE_RULES[name].has_loops and "schedule" not in space.fixed else rules.smallest
    return list(range(fewest, (rules.largest or max(fewest, space.model.num_layers // pp)) + 1))


def _can_be_dealt(space: Space, num_stages: int) -> bool:
    try:
        (space.parallelism.split or Split()).layers_by_stage(space.model.num_layers, num_stages)
    except ValueError:
        return False
    return True


def _divisors(number: int) -> list[int]:
    small = [divisor for divisor in range(1, int(number**0.5) + 1) if number % divisor == 0]
    return sorted({*small, *(number // divisor for divisor in small)})
