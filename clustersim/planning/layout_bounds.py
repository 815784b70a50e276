"""Quick bounds of layouts: a time that no run ends before, and memory that each of them fills.

They count what one GPU at the end of the pipeline does at least, whatever the order of its ops: the forwards before its
first one, all its work, and the backwards after its last one; and what a GPU at its beginning holds. All times are
taken a little short, so that no rounding up can make a bound too large.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from clustersim.ops import StageCosts
from clustersim.planning.layouts import Frame
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.workload.alone import Alone, Alternative, has_overlapped_pairs
from clustersim.workload.alone_ops import exchange_ps
from clustersim.workload.model.layers import LayerKind
from clustersim.workload.model.stage import ModelPart
from clustersim.workload.overhead import fragmentation_of, framework_bytes

_ROUNDED_PS = 16  # more than rounding up adds to the time of one collective
_SHORT = 1 - 1e-12  # of sums of floats


_AXES = ("tp", "cp", "ep", "etp")
Exchanged = tuple[float, float, float, float]
_NOTHING: Exchanged = (0.0, 0.0, 0.0, 0.0)


class _Times(NamedTuple):
    """What a micro-batch takes on one layer, or on the embedding or the output. [ps]"""

    forward: float
    back: float  # recomputation and input gradient
    weight_grad: float
    exchanged: Exchanged  # by groups, after forward and backward, on each axis


class _Place(NamedTuple):
    """How layers lie on a pipeline: counts by kind of layer."""

    last: Counter[LayerKind]  # that a micro-batch passes on the last rank
    has_output: bool  # whether it passes the output there
    num_visits: int  # how often it comes to the last rank
    before: Counter[LayerKind]  # on the stages that it passes before it first comes to that rank
    first: Counter[LayerKind]  # on the first stage
    held: Counter[LayerKind]  # on all stages of the first rank, a second replica not counted


class Bounds:
    """Bounds of the layouts of one job on one cluster."""

    def __init__(self, alone: Alone) -> None:
        self.alone = alone
        self._costs: dict[tuple[object, ...], StageCosts] = {}
        self._times: dict[tuple[object, ...], _Times] = {}
        self._places: dict[tuple[str, int, int], _Place] = {}
        self._pairs: dict[str, bool] = {}
        self._overheads: dict[tuple[int, ...], tuple[Fraction, int]] = {}
        training = alone.scenario.training
        # what a stage recomputes is then no sum over its layers: it is left out, and so is what it keeps
        self._is_partial = training.recompute_num_layers is not None or training.recompute_every is not None

    def step_ps(self, frame: Frame, recompute: str, is_sharded: bool, coarse: bool = False) -> int:
        """Return a time that no step of a frame's layouts with such recomputation ends before. [ps]

        Parameters
        ----------
        frame, recompute
            Which layouts.
        is_sharded
            Whether ZeRO shards the weights, too.
        coarse
            Whether exchanges are left out, which is quicker.
        """
        place, rules = self._place(frame), SCHEDULE_RULES[frame.schedule]
        recompute = "none" if self._is_partial else recompute
        with_exchanges, has_pairs = not coarse, self._has_pairs(frame.schedule)
        forward = back = weight_grad = 0.0
        exchanged = [0.0] * len(_AXES)
        for kind, count in place.last.items():
            times = self._layer(frame, kind, recompute, is_sharded, with_exchanges)
            forward, back = forward + count * times.forward, back + count * times.back
            weight_grad += count * times.weight_grad
            exchanged = [total + count * time for total, time in zip(exchanged, times.exchanged, strict=True)]
        if place.has_output:
            times = self._output(frame, recompute, is_sharded)
            forward, back = forward + times.forward, back + times.back
            weight_grad += times.weight_grad
        head = tail = 0.0
        for kind, count in place.before.items():
            times = self._layer(frame, kind, recompute, is_sharded, with_exchanges=False)
            head += count * times.forward
            tail += count * (times.back if rules.splits_backward else times.back + times.weight_grad)
        num_microbatches = self.alone.samples // (frame.dp * frame.micro_batch_size)
        if rules.splits_backward:
            tail = max(0.0, tail - num_microbatches * weight_grad)  # W that is left may fill it
        gaps = place.num_visits * (3 if rules.splits_backward and not has_pairs else 2)
        computed = forward + back + weight_grad + gaps * self.alone.gap_ps
        # a pair exchanges beside its compute, on all axes at once
        work = num_microbatches * (max(computed, *exchanged) if has_pairs else computed + sum(exchanged))
        return int((head + work + tail) * _SHORT)

    def peak_bytes(self, frame: Frame, recompute: str, zero_stage: int) -> int:
        """Return what the first rank of a layout holds at least. [bytes]"""
        place, copies = self._place(frame), frame.dp * frame.cp
        if self.alone.model.moe:
            expert_tp = self._parallelism(frame, zero_stage).expert_tp
            copies = max(copies, frame.tp * copies // (frame.ep * expert_tp))
        replicas = 2 if SCHEDULE_RULES[frame.schedule].is_bidirectional else 1
        total = 0
        for kind, count in place.held.items():
            cost = self._costs_of(frame, ModelPart((kind,)), "none", is_sharded=False)
            total += replicas * count * cost.weights_bytes // (copies if zero_stage == 3 else 1)
            total += count * cost.gradients_bytes // (copies if zero_stage >= 2 else 1)
            total += count * cost.optimizer_bytes // (copies if zero_stage >= 1 else 1)
        first = Counter[LayerKind]() if self._is_partial else place.first
        costs = {kind: self._costs_of(frame, ModelPart((kind,)), recompute, zero_stage == 3) for kind in first}
        alive = self._fewest_alive(frame)
        kept = sum(count * costs[kind].kept_bytes for kind, count in first.items())
        unfolded = max((costs[kind].activation_bytes - costs[kind].kept_bytes for kind in first), default=0)
        total += alive * kept + unfolded
        fragmentation, framework = self._overhead(frame, zero_stage)
        return total + int(total * fragmentation) + framework

    def _overhead(self, frame: Frame, zero_stage: int) -> tuple[Fraction, int]:
        """Return what fragmentation costs, and what the framework takes: which goes by the axes that there are."""
        sizes = (frame.tp, frame.cp, frame.pp, frame.dp, frame.ep)
        key = (zero_stage, *(size > 1 for size in sizes))
        if key not in self._overheads:
            parallelism = self._parallelism(frame, zero_stage)
            sized = self.alone.scenario.model_copy(update={"parallelism": parallelism})
            self._overheads[key] = fragmentation_of(sized), framework_bytes(sized)
        return self._overheads[key]

    def _fewest_alive(self, frame: Frame) -> int:
        """Return how many micro-batches the first stage holds at some time, at least."""
        num_microbatches = self.alone.samples // (frame.dp * frame.micro_batch_size)
        if frame.schedule == "gpipe":
            return num_microbatches
        return min(frame.pp, num_microbatches) if frame.schedule == "1f1b" else 1

    def _layer(self, frame: Frame, kind: LayerKind, recompute: str, is_sharded: bool, with_exchanges: bool) -> _Times:
        place = (frame.pp, frame.dp, self._rank(frame)) if with_exchanges else ()
        key = (*_key(frame), kind, recompute, is_sharded, with_exchanges, place)
        if key not in self._times:
            cost = self._costs_of(frame, ModelPart((kind,)), recompute, is_sharded)
            exchanged = self._exchanged_ps(frame, cost) if with_exchanges else _NOTHING
            self._times[key] = _times(cost, exchanged)
        return self._times[key]

    def _output(self, frame: Frame, recompute: str, is_sharded: bool) -> _Times:
        key = (*_key(frame), "output", recompute, is_sharded)
        if key not in self._times:
            part = ModelPart((), has_output=True)
            self._times[key] = _times(self._costs_of(frame, part, recompute, is_sharded), _NOTHING)
        return self._times[key]

    def _exchanged_ps(self, frame: Frame, cost: StageCosts) -> Exchanged:
        """Return what a rank's groups exchange for a micro-batch after its ops, on each axis. [ps]"""
        parallelism, overlap = self._parallelism(frame, 0), self.alone.scenario.runtime.overlap
        total = dict.fromkeys(_AXES, 0.0)
        for exchange in cost.exchanges:
            is_beside = getattr(overlap, exchange.axis, False) if exchange.is_beside is None else exchange.is_beside
            if exchange.axis != "dp" and not is_beside:
                time_ps = exchange_ps(exchange, parallelism, self._rank(frame), self.alone.groups)
                total[exchange.axis] += max(0, time_ps - _ROUNDED_PS)
        return total["tp"], total["cp"], total["ep"], total["etp"]

    def _costs_of(self, frame: Frame, part: ModelPart, recompute: str, is_sharded: bool) -> StageCosts:
        """Return what a stage of these layers costs, nothing of its state sharded."""
        key = (*_key(frame), part, recompute, is_sharded)
        if key not in self._costs:
            parallelism = self._parallelism(frame, 3 if is_sharded else 0)
            one = Alternative(parallelism, frame.micro_batch_size, "1f1b", recompute)
            self._costs[key] = self.alone.stages(one).costs(part)
        return self._costs[key]

    def _parallelism(self, frame: Frame, zero_stage: int) -> Parallelism:
        return frame.layout("none", zero_stage).parallelism(self.alone.scenario.parallelism)

    def _place(self, frame: Frame) -> _Place:
        rules = SCHEDULE_RULES[frame.schedule]
        form = "both" if rules.is_bidirectional else "loop" if rules.has_loops else str(rules.chunks.smallest)
        key = (form, frame.pp, frame.vpp)
        if key not in self._places:
            layers = [Counter(part.kinds) for part in self.alone.parts(frame.schedule, frame.pp, frame.vpp)]
            self._places[key] = _placed(layers, frame.pp, form)
        return self._places[key]

    def _rank(self, frame: Frame) -> int:
        """Return the rank whose work is counted: the last, or one in the middle if micro-batches go both ways."""
        return frame.pp // 2 if SCHEDULE_RULES[frame.schedule].is_bidirectional else frame.pp - 1

    def _has_pairs(self, schedule: str) -> bool:
        """Return whether some forwards of a schedule share a slot with a backward."""
        if schedule not in self._pairs:
            self._pairs[schedule] = has_overlapped_pairs(schedule)
        return self._pairs[schedule]


def _placed(layers: Sequence[Counter[LayerKind]], pp: int, form: str) -> _Place:
    if form == "both":  # how many micro-batches go each way is left open
        middle = layers[pp // 2 - 1] & layers[pp // 2]
        return _Place(middle, False, 1, _least(layers, pp // 2 - 1), layers[0], layers[0] & layers[-1])
    chunks = range(len(layers) // pp)
    turns = form == "2"
    last = [chunk * pp + (0 if turns and chunk % 2 else pp - 1) for chunk in chunks]
    first = [chunk * pp + (pp - 1 if turns and chunk % 2 else 0) for chunk in chunks]
    return _Place(
        sum((layers[stage] for stage in last), Counter()),
        len(layers) - 1 in last,
        len(last),
        sum(layers[: pp - 1], Counter()),
        layers[0],
        sum((layers[stage] for stage in first), Counter()),
    )


def _least(layers: Sequence[Counter[LayerKind]], num_stages: int) -> Counter[LayerKind]:
    """Return what the first stages and the last ones, so many of each, have in common."""
    return sum(layers[:num_stages], Counter()) & sum(layers[len(layers) - num_stages :], Counter())


def _times(cost: StageCosts, exchanged_ps: Exchanged) -> _Times:
    """Return times from which what was rounded up is taken."""

    def short(time_ps: int) -> int:
        return max(0, time_ps - 1)

    return _Times(
        short(cost.forward_ps),
        short(cost.recompute_ps) + short(cost.input_grad_ps),
        short(cost.weight_grad_ps),
        exchanged_ps,
    )


def _key(frame: Frame) -> tuple[object, ...]:
    """Return what decides over the costs of a layer."""
    return frame.tp, frame.cp, frame.ep, frame.micro_batch_size, frame.sequence_parallel
