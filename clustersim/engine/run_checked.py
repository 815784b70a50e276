"""The run-ahead form where ranks meet in collectives and links are shared: first run, then look who met whom.

All replicas go in lockstep, and every flow is taken to be alone. Then one looks which flows are on a link together with
more than it has room for; what becomes of those is worked out, and where some flow so ends at another time than was
taken, everything from the earlier of the two times on is done anew. Nothing that happens before it depends on that
flow's end: so what stands for good grows until it is all. Rates are then max-min fair at every moment, and the events of
a run follow from one another in one way only: so these are the times that the time-ordered form comes to.

References
----------
Jefferson, "Virtual time", ACM TOPLAS 7(3), 1985 (run ahead, and take back what proves too early).
"""

from __future__ import annotations

import numpy as np

from clustersim.engine.alone import AloneRates
from clustersim.engine.encounters import Capacities, links_to_watch, meeting_flows, rates_of
from clustersim.engine.group_vectors import GroupVector, group_vectors
from clustersim.engine.lockstep import FAR_PS, Lockstep
from clustersim.engine.meetings import Met, Rates, meet, still_busy
from clustersim.engine.network import Network
from clustersim.engine.noted import Noted
from clustersim.engine.open_flows import FlowKeys, FlowTable, OpenFlows
from clustersim.engine.record_checked import noted_in_lockstep
from clustersim.engine.record_programs import columns_of
from clustersim.engine.waking import Waking
from clustersim.engine.way_vectors import way_vectors
from clustersim.ops import Job
from clustersim.trace import Flags, Ints

_LARGEST_PS = 2**60  # of times together, before flows wait for one another
_MOST_AT_ONE_TIME = 20  # rounds that get no further
_FIRST_WINDOW = 4  # longest rows

# What is worth a round: seconds, as measured on one core, of which only ratios matter.
_IN_ORDER_S, _IN_LOCKSTEP_S, _MEETING_S = 12e-6, 10e-6, 40e-6  # a row of one rank, one of all, a flow that meets
_WORTH = 0.5



class Checked:
    """One run in this form."""

    def __init__(
        self, job: Job, network: Network, lockstep: Lockstep, groups: list[GroupVector], capacities: Capacities
    ) -> None:
        self._job, self._network, self._lockstep, self._groups = job, network, lockstep, groups
        self._capacities, self._keys = capacities, FlowKeys(lockstep, groups)
        watched = links_to_watch(network, groups)
        self._open_flows = OpenFlows(lockstep, self._keys, watched, capacities)
        self._met: dict[int, tuple[int, int]] = {}  # flows that met others and may still, with their times [ps]
        self._rates: dict[int, Rates] = {}  # of flows that met others, for good
        self._num_looks = 0  # at a flow that meets others

    def run_to_end(self, at_any_cost: bool = False) -> Noted | None:
        """Run until nothing more happens; return what was noted, or None if ranks are stuck or flows meet too often."""
        lockstep, num_events = self._lockstep, 0
        window_ps = first_window_ps = _FIRST_WINDOW * lockstep.longest_ps()
        settled_ps, rounds_here = 0, 0
        while settled_ps < FAR_PS:
            num_events += lockstep.run_until(min(settled_ps + window_ps, FAR_PS), _run)
            if not lockstep.stopped and not lockstep.is_done():
                return None
            right_until_ps = self._look(lockstep.until_ps())
            rounds_here = 0 if right_until_ps > settled_ps else rounds_here + 1
            if not at_any_cost and (rounds_here > _MOST_AT_ONE_TIME or self._is_too_dear()):
                return None
            window_ps = min(2 * window_ps, FAR_PS) if right_until_ps == lockstep.until_ps() else first_window_ps
            settled_ps = right_until_ps
        return noted_in_lockstep(self._job, self._network, lockstep, self._groups, self._keys, self._rates, num_events)

    def _look(self, until_ps: int) -> int:
        """Look at what happens before a time; return until when it is right, having taken back and corrected the rest."""
        table, crossings = self._open_flows.until(until_ps)
        is_meeting = np.isin(table.key, list(self._met))
        is_meeting[meeting_flows(crossings, self._capacities)] = True
        ends_ps, found = self._meet(table, is_meeting)
        wrong = np.flatnonzero(ends_ps != table.end_ps)
        right_until_ps = min(until_ps, int(np.minimum(ends_ps, table.end_ps)[wrong].min(initial=FAR_PS)))
        if len(wrong):
            self._lockstep.go_back(right_until_ps)
            self._correct(table.key[wrong], (ends_ps - table.begin_ps)[wrong])
        self._rates |= {key: own.rates for key, own in found.items() if own.end_ps < right_until_ps}
        self._met = {key: self._met[key] for key in still_busy(self._met, right_until_ps)}
        self._open_flows.forget_before(right_until_ps)
        return right_until_ps

    def _meet(self, table: FlowTable, is_meeting: Flags) -> tuple[Ints, dict[int, Met]]:
        """Return when each flow of a table ends, and what becomes of those that meet others."""
        ends_ps = table.alone_end_ps.copy()
        keys = table.key[is_meeting].tolist()
        begins_ps = {key: begin_ps for key, (begin_ps, _) in self._met.items()}
        begins_ps |= zip(keys, table.begin_ps[is_meeting].tolist(), strict=True)
        self._num_looks += len(begins_ps)
        flows = [(begin_ps, self._keys.spec(key)) for key, begin_ps in begins_ps.items()]
        found = dict(zip(begins_ps, meet(flows, self._network.cluster), strict=True)) if flows else {}
        self._met = {key: (begins_ps[key], own.end_ps) for key, own in found.items()}
        ends_ps[is_meeting] = [found[key].end_ps for key in keys]
        return ends_ps, found

    def _correct(self, keys: Ints, drains_ps: Ints) -> None:
        """Let flows drain for so long from now on."""
        lockstep, num_replicas, first_phase = self._lockstep, self._keys.num_replicas, self._keys.first[0]
        of_messages: dict[int, list[tuple[int, int]]] = {}
        of_phases: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
        vectors: dict[int, GroupVector] = {}
        for key, drain_ps in zip(keys.tolist(), drains_ps.tolist(), strict=True):
            if key < first_phase:
                message, replica = divmod(key, num_replicas)
                of_messages.setdefault(message, []).append((replica, drain_ps))
            else:
                vector, number, phase, group = self._keys.phase(key)
                vectors[id(vector)] = vector
                of_phases.setdefault((id(vector), number), []).append((phase, group, drain_ps))
        for message, own in of_messages.items():
            drains = lockstep.arrived_ps[message] - lockstep.started_ps[message]
            for replica, drain_ps in own:
                drains[replica] = drain_ps
            lockstep.assume(message, drains)
        for (position, number), entries in of_phases.items():
            drains = vectors[position].phases_ps(number)[1].copy()
            for phase, group, drain_ps in entries:
                drains[phase, group] = drain_ps
            vectors[position].assume(number, drains)

    def _is_too_dear(self) -> bool:
        """Return whether it would cost more to go on than to take all events in the order of their times."""
        lockstep = self._lockstep
        num_rows = sum(map(len, lockstep.rows))
        so_far_s = lockstep.num_rows_run * _IN_LOCKSTEP_S + self._num_looks * _MEETING_S
        return so_far_s > _WORTH * num_rows * self._keys.num_replicas * _IN_ORDER_S


def checked(job: Job, network: Network) -> Checked | None:
    """Return the run of a job in this form, or None if it cannot have it: its replicas differ in more than times."""
    first, num_replicas = job.pipelines[0], len(job.pipelines)
    if any(one.messages is not first.messages or one.calls is not first.calls for one in job.pipelines):
        return None
    columns, rates = columns_of(first), AloneRates(network.cluster)
    kinds, way_of_message = columns.kinds_of_messages
    ways = way_vectors(network, kinds, num_replicas, rates)
    groups = group_vectors(job, network, rates)
    if ways is None or groups is None:
        return None
    vectors = list({id(vector): vector for vector in groups.values()}.values())
    capacities = Capacities(network.cluster, network.fair_links, rates_of(ways, vectors))
    lockstep = Lockstep(job, groups, ways, way_of_message.tolist())
    if not capacities.fits_64_bits or lockstep.sum_ps() > _LARGEST_PS:
        return None
    return Checked(job, network, lockstep, vectors, capacities)


def _run(env: Waking) -> int:
    return env.run_to_end(lambda _num_events: None)
