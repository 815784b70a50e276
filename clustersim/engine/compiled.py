"""Static programs without SimPy: the same times from one loop over arrays, for many runs of one shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustersim.engine.budget import run_within
from clustersim.engine.clock import Actor, Hold
from clustersim.engine.cohort import Cohort, Time, Timing, cohorts_of
from clustersim.engine.kernel import Indices, Plan, Programs, Times, is_compiled, new_state, plan_of, run_all
from clustersim.engine.network import Network
from clustersim.engine.noted import Noted
from clustersim.engine.run_vector import Vector
from clustersim.engine.waking import Meeting, Waking
from clustersim.limits import Limits
from clustersim.ops import Job, Kind
from clustersim.trace import Ints

COMPILED = "compiled"


def noted_by_kernel(job: Job, network: Network) -> Noted | None:
    """Return what a run of `job` would note, or None if some rank is stuck or times do not fit into 64 bits.

    The job has to be one that can run ahead.
    """
    batches = [Batch(cohort, network) for cohort in cohorts_of(job, network)]
    plans = [batch.plan for batch in batches if batch.fits and batch.plan is not None]
    if len(plans) < len(batches):
        return None
    states = [
        new_state(plan, len(batch.cohort.replicas), len(batch.cohort.links))
        for plan, batch in zip(plans, batches, strict=True)
    ]
    if not run_all(plans, [batch.times for batch in batches], states, together=True):
        return None
    noted: dict[int, tuple[Ints, ...]] = {}  # starts, and starts and arrivals of messages, by replica
    queued: dict[int, int] = {}
    for batch, plan, state in zip(batches, plans, states, strict=True):
        sent = (_put_back(times_ps, plan.message) for times_ps in (state.started, state.arrived))
        columns = (_put_back(state.start, plan.row), *sent)
        noted |= zip(batch.cohort.replicas, zip(*columns, strict=True), strict=True)
        for numbers, waits in zip(batch.cohort.links, state.queued.T.tolist(), strict=True):
            queued |= zip(numbers, waits, strict=True)
    how = COMPILED if is_compiled() else f"{COMPILED} (numba is not installed: plain Python)"
    in_order = [noted[replica] for replica in range(len(job.pipelines))]
    starts_ps, started_ps, arrived_ps = (np.concatenate(columns) for columns in zip(*in_order, strict=True))
    return Noted(job, starts_ps, None, started_ps, arrived_ps, queued, 0, how)


def _put_back(times_ps: Ints, places: Indices) -> Ints:
    """Return the times of each member in the order of its programs; ``places[n]`` is where the n-th of a plan goes."""
    put = np.empty_like(times_ps)
    put[:, places] = times_ps
    return put


class Batch:
    """A cohort as the kernel takes it."""

    def __init__(self, cohort: Cohort, network: Network) -> None:
        self.cohort = cohort
        timing = Timing(cohort, network)
        columns = timing.columns
        hops = [hop for way in timing.ways for hop in way]
        self.timing, self._hop_links = timing, np.array([link for link, _, _ in hops], dtype=np.int64)
        num_members = len(cohort.replicas)
        durations = [time for rank in range(columns.num_ranks) for time in timing.durations_ps(rank)]
        self.fits = timing.fits_64_bits()
        self.times = Times(
            _table(durations, num_members),
            _table([hold for _, hold, _ in hops], num_members),
            _table([latency for _, _, latency in hops], num_members),
        )

    @cached_property
    def plan(self) -> Plan | None:
        """In which order rows are evaluated; None if some rank is stuck."""
        columns, timing = self.timing.columns, self.timing
        programs = Programs(
            columns.first_op,
            columns.kind == Kind.BARRIER,
            _firsts(columns.needs.count),
            columns.needs.joined,
            _firsts(columns.sends.count),
            columns.sends.joined,
        )
        first_hop = _firsts(np.array([len(way) for way in timing.ways], dtype=np.int64))
        return plan_of(programs, timing.way_of_message, first_hop, self._hop_links)


def _firsts(counts: Ints) -> Ints:
    return np.append(0, np.cumsum(counts)).astype(np.int64)


def _table(times: list[Time], num_members: int) -> Ints:
    """Return times as one row for all members, where they agree, or a row for each. [ps]"""
    if all(isinstance(time, int) for time in times):
        return np.array([times], dtype=np.int64).reshape(1, -1)
    return np.ascontiguousarray(np.array([np.broadcast_to(time, num_members) for time in times], dtype=np.int64).T)


@dataclass(frozen=True, slots=True)
class StaticRuns:
    """One pipeline to be run many times, each time with other durations of its ops.

    Parameters
    ----------
    kinds, stages, microbatches, ranks
        What each row is: its kind, stage and micro-batch (-1 where it has none), and pp_rank.
    durations_ps
        How long each row lasts by itself. [ps]
    """

    kinds: Ints
    stages: Ints
    microbatches: Ints
    ranks: Ints
    durations_ps: Ints
    timing: Timing
    batch: Batch

    def makespans_ps(self, durations_ps: Ints) -> Ints:
        """Return the makespan of each draw; ``durations_ps[draw, row]`` is how long each row lasts in it. [ps]

        Draws have nothing to do with one another: the ranks of each meet at barriers of their own. Without numba they
        run as vectors in SimPy.

        Raises
        ------
        OverflowError
            Times may be too long for 64 bits.
        """
        longest_ps = int(durations_ps.max(initial=0))
        if not self.timing.fits_64_bits(longest_ps * len(self.kinds)):
            raise OverflowError(f"ops of up to {longest_ps} ps may add up to more than 64 bits hold")
        num_at_once = max(1, _ROWS_AT_ONCE // max(1, len(self.kinds)))
        parts = [durations_ps[first : first + num_at_once] for first in range(0, len(durations_ps), num_at_once)]
        return np.concatenate([np.empty(0, dtype=np.int64), *map(self._makespans_ps, parts)])

    def _makespans_ps(self, durations_ps: Ints) -> Ints:
        plan = self.batch.plan if is_compiled() else None
        if plan is None:
            return _ends_of_vectors(self.timing, durations_ps)
        state = new_state(plan, len(durations_ps), len(self.batch.cohort.links), is_kept=False)
        times = self.batch.times._replace(duration=np.ascontiguousarray(durations_ps, dtype=np.int64))
        run_all([plan], [times], [state], together=False)
        return np.asarray(state.clock.max(axis=1))


_ROWS_AT_ONCE = 2**21


def _ends_of_vectors(timing: Timing, draws_ps: Ints) -> Ints:
    """Return the makespan of each draw by processes that run ahead, a clock for each draw. [ps]"""
    env = Waking()
    vector = Vector(env, timing, draws_ps)
    meeting = Meeting(env, vector.num_ranks, together=False)
    for pp_rank in range(vector.num_ranks):
        hold = Hold(env)
        Actor(env, vector.gpu(pp_rank, hold, meeting), hold)
    run_within(Limits(), env)
    return vector.end_ps


def static_runs_of(job: Job, network: Network) -> StaticRuns:
    """Return the first replica of a job as something to be run many times; the job has to be one that can run ahead."""
    batch = Batch(cohorts_of(job, network)[0].of_one(0), network)
    timing = Timing(batch.cohort, network)
    columns = timing.columns
    return StaticRuns(
        columns.kind, columns.stage, columns.microbatch, columns.rank_index, batch.times.duration[0], timing, batch
    )
