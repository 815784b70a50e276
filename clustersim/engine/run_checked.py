"""The run-ahead form where ranks meet in collectives and links are shared: first run, then look who met whom.

All replicas go in lockstep, and every flow is taken to drain as the last one of its kind did, or as if it were alone.
Then one looks which flows are on a link together with more than it has room for, and what waits for those; what becomes
of them is worked out, and where some flow so ends at another time than was taken, everything from the earlier of the
two times on is done anew. Nothing that happens before then depends on that flow's end: so what stands for good grows
until it is all. Rates are max-min fair at every moment in the end, and the events of a run follow from one another in
one way only: so these are the times that the time-ordered form comes to, whatever was taken at first.

References
----------
Jefferson, "Virtual time", ACM TOPLAS 7(3), 1985 (run ahead, and take back what proves too early).
"""

from __future__ import annotations

import numpy as np

from clustersim.engine.alone import AloneRates
from clustersim.engine.chains import Follower, with_followers
from clustersim.engine.encounters import Capacities, links_to_watch, meeting_flows, rates_of
from clustersim.engine.group_vectors import GroupVector, group_vectors
from clustersim.engine.lockstep import FAR_PS, Lockstep
from clustersim.engine.meetings import Met, RateNote, UnderWay, new_rates
from clustersim.engine.network import Network
from clustersim.engine.noted import Noted
from clustersim.engine.open_flows import FlowKeys, FlowSpec, FlowTable, OpenFlows
from clustersim.engine.parts_met import Meetings
from clustersim.engine.record_checked import noted_in_lockstep
from clustersim.engine.record_programs import columns_of
from clustersim.engine.waking import Waking
from clustersim.engine.way_vectors import way_vectors
from clustersim.ops import Job
from clustersim.trace import Flags, Ints

_LARGEST_PS = 2**60  # of times together, before flows wait for one another
_MOST_AT_ONE_TIME, _MOST_AT_ANY_COST = 20, 1_000  # rounds that get no further
_FIRST_WINDOW = 2  # longest rows

# What is worth a round: seconds, as measured on one core, of which only ratios matter.
_IN_ORDER_S, _IN_LOCKSTEP_S, _MEETING_S = 12e-6, 10e-6, 40e-6  # a row of one rank, one of all, a flow that meets
_WORTH = 0.5  # share of what events in order would take that a run in lockstep may take and be gone on with
_FEWEST_REPLICAS, _FEWEST_ROWS = 4, 20_000  # fewer are as fast in order


def is_worth_a_look(job: Job) -> bool:
    """Return whether there are enough replicas, and rows of all ranks, to run them in lockstep."""
    num_rows = sum(map(len, job.pipelines[0].programs)) * len(job.pipelines)
    return len(job.pipelines) >= _FEWEST_REPLICAS and num_rows >= _FEWEST_ROWS


class Checked:
    """One run in this form."""

    def __init__(
        self, job: Job, network: Network, lockstep: Lockstep, groups: list[GroupVector], capacities: Capacities
    ) -> None:
        self._job, self._network, self._lockstep, self._groups = job, network, lockstep, groups
        self._capacities, self._keys = capacities, FlowKeys(lockstep, groups)
        watched = links_to_watch(network, groups, capacities)
        self._open_flows = OpenFlows(lockstep, self._keys, watched, capacities)
        self._meetings = Meetings(network.cluster)
        self._met: dict[int, tuple[FlowSpec, UnderWay]] = {}  # flows that met others and have not ended
        self._rates: dict[int, list[RateNote]] = {}  # of flows that met others, up to what is settled
        self._settled_ps = 0
        self._found: dict[int, Met] = {}  # what becomes of flows that meet others, as it was looked at last
        self._num_looks = 0  # at a flow that meets others

    def run_to_end(self, at_any_cost: bool = False) -> Noted | None:
        """Run until nothing more happens; return what was noted, or None if ranks are stuck or flows meet too often."""
        lockstep, num_events, rounds_here = self._lockstep, 0, 0
        longest_ps = lockstep.longest_ps()
        first_window_ps = window_ps = _FIRST_WINDOW * longest_ps
        while self._settled_ps < FAR_PS:
            num_events += lockstep.run_until(min(self._settled_ps + window_ps, FAR_PS), _run)
            if lockstep.is_stuck():
                return None
            before_ps = self._settled_ps
            is_right = self._look(lockstep.until_ps(), first_window_ps)
            rounds_here = 0 if self._settled_ps > before_ps else rounds_here + 1
            if rounds_here > (_MOST_AT_ANY_COST if at_any_cost else _MOST_AT_ONE_TIME):
                return None
            if not at_any_cost and self._is_too_dear():
                return None
            # How far one got before flows met tells nothing of how far one gets now that they do.
            gained_ps = min(self._settled_ps - before_ps, first_window_ps)
            window_ps = min(2 * window_ps, FAR_PS) if is_right else max(longest_ps, 2 * gained_ps)
        return noted_in_lockstep(self._job, lockstep, self._groups, self._keys, self._rates, num_events)

    def _look(self, until_ps: int, window_ps: int) -> bool:
        """Look at what happens before a time, or not long after flows first meet; settle what is right.

        Return whether it all is; else the rest has been taken back, and drains as it does is taken into account.
        """
        table, crossings = self._open_flows.until(until_ps)
        is_meeting = np.isin(table.key, list(self._met))
        meeting = meeting_flows(crossings, self._capacities)
        is_meeting[meeting] = True
        if len(meeting):
            first_ps = max(self._settled_ps, int(table.begin_ps[meeting].min()))
            until_ps = min(until_ps, first_ps + window_ps)
            is_there = table.begin_ps < until_ps
            table, is_meeting = FlowTable(*(column[is_there] for column in table)), is_meeting[is_there]
        is_meeting, waiting = with_followers(table, is_meeting, self._keys)
        begins_ps, ends_ps = self._meet(table, is_meeting, waiting)
        first_end_ps = np.minimum(ends_ps, table.end_ps)  # what ends later depends on what has yet to begin
        is_wrong = ((ends_ps != table.end_ps) | (begins_ps != table.begin_ps)) & (first_end_ps < until_ps)
        wrong = np.flatnonzero(is_wrong)
        right_until_ps = min(until_ps, int(first_end_ps[wrong].min(initial=FAR_PS)))
        if len(wrong):
            self._lockstep.go_back(right_until_ps)
            self._correct(table.key[wrong], (ends_ps - begins_ps)[wrong])
        self._settle(right_until_ps)
        return not len(wrong)

    def _meet(self, table: FlowTable, is_meeting: Flags, waiting: dict[int, Follower]) -> tuple[Ints, Ints]:
        """Return when each flow of a table begins and ends; what becomes of those that meet others is kept."""
        begins_ps, ends_ps = table.begin_ps.copy(), table.alone_end_ps.copy()
        keys = table.key[is_meeting].tolist()
        new = [
            (key, begin_ps, self._keys.spec(key))
            for key, begin_ps in zip(keys, table.begin_ps[is_meeting].tolist(), strict=True)
            if key not in self._met
        ]
        self._num_looks += len(keys)
        self._found = {}
        if keys:
            self._found = self._meetings.meet(new, self._met, self._settled_ps, waiting)
        ends_ps[is_meeting] = [self._found[key].end_ps for key in keys]
        is_new = is_meeting & ~np.isin(table.key, list(self._met))
        begins_ps[is_new] = [self._found[key].begin_ps for key, _, _ in new]
        return begins_ps, ends_ps

    def _settle(self, time_ps: int) -> None:
        """Let all stand that happens before a time, and note how flows that met others have drained until then."""
        if time_ps == self._settled_ps:
            return
        met = {}
        for key, own in self._found.items():
            if own.begin_ps >= time_ps:
                continue
            before = self._met.get(key)
            rates = new_rates(own, before[1] if before is not None else None)
            self._rates.setdefault(key, []).extend(rate for rate in rates if rate[0] < time_ps)
            if own.end_ps >= time_ps:
                met[key] = (self._keys.spec(key), own.at(time_ps))
        self._met, self._settled_ps = met, time_ps
        self._open_flows.forget_before(time_ps)

    def _correct(self, keys: Ints, drains_ps: Ints) -> None:
        """Let flows drain for so long from now on."""
        lockstep, num_replicas, first_phase = self._lockstep, self._keys.num_replicas, self._keys.first[0]
        of_messages: dict[int, list[tuple[int, int]]] = {}
        of_phases: dict[GroupVector, dict[int, list[tuple[int, int, int]]]] = {}
        for key, drain_ps in zip(keys.tolist(), drains_ps.tolist(), strict=True):
            if key < first_phase:
                message, replica = divmod(key, num_replicas)
                of_messages.setdefault(message, []).append((replica, drain_ps))
            else:
                vector, number, phase, group = self._keys.phase(key)
                of_phases.setdefault(vector, {}).setdefault(number, []).append((phase, group, drain_ps))
        for message, own in of_messages.items():
            drains = lockstep.arrived_ps[message] - lockstep.started_ps[message]
            for replica, drain_ps in own:
                drains[replica] = drain_ps
            lockstep.assume(message, drains)
        for vector, found in of_phases.items():
            vector.assume(found)

    def _is_too_dear(self) -> bool:
        """Return whether it would cost more to go on than to take all events in the order of their times."""
        lockstep = self._lockstep
        so_far_s = lockstep.num_stretches_run * _IN_LOCKSTEP_S + self._num_looks * _MEETING_S
        return so_far_s > _WORTH * lockstep.num_rows * self._keys.num_replicas * _IN_ORDER_S


def checked(job: Job, network: Network) -> Checked | None:
    """Return the run of a job in this form, or None if it cannot have it.

    A policy and blocking messages need the order of times; and replicas have to differ in times alone.
    """
    if job.policy is not None or job.blocking:
        return None
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
