"""What a run leaves: numpy columns, frozen. Everything that is reported derives from them.

A row of :class:`Ops` is a row of a rank's program; rows stand by global rank, then in program order. Times are integer
picoseconds since the start of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from clustersim.later import Lazy, later
from clustersim.sorting import order_by
from clustersim.words import Words

if TYPE_CHECKING:
    from clustersim.folded import Copies, Folded

T = TypeVar("T")
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class _Columns(Lazy):
    """A frozen dataclass of arrays, which are read-only, and some of them made when somebody first asks for them.

    Most of a large trace follows from the programs of its ranks, and is seldom looked at.
    """

    def _settle(self, value: Any) -> None:
        if isinstance(value, np.ndarray):
            value.setflags(write=False)


@dataclass(frozen=True, slots=True)
class Ranks(_Columns):
    """The GPUs that were simulated, one row per global rank."""

    rank: Ints
    replica: Ints
    pp_rank: Ints
    gpu: Ints
    first_op: Ints  # index of the rank's first row in Ops; one more entry than ranks, the last is len(ops)
    weights_bytes: Ints
    gradients_bytes: Ints
    optimizer_bytes: Ints
    buffers_bytes: Ints  # to communicate with
    framework_bytes: Ints  # of its process and communicators, not from its allocator

    @property
    def allocated_bytes(self) -> Ints:
        """What the framework's allocator holds for the whole run. [bytes]"""
        return self.weights_bytes + self.gradients_bytes + self.optimizer_bytes + self.buffers_bytes

    def __len__(self) -> int:
        return len(self.rank)


@dataclass(frozen=True, slots=True)
class Ops(_Columns):
    """What every rank did: compute, and the zero-long rows at which it exchanged messages or met a barrier."""

    rank_index: Ints  # row of Ranks
    kind: Ints  # clustersim.ops.Kind
    stage: Ints
    microbatch: Ints
    backward_stage: Ints  # of an overlapped slot, else -1
    backward_microbatch: Ints
    step: Ints
    start_ps: Ints
    end_ps: Ints
    start_bytes: Ints  # memory taken at the start
    end_bytes: Ints  # memory change at the end
    first_need: Ints  # index into needs; one more entry than ops
    needs: Ints  # transfers that the row waited for
    first_await: Ints  # index into awaits; one more entry than ops
    awaits: Ints  # collectives that the row waited for
    first_join: Ints  # index into joins; one more entry than ops
    joins: Ints  # collectives that the rank called for when the row ended

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Transfers(_Columns):
    """Every message between GPUs.

    ``queued`` is when it could first start: its producer ended (asynchronous), or both sides had posted it (blocking).
    ``start`` is when the first link took it, or, on fairly shared links, when its latency was over and it began to
    drain; ``end`` is when the last bit arrived, latency included.
    """

    axis: Ints  # index into AXES
    kind: Ints  # Kind.F for activations, Kind.B for gradients
    microbatch: Ints
    step: Ints
    source: Ints  # row of Ranks
    destination: Ints
    size_bytes: Ints
    producer: Ints  # row of Ops
    consumer: Ints
    route: Ints  # index into Trace.routes
    queued_ps: Ints
    start_ps: Ints
    first_hold_ps: Ints  # how long it held the first link of its route
    end_ps: Ints

    def __len__(self) -> int:
        return len(self.kind)


@dataclass(frozen=True, slots=True)
class Collectives(_Columns):
    """What groups of ranks did together.

    ``queued`` is when the last of the group called for it, ``start`` when the group had done those before it, and
    ``end`` when it was done. Several equal ones in a row count as one.
    """

    axis: Ints  # index into AXES
    operation: Words
    algorithm: Words
    kind: Ints  # op that it belongs to: F, B, I, W; OPTIMIZER for gradients and weights of a step
    stage: Ints
    microbatch: Ints
    step: Ints
    group: Ints  # index into Trace.groups
    size_bytes: Ints  # of each, as nccl-tests count it
    num_repeats: Ints
    queued_ps: Ints
    start_ps: Ints
    end_ps: Ints

    def __len__(self) -> int:
        return len(self.axis)


@dataclass(frozen=True, slots=True)
class Phases(_Columns):
    """The parts of collectives that went over links, collective by collective, in the order in which they began."""

    collective: Ints  # row of Collectives
    way: Ints  # index into Trace.ways
    volume_bytes: Floats  # of each stream
    start_ps: Ints  # of its draining
    end_ps: Ints

    def __len__(self) -> int:
        return len(self.collective)


@dataclass(frozen=True, slots=True)
class Links(_Columns):
    """Links that carried something, one row each."""

    name: Sequence[str]
    number: Ints  # in the cluster
    role: tuple[str, ...]  # what it is for, such as "scale-up" or "NIC"
    is_fair: Flags  # shared by max-min fairness, or else FIFO
    bytes_per_s: Floats  # bandwidth, infinite where it is unlimited
    latency_ps: Ints
    overhead_ps: Ints  # of each message; it holds a FIFO link for that long beside its bytes
    size_bytes: Ints
    busy_ps: Ints  # time for which a message held the link; shared fairly: its utilisation, integrated over time
    queued_ps: Ints  # time that messages spent waiting for the link, summed over messages
    slowed_ps: Ints  # time that flows lost by sharing while this link was their bottleneck, summed over flows
    num_messages: Ints

    @property
    def is_contended(self) -> Flags:
        """Whether a message waited for the link, or was slowed by others on it."""
        return (self.queued_ps > 0) | (self.slowed_ps > 0)

    def __len__(self) -> int:
        return len(self.name)


@dataclass(frozen=True, slots=True)
class Rates(_Columns):
    """The rates of flows over fairly shared links, in order of time; each holds until the next, or the end."""

    flow: Ints  # row of Transfers, or from there on of Phases
    start_ps: Ints
    bytes_per_s: Floats
    bottleneck: Ints  # row of Links: the link that set the rate

    def __len__(self) -> int:
        return len(self.flow)

    @cached_property
    def by_flow(self) -> Ints:
        """The rates flow by flow, those of one in order of time."""
        return order_by(self.flow)

    def until_ps(self, end_ps: Ints) -> Ints:
        """Return until when each rate held; `end_ps` has the end of every flow."""
        order = self.by_flow
        until, flow = end_ps.take(self.flow), self.flow.take(order)
        goes_on = np.flatnonzero(flow[1:] == flow[:-1])
        until[order.take(goes_on)] = self.start_ps.take(order.take(goes_on + 1))
        return until


class Way(NamedTuple):
    """Links that a flow crosses: a route, or those of all streams of a phase."""

    links: tuple[int, ...]  # rows of Links
    streams: tuple[int, ...]  # that cross each


@dataclass(frozen=True, slots=True)
class Flows(_Columns):
    """All that went over links: messages, then phases of collectives."""

    way: Ints  # index into ways
    size_bytes: Floats  # of each stream
    queued_ps: Ints
    start_ps: Ints
    end_ps: Ints

    def __len__(self) -> int:
        return len(self.end_ps)


@dataclass(frozen=True, slots=True)
class FlowTransfers(_Columns):
    """Flows that no GPU computed anything for, in the order given; columns as those of Transfers."""

    size_bytes: Ints
    route: Ints
    queued_ps: Ints
    start_ps: Ints
    end_ps: Ints


@dataclass(frozen=True, slots=True)
class FlowTrace:
    """What a list of flows leaves, as `Trace` says it of a job."""

    transfers: FlowTransfers
    links: Links
    rates: Rates
    routes: tuple[tuple[str, ...], ...]

    @property
    def ways(self) -> tuple[Way, ...]:
        """Ways of the flows: their routes."""
        return _ways_of(self.routes, self.links)

    @property
    def flows(self) -> Flows:
        """The transfers as flows."""
        own = self.transfers
        return Flows(own.route, own.size_bytes.astype(np.float64), own.queued_ps, own.start_ps, own.end_ps)

    @property
    def makespan_ps(self) -> int:
        """From when the first flow was queued to the last end. [ps]"""
        transfers = self.transfers
        return int(transfers.end_ps.max() - transfers.queued_ps.min()) if len(transfers.end_ps) else 0


class Split(NamedTuple):
    """How the trace with these tables comes apart."""

    ops: Ops
    transfers: Transfers
    parts: Callable[[], Iterator[Trace]]
    of_replicas: Callable[[Sequence[int]], Trace]


@dataclass(frozen=True, slots=True)
class Trace(Lazy):
    """The whole run."""

    ranks: Ranks
    ops: Ops
    transfers: Transfers
    collectives: Collectives
    phases: Phases
    links: Links
    rates: Rates
    routes: tuple[tuple[str, ...], ...]  # names of the links of each route
    phase_ways: tuple[Way, ...]
    groups: tuple[tuple[int, ...], ...]  # rows of Ranks
    num_steps: int
    makespan_ps: int
    num_events: int  # SimPy events that the run scheduled
    fragmentation: Fraction = Fraction(0)  # reserved by the framework's allocator, as a share of what is allocated
    logits_shares: tuple[Fraction, ...] = ()  # of each stage's activations; none where nothing is known of logits
    engine: str = "time-ordered"  # form in which it ran
    split: Split | None = field(default=None, repr=False)
    shared: dict[str, Any] | None = field(default=None, repr=False)  # what all parts with the same programs share
    folded: Folded | None = field(default=None, repr=False)  # where one replica was simulated for several
    copies: Copies | None = field(default=None, repr=False)  # of the sample of a folded trace
    unfolded_because: str = ""  # why every replica was simulated

    @property
    def sample(self) -> Trace:
        """The trace of one replica of each class; the whole where nothing is folded.

        It has all that happens, once, with the numbers that replicas, GPUs and links have in the whole.
        """
        return self if self.folded is None else self.folded.sample

    @property
    def gpus_by_rank(self) -> Ints:
        """How many GPUs each row of Ranks stands for: one, except in the sample of a folded trace."""
        return np.ones(len(self.ranks), dtype=np.int64) if self.copies is None else self.copies.ranks

    @property
    def num_groups(self) -> Ints:
        """How many groups each of `groups` stands for, in the same way."""
        return np.ones(len(self.groups), dtype=np.int64) if self.copies is None else self.copies.groups

    def parts(self) -> Iterator[Trace]:
        """Yield the trace in parts that have nothing to do with one another: whole replicas, their ops and messages.

        Links are left out of them; and where collectives or fairly shared links join replicas, the whole is one part.
        """
        whole = self if self.folded is None else self.folded.whole()
        yield from whole.split.parts() if whole.split is not None and whole._comes_apart else (self,)

    def of_replicas(self, replicas: Sequence[int]) -> Trace:
        """Return the trace of some replicas, in rising order, with all links; the whole where replicas are joined."""
        whole = self if self.folded is None else self.folded.whole()
        return whole.split.of_replicas(replicas) if whole.split is not None and whole._comes_apart else self

    def standing_for(self, replicas: Sequence[int]) -> Trace:
        """Return the least trace that has some replicas, or others that do the same, with all links."""
        return self.of_replicas(replicas) if self.folded is None else self.folded.sample

    @property
    def _comes_apart(self) -> bool:
        """Whether these are still the tables that are known to come apart."""
        split = self.split
        return split is not None and split.ops is self.ops and split.transfers is self.transfers

    def once(self, name: str, make: Callable[[Trace], T]) -> T:
        """Return ``make(self)``, which has to follow from programs alone: parts that share them share it, too."""
        if self.shared is None:
            return make(self)
        if name not in self.shared:
            self.shared[name] = make(self)
        found: T = self.shared[name]
        return found

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """Ways of all flows: the routes of messages, then those of phases."""
        return (*_ways_of(self.routes, self.links), *self.phase_ways)

    @cached_property
    def flows(self) -> Flows:
        """Messages and phases of collectives as flows. A phase is queued when the one before it has ended."""
        sent, phases = self.transfers, self.phases
        return Flows(
            way=later(lambda: np.concatenate([sent.route, phases.way + len(self.routes)])),
            size_bytes=later(lambda: np.concatenate([sent.size_bytes.astype(np.float64), phases.volume_bytes])),
            queued_ps=later(lambda: np.concatenate([sent.queued_ps, phases.start_ps])),
            start_ps=later(lambda: np.concatenate([sent.start_ps, phases.start_ps])),
            end_ps=later(lambda: np.concatenate([sent.end_ps, phases.end_ps])),
        )

    @cached_property
    def axis_of_flow(self) -> Ints:
        """The axis of each flow, as an index into AXES."""
        return np.concatenate([self.transfers.axis, self.collectives.axis[self.phases.collective]])

    @cached_property
    def rates_until_ps(self) -> Ints:
        """Until when each of the rates held."""
        return self.rates.until_ps(self.flows.end_ps)


def _ways_of(routes: Sequence[Sequence[str]], links: Links) -> tuple[Way, ...]:
    row_by_name = {name: row for row, name in enumerate(links.name)}
    return tuple(Way(tuple(row_by_name[name] for name in route), (1,) * len(route)) for route in routes)


PS_PER_S = 10**12
AXES = ("tp", "pp", "dp", "cp", "ep", "etp")

AXIS_WORDS = {
    "tp": "tensor-parallel exchanges",
    "pp": "pipeline messages",
    "dp": "data-parallel traffic",
    "cp": "context-parallel exchanges",
    "ep": "expert-parallel exchanges",
    "etp": "exchanges of split experts",
}
"""What goes over each axis, in words."""
