"""An oracle that shares nothing with lowering and engine: the longest path through the graph of ops and messages.

It knows the rules of the contract only: a rank does its ops in order; a message leaves when its op ends, holds its link
for bytes / bandwidth behind the messages sent before it, and arrives a latency later; an op starts when its input is
there.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import networkx as nx

from clustersim.ops import Action, Kind, Schedule, StageCosts


def op_starts(schedule: Schedule, costs: Sequence[StageCosts], latency_ps: int, bytes_per_s: int) -> dict[Action, int]:
    """Return when each op starts, for plain orders over one chain and private links. [ps]"""
    graph: nx.DiGraph[Hashable] = nx.DiGraph()
    graph.add_node("begin", lasts=0)
    last_on_link: dict[tuple[int, int], Hashable] = {}
    for rank, order in enumerate(schedule.orders):
        before: Hashable = "begin"
        for action in order:
            assert isinstance(action, Action)
            graph.add_node(action, lasts=_duration(action, costs[action.stage]))
            graph.add_edge(before, action)
            before = action
            target = _target(action, schedule.num_stages)
            if target is None:
                continue
            receiver = schedule.rank_by_stage[target]
            consumers = [Action(kind, target, action.microbatch) for kind in _consumer_kinds(action)]
            if receiver == rank:
                for consumer in consumers:
                    graph.add_edge(action, consumer)
                continue
            size = costs[min(action.stage, target)].message_bytes
            link = ("link", action)
            graph.add_node(link, lasts=-(-size * 10**12 // bytes_per_s))
            graph.add_edge(action, link)
            if (rank, receiver) in last_on_link:
                graph.add_edge(last_on_link[rank, receiver], link)
            last_on_link[rank, receiver] = link
            wire = ("wire", action)
            graph.add_node(wire, lasts=latency_ps)
            graph.add_edge(link, wire)
            for consumer in consumers:
                graph.add_edge(wire, consumer)
    known = {action for order in schedule.orders for action in order}
    graph.remove_nodes_from([node for node in graph if isinstance(node, Action) and node not in known])
    ends: dict[Hashable, int] = {}
    starts: dict[Hashable, int] = {}
    for node in nx.topological_sort(graph):
        starts[node] = max((ends[before] for before in graph.predecessors(node)), default=0)
        ends[node] = starts[node] + graph.nodes[node]["lasts"]
    return {node: start for node, start in starts.items() if isinstance(node, Action)}


def _duration(action: Action, cost: StageCosts) -> int:
    return {
        Kind.F: cost.forward_ps,
        Kind.B: cost.input_grad_ps + cost.weight_grad_ps,
        Kind.I: cost.input_grad_ps,
        Kind.W: cost.weight_grad_ps,
    }[action.kind]


def _target(action: Action, num_stages: int) -> int | None:
    if action.kind is Kind.W:
        return None
    target = action.stage + (1 if action.kind is Kind.F else -1)
    return target if 0 <= target < num_stages else None


def _consumer_kinds(action: Action) -> tuple[Kind, ...]:
    return (Kind.F,) if action.kind is Kind.F else (Kind.B, Kind.I)
