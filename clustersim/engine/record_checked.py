"""What a run in lockstep leaves, in the order in which traces have it: replica after replica, group after group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clustersim.engine.group_table import GroupTable
from clustersim.engine.group_vectors import GroupVector
from clustersim.engine.lockstep import Lockstep
from clustersim.engine.meetings import RateNote
from clustersim.engine.noted import Noted
from clustersim.engine.noted_groups import NotedRates, in_order
from clustersim.engine.open_flows import FlowKeys
from clustersim.engine.run_ahead import RUN_AHEAD
from clustersim.ops import Job
from clustersim.trace import Ints


def noted_in_lockstep(
    job: Job,
    lockstep: Lockstep,
    groups: Sequence[GroupVector],
    keys: FlowKeys,
    met: Mapping[int, Sequence[RateNote]],
    num_events: int,
) -> Noted:
    """Return what was noted.

    Parameters
    ----------
    job
        What was run.
    lockstep, groups
        Its replicas and groups at their end.
    keys
        Numbers of flows.
    met
        The rates of the flows that met others.
    num_events
        SimPy events.
    """
    num_replicas, num_messages = len(job.pipelines), lockstep.arrived_ps.size
    starts_ps = lockstep.starts_ps()  # with which the times of collectives follow that nothing can delay
    table, row_of_met = GroupTable(job, groups), _rows_of_messages(lockstep, keys, met)
    met_keys = np.sort(np.fromiter(met, dtype=np.int64))
    for vector in groups:
        own_keys = keys.of_vector(vector)
        own = met_keys[slice(*np.searchsorted(met_keys, [own_keys.start, own_keys.stop]))]
        rows = num_messages + table.note(vector, own - own_keys.start)
        row_of_met |= zip(own.tolist(), rows.tolist(), strict=True)
    notes = [(row_of_met[key], *note) for key, own_notes in met.items() for note in own_notes]
    of_messages, num_messages_that_flow = _rates_of_messages(lockstep, keys, met)
    rates = [*of_messages, table.rates_alone(num_messages), *_as_rates(notes)]
    num_flows = num_messages_that_flow + table.num_flows
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
        f"{RUN_AHEAD}, {vectors}, {len(met)} of {num_flows} flows met others",
        table.collectives(),
        table.phases(),
        in_order(rates),
    )


def _by_replica(table: Ints) -> Ints:
    return np.ascontiguousarray(table.T).reshape(-1)


def _rows_of_messages(lockstep: Lockstep, keys: FlowKeys, met: Mapping[int, Sequence[RateNote]]) -> dict[int, int]:
    """Return the rows of those messages that met other flows, by their keys."""
    num_messages, num_replicas = lockstep.arrived_ps.shape
    places = {key: divmod(key, num_replicas) for key in met if key < keys.first[0]}
    return {key: replica * num_messages + message for key, (message, replica) in places.items()}


def _rates_of_messages(
    lockstep: Lockstep, keys: FlowKeys, met: Mapping[int, Sequence[RateNote]]
) -> tuple[list[NotedRates], int]:
    """Return the rates of messages that met no other flow, and how many messages are flows."""
    num_messages, num_replicas = lockstep.arrived_ps.shape
    way_of_message, num_flows = np.array(lockstep.way_of_message, dtype=np.int64), 0
    is_met = np.zeros(num_messages * num_replicas, dtype=np.bool_)
    is_met[[key for key in met if key < keys.first[0]]] = True
    rates = []
    for number, way in enumerate(lockstep.ways):
        if not way.links:
            continue
        messages = np.flatnonzero(way_of_message == number)
        num_flows += len(messages) * num_replicas
        is_alone = (np.broadcast_to(way.drain_ps, num_replicas) > 0) & ~is_met[keys.of_message(messages)]
        row, replica = np.nonzero(is_alone)
        rate = np.array([float(alone.rate) for alone in way.alone])[replica]
        bottleneck = np.array([alone.bottleneck for alone in way.alone], dtype=np.int64)[replica]
        flow = replica * num_messages + messages[row]
        rates.append(NotedRates(flow, lockstep.started_ps[messages][is_alone], rate, bottleneck))
    return rates, num_flows


def _as_rates(notes: Sequence[tuple[int, int, float, int]]) -> list[NotedRates]:
    """Return rates that were noted one by one: flow, time [ps], rate [bytes/s] and bottleneck of each."""
    if not notes:
        return []
    flow, start_ps, bytes_per_s, bottleneck = zip(*notes, strict=True)
    return [NotedRates(np.array(flow), np.array(start_ps), np.array(bytes_per_s), np.array(bottleneck))]
