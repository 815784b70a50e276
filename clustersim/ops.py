"""The vocabulary that schedules, lowering, engine and analysis share: actions, shapes, costs, programs, jobs.

Letters are PyTorch's: F forward, B full backward, I input gradient, W weight gradient (B = I + W). A *stage* is a
global virtual stage, a *pp_rank* a position in the pipeline, a *replica* one whole pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Literal, NamedTuple

from clustersim.columns import CallColumns, PipelineColumns
from clustersim.footprint import ActivationLimit, Footprint
from clustersim.later import Lazy


class Kind(IntEnum):
    """What a rank does in one row of its program."""

    F = 0
    B = 1
    I = 2  # noqa: E741 - the field's own letter for the input gradient
    W = 3
    FB = 4  # an overlapped forward and backward, one slot
    RECOMPUTE = 5  # the forward once more, just before its backward
    OPTIMIZER = 6
    EXCHANGE = 7  # blocking sends and receives, batched; no compute
    BARRIER = 8  # before the optimizer step; no compute
    COLLECTIVE = 9  # a call to a group that is made or waited for; no compute
    PART = 10  # the first part of a backward, up to where a bucket of gradients is complete

    __hash__ = int.__hash__  # Enum's own runs Python code, and kinds are dictionary keys on hot paths


FORWARDS = frozenset({Kind.F, Kind.FB})
BACKWARDS = frozenset({Kind.B, Kind.I, Kind.FB})
COMPUTE = frozenset({Kind.F, Kind.B, Kind.I, Kind.W, Kind.FB, Kind.RECOMPUTE, Kind.OPTIMIZER, Kind.PART})


class Action(NamedTuple):
    """One F, B, I or W of a micro-batch on a stage.

    Examples
    --------
    >>> str(Action(Kind.F, 2, 0))
    '2F0'
    """

    kind: Kind
    stage: int
    microbatch: int

    def __str__(self) -> str:
        return f"{self.stage}{self.kind.name}{self.microbatch}"


class Overlap(NamedTuple):
    """A forward and a backward of two micro-batches that share one slot.

    Examples
    --------
    >>> str(Overlap(Action(Kind.F, 0, 3), Action(Kind.B, 3, 1)))
    '(0F3;3B1)OVERLAP_F_B'
    """

    forward: Action
    backward: Action

    def __str__(self) -> str:
        return f"({self.forward};{self.backward})OVERLAP_F_B"


Slot = Action | Overlap
Order = tuple[Slot, ...]


def actions_in(slot: Slot) -> tuple[Action, ...]:
    """Return the one action of a plain slot, or the two of an overlapped one."""
    return (slot,) if slot.__class__ is Action else slot  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Shape:
    """How many ranks, micro-batches and chunks a schedule has to order."""

    num_ranks: int
    num_microbatches: int
    num_chunks: int = 1
    group_size: int | None = None  # contiguous micro-batches in a chunk (interleaved); None: num_ranks
    torch_rounds: bool = False  # PyTorch's rule for the group instead of Megatron's
    moe_overlap: bool = False  # Megatron's expert-parallel overlap: one more warm-up forward
    num_steps: int = 1  # training steps that num_microbatches covers; above one only where nothing is flushed between
    limit: ActivationLimit | None = None  # that a cost-aware schedule keeps to; None: its own default


@dataclass(frozen=True, slots=True)
class Schedule:
    """The order of every rank; no times and no idle slots.

    ``orders[pp_rank][position]`` is a slot; ``rank_by_stage[stage]`` is where a stage lives; ``chains`` lists the
    stages that a micro-batch passes, one chain for most schedules and two for bidirectional ones.

    With ``flush`` the orders are those of one training step, which is run as often as there are steps. Without, they
    are one stream of the micro-batches of all steps, ``shape.num_microbatches / shape.num_steps`` of them a step: ranks
    never meet at a barrier, and update their weights in the middle of the stream, each after every backward
    (``optimizer_after = "microbatch"``) or after the last backward of a step.
    """

    name: str
    shape: Shape
    orders: Sequence[Order]
    rank_by_stage: tuple[int, ...]
    chains: tuple[tuple[int, ...], ...]
    flush: bool = True
    optimizer_after: Literal["step", "microbatch"] = "step"
    weight_versions: tuple[int, ...] | None = None  # copies of the weights that each pp_rank keeps; None: one

    @property
    def num_stages(self) -> int:
        """Number of global stages, all chains together."""
        return len(self.rank_by_stage)

    def update_ps(self, stages: Iterable[int], costs: Sequence[StageCosts]) -> int:
        """Return how long the optimizer step of a rank with these stages lasts; two ranks share that of one. [ps]"""
        return -(-sum(costs[stage].optimizer_ps for stage in stages) // len(self.chains))

    def neighbours(self) -> tuple[list[int], list[int]]:
        """Return ``previous[stage]`` and ``next[stage]`` along the chains, -1 at their ends."""
        previous, following = [-1] * self.num_stages, [-1] * self.num_stages
        for chain in self.chains:
            for here, there in pairwise(chain):
                following[here], previous[there] = there, here
        return previous, following


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the ops of one kind exchange within a parallel group, for one full micro-batch."""

    axis: str  # tp, cp, ep, etp, or dp for weights that are sharded
    kind: Kind  # F, I or W; a fused backward does what I and W do
    operation: str  # of clustersim.collectives
    size_bytes: int  # of each call, as nccl-tests count it
    num_calls: int = 1  # one after the other
    is_beside: bool | None = None  # the op's compute; None: as the scenario says of its axis


@dataclass(frozen=True, slots=True)
class StageCosts:
    """What one full micro-batch costs on one global stage. [ps, bytes]"""

    forward_ps: int
    input_grad_ps: int
    weight_grad_ps: int
    forward_backward_ps: int
    recompute_ps: int = 0
    optimizer_ps: int = 0
    activation_bytes: int = 0
    logits_bytes: int = 0  # the part of the activation that logits are, which are freed with the end of I
    weight_grad_activation_bytes: int = 0
    checkpoint_bytes: int = 0
    backward_bytes: int = 0  # of the activation, not there between F and the backward; recomputed: see kept_bytes
    message_bytes: int = 0
    weights_bytes: int = 0
    gradients_bytes: int = 0
    optimizer_bytes: int = 0
    buffers_bytes: int = 0  # to communicate with; stages of one rank share them
    forward_hop_ps: int = 0  # an activation to the next stage, with nothing in its way; 0 where it is not known
    backward_hop_ps: int = 0  # a gradient to the stage before
    host_gap_ps: int = 0  # what the host takes beside each F, B, I and W, whatever the size of the micro-batch
    exchanges: tuple[Exchange, ...] = ()  # within tp, cp, ep and etp groups, beside what messages do
    recomputes_exchanges: bool = True  # whether a recomputation exchanges what a forward does; else its own alone
    tied_gradients_bytes: int = 0  # of the embedding, on the first and the last stage, which share it
    reduced_bytes: int | None = None  # gradients that replicas reduce; None: those that are held
    gathered_bytes: int | None = None  # weights that replicas gather where they are sharded; None: those that are held

    @property
    def backward_ps(self) -> int:
        """A fused backward lasts I + W. [ps]"""
        return self.input_grad_ps + self.weight_grad_ps

    @property
    def reduction_bytes(self) -> int:
        """Gradients that replicas reduce. [bytes]"""
        return self.gradients_bytes if self.reduced_bytes is None else self.reduced_bytes

    @property
    def gathering_bytes(self) -> int:
        """Weights that replicas gather where they are sharded. [bytes]"""
        return self.weights_bytes if self.gathered_bytes is None else self.gathered_bytes

    @property
    def kept_bytes(self) -> int:
        """What stays from the end of F to the backward: with recomputation the checkpoint alone. [bytes]"""
        return self.checkpoint_bytes if self.recompute_ps else self.activation_bytes - self.backward_bytes


@dataclass(frozen=True, slots=True)
class CostedSchedule:
    """A schedule with all that its ops and messages take on the GPUs of one replica, messages unhindered."""

    schedule: Schedule
    num_microbatches: tuple[int, ...]  # of each chain
    costs: tuple[StageCosts, ...]  # with hop times
    last_fraction: Fraction = Fraction(1)  # size of the replica's last micro-batch in full ones
    room: tuple[Footprint, ...] | None = None  # of each stage, one a rank; None: memory is not limited


@dataclass(frozen=True, slots=True)
class Program(Lazy):
    """What one rank does, in order: parallel columns, one row an op or a zero-long meeting point.

    A row starts once the row before it has ended, every message in its ``waits_for`` has arrived and every call in its
    ``awaits`` is done; its ``sends`` leave when it ends (asynchronous point-to-point), and then it makes the calls that
    it ``joins``. An EXCHANGE row posts its ``waits_for``, its own and its partners', and ends when all are there.
    """

    kinds: tuple[Kind, ...]
    stages: tuple[int, ...]  # -1 where a row belongs to no stage
    microbatches: tuple[int, ...]
    steps: tuple[int, ...]
    durations_ps: tuple[int, ...]
    waits_for: tuple[tuple[int, ...], ...]
    sends: tuple[tuple[int, ...], ...]
    start_bytes: tuple[int, ...]  # memory taken when the row starts
    end_bytes: tuple[int, ...]  # memory change when the row ends
    backward_of: dict[int, Action]  # row of an overlapped slot -> its backward
    joins: tuple[tuple[int, ...], ...]  # calls, as Calls numbers them
    awaits: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class Calls(Lazy):
    """The collectives that the ranks of a pipeline take part in: parallel columns, numbered by step, then by rank.

    The same call on all ranks of a group makes one collective: the ``order``-th that each of them makes on that axis.
    """

    axes: tuple[str, ...]
    operations: tuple[str, ...]
    sizes_bytes: tuple[int, ...]
    num_repeats: tuple[int, ...]  # such collectives one after the other, counted as one
    kinds: tuple[Kind, ...]  # the op that it belongs to: F, B, I, W, or OPTIMIZER for a step's gradients and weights
    stages: tuple[int, ...]  # -1 where it belongs to no stage
    microbatches: tuple[int, ...]
    steps: tuple[int, ...]
    pp_ranks: tuple[int, ...]
    orders: tuple[int, ...]  # among the calls of its rank on its axis, over all steps
    producers: tuple[int, ...]  # row of the rank's program that makes it
    consumers: tuple[int, ...]  # row that waits for it

    def __len__(self) -> int:
        return len(self.steps)

    @cached_property
    def columns(self) -> CallColumns:
        """The calls as arrays: those that they were made from, or else made when first asked for."""
        return CallColumns.of(*(getattr(self, name) for name in self.__dataclass_fields__))


NO_CALLS = Calls(*((),) * 12)

BUS_SHARES = {"all-reduce": 2, "all-gather": 1, "reduce-scatter": 1, "all-to-all": 1, "broadcast": 0}
"""How many times (n - 1)/n of its size each member has to send, at least; 0: once the whole, whatever n.

nccl-tests, doc/PERFORMANCE.md, "Bus bandwidth".
"""


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a collective on real links: after a latency its streams drain, all at one rate."""

    links: tuple[int, ...]  # each once
    streams: tuple[int, ...]  # how many streams cross each link
    volume_bytes: Fraction  # of each stream
    latency_ps: int


@dataclass(frozen=True, slots=True)
class CollectivePlan:
    """How a group of GPUs does a collective: phases, one after the other."""

    operation: str
    algorithm: str
    size_bytes: int
    phases: tuple[Phase, ...]

    def repeated(self, times: int) -> CollectivePlan:
        """Return the plan of so many such collectives in a row, taken together phase by phase."""
        if times == 1:
            return self
        phases = tuple(Phase(p.links, p.streams, p.volume_bytes * times, p.latency_ps * times) for p in self.phases)
        return CollectivePlan(self.operation, self.algorithm, self.size_bytes, phases)


@dataclass(frozen=True, slots=True)
class Messages(Lazy):
    """The point-to-point transfers of a pipeline, activations (F) and their gradients (B): parallel columns.

    They are numbered by step, then by sender, then by op; steps that are one stream count as one.
    """

    kinds: tuple[Kind, ...]
    microbatches: tuple[int, ...]
    steps: tuple[int, ...]
    sources: tuple[int, ...]  # pp_rank
    destinations: tuple[int, ...]  # pp_rank
    sizes_bytes: tuple[int, ...]
    producers: tuple[int, ...]  # row of the source's program that makes it, or posts it if point-to-point blocks
    consumers: tuple[int, ...]  # row of the destination's program that waits for it

    def __len__(self) -> int:
        return len(self.kinds)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One lowered replica: a program per pp_rank and the messages between them. Equal replicas share one object."""

    schedule: Schedule
    programs: tuple[Program, ...]
    messages: Messages
    calls: Calls = NO_CALLS
    # Arrays that programs and messages were made from, after those; of others they say nothing.
    made_from: tuple[tuple[Program, ...], Messages, PipelineColumns] | None = field(default=None, compare=False)


class Place(NamedTuple):
    """A rank of a job: which replica, and where in its pipeline."""

    replica: int
    pp_rank: int


@dataclass(frozen=True, slots=True)
class Group:
    """Ranks that do collectives together on one axis, and the plan of each kind of collective that they do."""

    axis: str
    places: tuple[Place, ...]
    plans: dict[tuple[str, int, int], CollectivePlan]  # by operation, size [bytes] and repeats


@dataclass(frozen=True, slots=True)
class GpuView:
    """What a GPU knows when it falls idle, and all that an online policy sees.

    ``ready`` lists the ops whose inputs are here, by kind (F, B, I, W), then micro-batch, then stage.
    """

    now_ps: int
    pp_rank: int
    ready: tuple[Action, ...]
    activation_bytes: int  # alive on this GPU
    live_microbatches: int  # stage-micro-batches between the start of their F and the end of their W or B


Plugin = Callable[[Shape, Sequence[StageCosts] | None], Schedule | Sequence[Sequence[str]]]
"""A schedule that a user brings: a function like those of our own families, or one that returns rows of actions."""

Policy = Callable[[GpuView], Action | None]  # the op to start now, or None to wait for the next arrival


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that the engine runs: pipelines placed on GPUs.

    ``ranks[replica][pp_rank]`` is a global rank and ``gpus[replica][pp_rank]`` the GPU that carries it.
    """

    pipelines: tuple[Pipeline, ...]
    ranks: tuple[tuple[int, ...], ...]
    gpus: tuple[tuple[int, ...], ...]
    blocking: bool = False
    num_steps: int = 1
    static_bytes: tuple[tuple[StaticBytes, ...], ...] = ()  # static_bytes[replica][pp_rank]
    policy: Policy | None = None  # orders ops while they run, whatever order the programs have
    groups: tuple[Group, ...] = ()
    fragmentation: Fraction = Fraction(0)  # reserved by the framework's allocator, as a share of what is allocated
    logits_shares: tuple[Fraction, ...] = ()  # of a stage's activation; none where nothing is known of logits


class StaticBytes(NamedTuple):
    """Memory of a rank that stays for the whole run. [bytes]"""

    weights_bytes: int
    gradients_bytes: int
    optimizer_bytes: int
    buffers_bytes: int = 0  # to communicate with
    framework_bytes: int = 0  # of the process and of the collectives' library: not from the framework's allocator
