"""What a run notes of collectives, and of the rates of flows, in the order in which traces have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clustersim.ops import CollectivePlan, Phase
from clustersim.trace import Floats, Ints

_NOTHING = np.empty(0, dtype=np.int64)


class NotedCollectives(NamedTuple):
    """A row for each collective, by group, and by its order in that. [ps]"""

    plans: Sequence[CollectivePlan] = ()  # each once
    group: Ints = _NOTHING
    order: Ints = _NOTHING
    plan: Ints = _NOTHING  # index into `plans`
    queued_ps: Ints = _NOTHING
    start_ps: Ints = _NOTHING
    end_ps: Ints = _NOTHING


class NotedPhases(NamedTuple):
    """A row for each phase of a collective, by row of that, and one after the other. [ps]"""

    kinds: Sequence[Phase] = ()  # each once
    collective: Ints = _NOTHING
    kind: Ints = _NOTHING  # index into `kinds`
    start_ps: Ints = _NOTHING  # of its draining
    end_ps: Ints = _NOTHING


class NotedRates(NamedTuple):
    """A row for each rate that a flow got, by time and then by flow; it holds until the flow's next one, or its end.

    Flows are messages, by replica, and then phases.
    """

    flow: Ints = _NOTHING
    start_ps: Ints = _NOTHING
    bytes_per_s: Floats = np.empty(0)
    bottleneck: Ints = _NOTHING  # number of the link that set the rate


def in_order(parts: Sequence[NotedRates]) -> NotedRates:
    """Return rates that were noted in any order but that of each flow, in the order in which they belong."""
    flow = np.concatenate([_NOTHING, *(own.flow for own in parts)])
    start_ps = np.concatenate([_NOTHING, *(own.start_ps for own in parts)])
    order = np.lexsort((flow, start_ps))
    flow, start_ps = flow.take(order), start_ps.take(order)
    return NotedRates(
        flow,
        start_ps,
        np.concatenate([np.empty(0), *(own.bytes_per_s for own in parts)]).take(order),
        np.concatenate([_NOTHING, *(own.bottleneck for own in parts)]).take(order),
    )
