"""What a run in lockstep leaves, in the order in which traces have it: replica after replica, group after group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.engine.fair import RateLog
from clustersim.engine.group_vectors import GroupVector, PlanVector
from clustersim.engine.lockstep import Lockstep
from clustersim.engine.meetings import RateNote
from clustersim.engine.network import Network
from clustersim.engine.noted import Noted
from clustersim.engine.open_flows import FlowKeys
from clustersim.engine.run_ahead import RUN_AHEAD
from clustersim.ops import Job
from clustersim.trace import Ints


def noted_in_lockstep(
    job: Job,
    network: Network,
    lockstep: Lockstep,
    groups: Sequence[GroupVector],
    keys: FlowKeys,
    rates: Mapping[int, Sequence[RateNote]],
    num_events: int,
) -> Noted:
    """Return what was noted; collectives and rates are noted where the network has them.

    Parameters
    ----------
    job, network
        What was run, and where.
    lockstep, groups
        Its replicas and groups at their end.
    keys
        Numbers of flows.
    rates
        Of the flows that met others.
    num_events
        SimPy events.
    """
    starts_ps = lockstep.starts_ps()
    num_flows = _note_messages(lockstep, keys, network.rates, rates)
    num_messages = lockstep.arrived_ps.size
    met_keys = np.sort(np.fromiter(rates, dtype=np.int64))
    for vector in groups:
        num_flows += _note_groups(vector, keys, network, rates, met_keys, num_messages)
    num_replicas = len(job.pipelines)
    vectors = f"{num_replicas} of {num_replicas} replicas as vectors"
    return Noted(
        job,
        _by_replica(starts_ps),
        None,
        _by_replica(lockstep.started_ps),
        _by_replica(lockstep.arrived_ps),
        {
            number: waited_ps
            for links, served in lockstep.served.items()
            for number, waited_ps in zip(links, served[-1][1].tolist(), strict=True)
        },
        num_events,
        f"{RUN_AHEAD}, {vectors}, {len(rates)} of {num_flows} flows met others",
    )


def _by_replica(table: Ints) -> Ints:
    return np.ascontiguousarray(table.T).reshape(-1)


def _note_messages(lockstep: Lockstep, keys: FlowKeys, log: RateLog, met: Mapping[int, Sequence[RateNote]]) -> int:
    """Note the rates of messages; return how many of them are flows."""
    num_messages, num_replicas = lockstep.arrived_ps.shape
    way_of_message, num_flows = np.array(lockstep.way_of_message, dtype=np.int64), 0
    is_met = np.zeros(num_messages * num_replicas, dtype=np.bool_)
    of_messages = [key for key in met if key < keys.first[0]]
    is_met[of_messages] = True
    for number, way in enumerate(lockstep.ways):
        if not way.links:
            continue
        messages = np.flatnonzero(way_of_message == number)
        num_flows += len(messages) * num_replicas
        is_alone = (np.broadcast_to(way.drain_ps, num_replicas) > 0) & ~is_met[keys.of_message(messages)]
        row, replica = np.nonzero(is_alone)
        rate = np.array([float(alone.rate) for alone in way.alone])[replica]
        bottleneck = np.array([alone.bottleneck for alone in way.alone], dtype=np.int64)[replica]
        log.note_all(replica * num_messages + messages[row], lockstep.started_ps[messages][is_alone], rate, bottleneck)
    for key in of_messages:
        place = divmod(key, num_replicas)
        for note in met[key]:
            log.note(place[1] * num_messages + place[0], *note)
    return num_flows


def _note_groups(
    vector: GroupVector,
    keys: FlowKeys,
    network: Network,
    met: Mapping[int, Sequence[RateNote]],
    met_keys: Ints,
    first_flow: int,
) -> int:
    """Note the collectives of groups, their phases and the rates of those; return how many phases are flows."""
    log, num_groups = network.collectives, len(vector.numbers)
    first, number_of_kind = len(log.group), vector.kind_numbers
    log.note_collectives(
        np.tile(vector.numbers, len(vector.kinds)),
        np.repeat(np.arange(len(vector.kinds)), num_groups),
        np.stack([[log.plans.number(plan) for plan in own.plans] for own in vector.plans.values()])[number_of_kind],
        vector.queued_ps,
        vector.start_ps,
        vector.end_ps,
    )
    num_flows = 0
    for number, plan in enumerate(vector.plans.values()):
        mine = np.flatnonzero(number_of_kind == number)
        num_flows += _note_phases(vector, plan, mine, keys, network, met, met_keys, first, first_flow)
    return num_flows


def _note_phases(
    vector: GroupVector,
    plan: PlanVector,
    mine: Ints,
    keys: FlowKeys,
    network: Network,
    met: Mapping[int, Sequence[RateNote]],
    met_keys: Ints,
    first: int,
    first_flow: int,
) -> int:
    """Note the phases of some collectives of one kind, `mine`, and their rates; return how many are flows."""
    log, num_groups = network.collectives, len(vector.numbers)
    all_begin_ps, drains_ps = vector.phases_ps(mine)
    place, phase, group = np.nonzero(np.broadcast_to(plan.has_phase, drains_ps.shape))
    begins_ps = all_begin_ps[place, phase, group]
    kind = np.zeros(plan.drain_ps.shape, dtype=np.int64)
    for g, own in enumerate(plan.plans):
        kind[: len(own.phases), g] = [log.phases.number(one) for one in own.phases]
    first_row, collective = len(log.phase), first + mine[place] * num_groups + group
    log.note_phases(collective, kind[phase, group], begins_ps, begins_ps + drains_ps[place, phase, group])
    key = keys.of_collectives(vector, mine)[place, phase, group]
    is_met = np.zeros(len(key), dtype=np.bool_)
    if len(key) and not vector.are_links_own:
        is_met[:] = np.isin(key, met_keys[slice(*np.searchsorted(met_keys, [key.min(), key.max() + 1]))])
    is_alone = ~is_met & (plan.drain_ps[phase, group] > 0)
    alone_rate = np.zeros(plan.drain_ps.shape, dtype=np.float64)
    alone_link = np.zeros(plan.drain_ps.shape, dtype=np.int64)
    for g, rates in enumerate(plan.alone):
        for p, alone in enumerate(rates):
            alone_rate[p, g], alone_link[p, g] = float(alone.rate), alone.bottleneck
    flow = first_flow + first_row + np.arange(len(key))
    where = (phase[is_alone], group[is_alone])
    network.rates.note_all(flow[is_alone], begins_ps[is_alone], alone_rate[where], alone_link[where])
    for row in np.flatnonzero(is_met).tolist():
        for rate in met[int(key[row])]:
            network.rates.note(int(flow[row]), *rate)
    return int((~vector.has_own_links[group]).sum())
