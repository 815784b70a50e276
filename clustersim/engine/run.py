"""Runs a job on a cluster until every rank is done, in whichever form is the fastest that gives the exact result."""

from __future__ import annotations

from dataclasses import replace

from clustersim.engine.budget import no_garbage_collection, run_too_long, within_64_bits
from clustersim.engine.clock import Timeline
from clustersim.engine.compiled import COMPILED, noted_by_kernel
from clustersim.engine.folding.alike import run_of_one_each
from clustersim.engine.folding.fold import FoldedNetwork, Folding, folding_of
from clustersim.engine.folding.part import FoldedRun
from clustersim.engine.folding.whole import whole_trace
from clustersim.engine.network import Network
from clustersim.engine.noted import TIME_ORDERED, Noted
from clustersim.engine.record import record
from clustersim.engine.run_ahead import RUN_AHEAD, RunAhead, what_needs_time_order
from clustersim.engine.run_checked import checked, is_worth_a_look
from clustersim.engine.time_ordered import TimeOrdered
from clustersim.errors import ClustersimError, DeadlockError, nearest
from clustersim.limits import Limits
from clustersim.ops import Job
from clustersim.topology.cluster import Cluster
from clustersim.trace import Trace

ENGINES = (RUN_AHEAD, TIME_ORDERED, COMPILED)
"""Forms of the engine that can be asked for."""

_TOO_LATE_PS = 2**62  # for a row to start


def run(
    job: Job, cluster: Cluster, limits: Limits | None = None, engine: str | None = None, fold: bool = True
) -> Trace:
    """Return the trace of `job` on `cluster`.

    Parameters
    ----------
    job, cluster
        What to run, and where.
    limits
        Budgets of the run.
    engine
        "time-ordered" to have all events in the order of their times, also where that changes nothing, or "compiled" to
        have none at all, where that is possible and no budget is set, or "run-ahead" to have GPUs run ahead wherever
        they can, even where that takes longer; by default the form is the fastest in SimPy.
    fold
        Whether to simulate one replica of each class of those that provably do the same; see ``engine.folding``. If
        not, all are, and are then compared; those that did the same, as they have to, are recorded and analysed once.

    Raises
    ------
    UnroutableError
        Two GPUs that exchange messages have no path between them.
    ClustersimError
        There is no such engine.
    DeadlockError
        Ranks wait for one another for ever; the message names the cycle.
    LimitError
        A budget was used up before the end.
    InputError
        The run lasts longer than 2**62 ps, which is 53 days.
    """
    if engine is not None and engine not in ENGINES:
        hint = nearest(engine, ENGINES)
        raise ClustersimError(f"engine: got {engine!r}; allowed: {', '.join(ENGINES)}, or None{hint and f' ({hint})'}")
    with no_garbage_collection(), within_64_bits():
        folding = folding_of(job, cluster)
        why = "as asked for" if not fold else folding if isinstance(folding, str) else ""
        if fold and isinstance(folding, Folding):
            try:
                return _folded(folding, limits or Limits(), engine)
            except DeadlockError:  # the run of all tells who waits for whom
                why = "it comes to a deadlock"
        network = Network(Timeline(), cluster, job)
        noted = run_noting(job, network, limits or Limits(), engine)
        one_each = run_of_one_each(folding, noted) if isinstance(folding, Folding) else None
        if one_each is not None:
            return whole_trace(one_each, lambda: record(network, noted), why)
        return replace(record(network, noted), unfolded_because=why)


def _folded(folding: Folding, limits: Limits, engine: str | None) -> Trace:
    network = FoldedNetwork(Timeline(), folding)
    return whole_trace(FoldedRun(network, run_noting(folding.job, network, limits, engine)))


def run_noting(job: Job, network: Network, limits: Limits, engine: str | None = None) -> Noted:
    """Return what a run notes.

    Parameters
    ----------
    job, network, limits, engine
        As :func:`run` takes them; what the job is run over.

    Raises
    ------
    DeadlockError, LimitError, InputError
        As :func:`run` does.
    """
    noted = _noted(job, network, limits, engine)
    # No rank computes for longer than that, so that no end is too late for 64 bits.
    if int(noted.starts_ps.max(initial=0)) >= _TOO_LATE_PS:
        raise run_too_long()
    return noted


def _noted(job: Job, network: Network, limits: Limits, engine: str | None) -> Noted:
    reason = "as asked for" if engine == TIME_ORDERED else what_needs_time_order(job, network)
    if not reason:
        # The kernel has neither events nor steps between which a budget could be looked at.
        is_compiled = engine == COMPILED and limits == Limits()
        noted = noted_by_kernel(job, network) if is_compiled else RunAhead(job, network).run_to_end(limits)
        if noted is not None:
            return noted
        # Stuck, or too long to count in 64 bits. Events in the order of their times tell who waits for whom.
        reason = "times do not fit into 64 bits"
    elif limits == Limits() and engine != TIME_ORDERED and (engine == RUN_AHEAD or is_worth_a_look(job)):
        in_lockstep = checked(job, network)
        noted = in_lockstep.run_to_end(engine == RUN_AHEAD) if in_lockstep is not None else None
        if noted is not None:
            return noted
    return replace(TimeOrdered(job, network).run_to_end(limits), engine=f"{TIME_ORDERED}: {reason}")
