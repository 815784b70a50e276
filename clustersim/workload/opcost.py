"""What each op costs: its duration and its memory, by kind, stage and whether the micro-batch is a short one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from clustersim.columns import Flags, Numbers, taken
from clustersim.ops import Action, Exchange, Kind, Overlap, StageCosts
from clustersim.workload.rows import OpCost

FULL = Fraction(1)


def scaled(value: int, fraction: Fraction) -> int:
    """Return `value` times `fraction`, rounded up: a short micro-batch costs less in proportion.

    Examples
    --------
    >>> scaled(10, Fraction(1, 4))
    3
    """
    return value if fraction is FULL else -(-value * fraction.numerator // fraction.denominator)


class OpCosts:
    """Costs of ops on ``costs[stage]``, of which ``last_microbatch[stage]`` has only `last_fraction` of the samples.

    In a stream of several steps that one counts from the start of its step, of `microbatches_per_step`.

    Memory rules (bytes of one micro-batch on one stage): F takes the activation at its start; a fused B frees it at its
    end; I frees at its end what W does not need, and W the rest. What the loss makes is taken for F and again for the
    backward. With recomputation only the checkpoint stays from the
    end of F until the recomputation starts, which takes the whole activation again.

    The host gap of an op is added to its duration; a recomputation is part of its backward, and has none of its own.
    """

    def __init__(
        self,
        costs: Sequence[StageCosts],
        last_fraction: Fraction,
        last_microbatch: Sequence[int],
        microbatches_per_step: int,
    ) -> None:
        self._costs, self._last_fraction, self._last_microbatch = costs, last_fraction, last_microbatch
        self._microbatches_per_step = microbatches_per_step
        self._has_short = last_fraction != FULL
        self.has_recompute = [cost.recompute_ps > 0 for cost in costs]
        self._known: dict[tuple[int, int, bool], OpCost] = {}
        self._known_sizes: dict[tuple[int, bool], int] = {}

    def message_bytes(self, stage: int, microbatch: int) -> int:
        """Return the size of the activation that `stage` sends on. [bytes]"""
        key = (stage, self._is_last(stage, microbatch))
        if key not in self._known_sizes:
            self._known_sizes[key] = scaled(self._costs[stage].message_bytes, self._fraction(stage, microbatch))
        return self._known_sizes[key]

    def recompute(self, stage: int, microbatch: int) -> OpCost:
        """Return the cost of running the forward again: the checkpoint gives way to the activation."""
        key = (Kind.RECOMPUTE, stage, self._is_last(stage, microbatch))
        if key not in self._known:
            cost, fraction = self._costs[stage], self._fraction(stage, microbatch)
            taken = scaled(cost.activation_bytes, fraction) - scaled(cost.checkpoint_bytes, fraction)
            self._known[key] = OpCost(scaled(cost.recompute_ps, fraction), taken, 0)
        return self._known[key]

    def action(self, action: Action) -> OpCost:
        """Return the cost of a plain F, B, I or W."""
        kind, stage, microbatch = action
        key = (kind, stage, self._is_last(stage, microbatch))
        if key not in self._known:
            duration_ps = scaled(self._full_ps(kind, stage), self._fraction(stage, microbatch))
            self._known[key] = OpCost(duration_ps + self._costs[stage].host_gap_ps, *self._memory_bytes(action))
        return self._known[key]

    def sizes_bytes(self, stages: Numbers, microbatches: Numbers) -> Numbers:
        """Return the sizes of the activations that stages send on. [bytes]"""
        last = list(enumerate(self._last_microbatch))
        full = [self.message_bytes(stage, microbatch + 1) for stage, microbatch in last]
        short = [self.message_bytes(stage, microbatch) for stage, microbatch in last]
        sizes = np.array([*full, *short], dtype=np.int64)
        return taken(sizes, stages + len(last) * self.are_short(stages, microbatches))

    def are_short(self, stages: Numbers, microbatches: Numbers) -> Flags:
        """Return which of these are last micro-batches that are smaller than the others."""
        if not self._has_short:
            return np.zeros(len(stages), dtype=np.bool_)
        last: Flags = microbatches % self._microbatches_per_step == np.array(self._last_microbatch)[stages]
        return last

    def is_short(self, stage: int, microbatch: int) -> bool:
        """Return whether this is a last micro-batch that is smaller than the others."""
        return self._has_short and self._is_last(stage, microbatch)

    def recomputes_exchanges(self, stage: int) -> bool:
        """Return whether a recomputation on a stage exchanges what a forward does, and not its own exchanges alone."""
        return self._costs[stage].recomputes_exchanges

    def exchanges(self, kind: Kind, stage: int, microbatch: int) -> list[Exchange]:
        """Return what the ops of a kind (F, I, W or RECOMPUTE) exchange within groups for this micro-batch."""
        fraction = self._fraction(stage, microbatch)
        return [
            exchange if fraction is FULL else replace(exchange, size_bytes=scaled(exchange.size_bytes, fraction))
            for exchange in self._costs[stage].exchanges
            if exchange.kind is kind
        ]

    def overlap(self, slot: Overlap) -> OpCost:
        """Return the cost of an overlapped pair: its parts, less the mean of what overlapping saves on their stages."""
        total_ps = Fraction(0)
        start_bytes = end_bytes = 0
        for action in slot:
            cost, fraction = self._costs[action.stage], self._fraction(action.stage, action.microbatch)
            saved_ps = cost.forward_ps + cost.backward_ps - cost.forward_backward_ps
            total_ps += (self._full_ps(action.kind, action.stage) - Fraction(saved_ps, 2)) * fraction + cost.host_gap_ps
            taken, changed = self._memory_bytes(action)
            start_bytes, end_bytes = start_bytes + taken, end_bytes + changed
        return OpCost(-int(-total_ps // 1), start_bytes, end_bytes)

    def _fraction(self, stage: int, microbatch: int) -> Fraction:
        return self._last_fraction if self._is_last(stage, microbatch) else FULL

    def _is_last(self, stage: int, microbatch: int) -> bool:
        return microbatch % self._microbatches_per_step == self._last_microbatch[stage]

    def _full_ps(self, kind: Kind, stage: int) -> int:
        cost = self._costs[stage]
        return {
            Kind.F: cost.forward_ps,
            Kind.B: cost.backward_ps,
            Kind.I: cost.input_grad_ps,
            Kind.W: cost.weight_grad_ps,
        }[kind]

    def _memory_bytes(self, action: Action) -> tuple[int, int]:
        """Return the memory that an action takes at its start and the change at its end. [bytes]"""
        kind, stage, microbatch = action
        cost, fraction = self._costs[stage], self._fraction(stage, microbatch)
        activation = scaled(cost.activation_bytes, fraction)
        for_weight_grad = scaled(cost.weight_grad_activation_bytes, fraction)
        if kind is Kind.F:
            kept = scaled(cost.kept_bytes, fraction)
            return activation, kept - activation
        freed = {Kind.B: activation, Kind.I: activation - for_weight_grad, Kind.W: for_weight_grad}[kind]
        # a recomputation has taken it already
        is_taken = kind is Kind.W or cost.recompute_ps > 0
        return 0 if is_taken else activation - scaled(cost.kept_bytes, fraction), -freed
