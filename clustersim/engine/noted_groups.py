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
    """A row for each rate that a flow got; it holds until the next one of that flow, or its end.

    Flows are messages, by replica, and then phases. Those of one flow stand in the order of time.
    """

    flow: Ints = _NOTHING
    start_ps: Ints = _NOTHING
    bytes_per_s: Floats = np.empty(0)
    bottleneck: Ints = _NOTHING  # number of the link that set the rate
