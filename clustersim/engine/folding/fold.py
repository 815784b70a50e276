"""The job of one replica of each class, and its network: each link there stands for its class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import repeat

import numpy as np

from clustersim.engine.clock import Timeline
from clustersim.engine.folding.classes import Classes, classes_of
from clustersim.engine.folding.uses import Uses, phases_of
from clustersim.engine.network import Network, private_links
from clustersim.ops import CollectivePlan, Group, Job, Phase, Place
from clustersim.topology.cluster import Cluster
from clustersim.topology.discipline import Links, Pair
from clustersim.trace import Ints


def folding_of(job: Job, cluster: Cluster) -> Folding | str:
    """Return how a job folds, or in words why every replica has to be simulated."""
    if len(job.pipelines) < 2:
        return "there is one replica"
    if job.policy is not None:
        return "a policy orders ops while they run"
    uses = Uses(job, cluster)
    if uses.replicas_queue_together:
        return "messages of several replicas queue at FIFO links, in the order of their ranks"
    classes = classes_of(uses)
    return "most replicas differ in what they meet" if classes is None else Folding(uses, classes)


class Folding:
    """Which replica, group and link stands for which: the first of each class.

    Attributes
    ----------
    replicas, groups, links
        The first replica, group and link of each class; links as `uses` numbers them.
    streams
        How many streams of each class cross the first link of each class: by (class of links, class of replicas, pair),
        and by (class of links, -1 - class of groups, phase).
    link_numbers
        Number in the cluster of the first link of each class.
    """

    def __init__(self, uses: Uses, classes: Classes) -> None:
        self.uses, self.classes = uses, classes
        self.replicas, self.groups, self.links = (np.unique(column, return_index=True)[1] for column in classes[:3])
        self.streams = _streams_on(uses, classes, self.links)
        self.link_numbers: list[int] = uses.links[self.links].tolist()

    def members(self, replica: int) -> Ints:
        """Return the replicas that a folded replica stands for."""
        return np.flatnonzero(self.classes.replica == replica)

    def members_of_group(self, group: int) -> Ints:
        """Return the groups that a folded group stands for."""
        return np.flatnonzero(self.classes.group == group)

    def route(self, replica: int, pair: int) -> Links:
        """Return the way of a pair of a folded replica, hop by hop, on the links that stand for those on it."""
        link = self.classes.link[self.uses.way(int(self.replicas[replica]), pair)]
        return tuple([self.link_numbers[number] for number in link.tolist()])

    def flow(self, replica: int, pair: int) -> tuple[Links, tuple[int, ...]]:
        """Return the fair links that stand for those on a way, each once, and the streams of all copies on each."""
        link = self.classes.link[self.uses.way(int(self.replicas[replica]), pair)]
        fair = list(dict.fromkeys(link[self.uses.is_fair[self.links[link]]].tolist()))
        streams = tuple([self.streams[number, replica, pair] for number in fair])
        return tuple([self.link_numbers[number] for number in fair]), streams

    @cached_property
    def job(self) -> Job:
        """The job of the first replicas of their classes alone."""
        job, first = self.uses.job, self.replicas.tolist()
        return replace(
            job,
            pipelines=tuple([job.pipelines[replica] for replica in first]),
            ranks=tuple([job.ranks[replica] for replica in first]),
            gpus=tuple([job.gpus[replica] for replica in first]),
            static_bytes=tuple([job.static_bytes[replica] for replica in first]) if job.static_bytes else (),
            groups=tuple(map(self._group, range(len(self.groups)))),
        )

    @cached_property
    def phases_of_one(self) -> dict[int, tuple[int, int, Phase]]:
        """By each phase of the folded job: its group, its slot, and itself with the streams of one group alone."""
        found = {}
        for number, group in enumerate(self.job.groups):
            for slot, phase in enumerate(phases_of(group)):
                where = self.uses.phase(int(self.groups[number]), slot)
                most: dict[int, int] = {}
                for link, streams in zip(
                    self.classes.link[self.uses.crossed[where]].tolist(), self.uses.streams[where].tolist(), strict=True
                ):
                    most[link] = max(streams, most.get(link, 0))
                found[id(phase)] = number, slot, replace(phase, streams=tuple(most.values()))
        return found

    def _group(self, number: int) -> Group:
        """Return the first group of a class with one member of each kind, and the streams of all its copies."""
        group = self.uses.job.groups[self.groups[number]]
        places = [Place(int(self.classes.replica[replica]), pp_rank) for replica, pp_rank in group.places]
        slots = iter(range(len(phases_of(group))))
        plans: dict[tuple[str, int, int], CollectivePlan] = {
            kind: replace(plan, phases=tuple([self._phase(number, next(slots), phase) for phase in plan.phases]))
            for kind, plan in group.plans.items()
        }
        return Group(group.axis, tuple(dict.fromkeys(places)), plans)

    def _phase(self, group: int, slot: int, phase: Phase) -> Phase:
        link = self.classes.link[self.uses.crossed[self.uses.phase(int(self.groups[group]), slot)]]
        links = list(dict.fromkeys(link.tolist()))
        streams = tuple([self.streams[number, -1 - group, slot] for number in links])
        return replace(phase, links=tuple([self.link_numbers[number] for number in links]), streams=streams)


def _streams_on(uses: Uses, classes: Classes, links: Ints) -> dict[tuple[int, int, int], int]:
    """Return how many streams of each class cross the first link of each class; see :class:`Folding`."""
    entries, order = uses.by_link
    found: Counter[tuple[int, int, int]] = Counter()
    num_hops = len(uses.hop_link)
    for number, link in enumerate(links.tolist()):
        entry = order[entries.first[link] : entries.first[link + 1]]
        way = uses.ways.owner[entry[entry < num_hops]]
        replicas = classes.replica[uses.way_replica[way]].tolist()
        found.update(zip(repeat(number), replicas, uses.way_pair[way].tolist(), strict=False))
        crossing = entry[entry >= num_hops] - num_hops
        phase = uses.phases.owner[crossing]
        group, slot = (-1 - classes.group[uses.phase_group[phase]]).tolist(), uses.phase_slot[phase].tolist()
        for key, streams in zip(zip(group, slot, strict=True), uses.streams[crossing].tolist(), strict=True):
            found[number, *key] += streams
    return found


class FoldedNetwork(Network):
    """The network of a folded job: what a link is follows from all replicas, what crosses it from those simulated."""

    def __init__(self, env: Timeline, folding: Folding) -> None:
        self.folding = folding
        super().__init__(env, folding.uses.cluster, folding.job)

    @cached_property
    def place(self) -> dict[Pair, tuple[int, int]]:
        """The folded replica and the pair that two GPUs are."""
        return {
            gpus: (replica, pair)
            for replica in range(len(self.job.pipelines))
            for pair, gpus in enumerate(self.gpu_pairs(replica).values())
        }

    def _find_disciplines(
        self, _links_of_groups: Sequence[Sequence[int]]
    ) -> tuple[set[int], list[bool], frozenset[int]]:
        uses, folding = self.folding.uses, self.folding
        is_fair = uses.is_fair[folding.links].tolist()
        fair = frozenset(number for number, fair in zip(folding.link_numbers, is_fair, strict=True) if fair)
        has_own_links: list[bool] = uses.has_own_links[folding.groups].tolist()
        return private_links(self._ways_crossing(), self.job.blocking), has_own_links, fair

    def _ways_crossing(self) -> dict[Pair, Links]:
        """Return the routes of all pairs of GPUs, of whatever replica, that share a link with those simulated."""
        uses = self.folding.uses
        meets = np.zeros(len(uses.links), dtype=np.bool_)
        numbers = np.fromiter({number for links in self.link_ids.values() for number in links}, dtype=np.int64)
        meets[np.searchsorted(uses.links, numbers)] = True
        ways = np.unique(uses.ways.owner[meets[uses.hop_link]])
        found: dict[Pair, Links] = {}
        for replica, pair in zip(uses.way_replica[ways].tolist(), uses.way_pair[ways].tolist(), strict=True):
            gpus = uses.job.gpus[replica]
            source, destination = uses.pairs[replica][pair]
            found[gpus[source], gpus[destination]] = tuple(uses.links[uses.way(replica, pair)].tolist())
        return found

    def fair_way(self, gpus: Pair) -> tuple[Links, tuple[int, ...]]:
        """Return the links that stand for the fairly shared ones on a route, and the streams of all copies on each."""
        return self.folding.flow(*self.place[gpus])

    def links_beside(self, step: int) -> dict[int, Collection[int]]:
        """Return what messages cross beside each fair link, as so many links that stand for others."""
        uses, folding = self.folding.uses, self.folding
        stands = np.zeros(len(uses.links), dtype=np.bool_)
        stands[folding.links[uses.is_fair[folding.links]]] = True
        hops = np.flatnonzero(stands[uses.hop_link])
        way = uses.ways.owner
        is_on_way = (hops > 0) if step < 0 else (hops < len(way) - 1)
        others = np.clip(hops + step, 0, len(way) - 1)
        beside = np.where(is_on_way & (way[others] == way[hops]), uses.hop_link[others], -1)
        found: dict[int, list[int]] = {}
        for link, other in np.unique(np.stack([uses.hop_link[hops], beside], axis=1), axis=0).tolist():
            number = -1 if other < 0 else folding.link_numbers[folding.classes.link[other]]
            found.setdefault(int(uses.links[link]), []).append(number)
        return dict(found)
