"""The network of one run: which links exist, which are private, the route of every pair of GPUs, and the groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from clustersim.engine.clock import Timeline
from clustersim.engine.fair import FairNetwork, FairRoute, RateLog
from clustersim.engine.group import CollectiveLog, Communicator, Ports, ports_of
from clustersim.engine.link import DirectRoute, LinkProcess, LinkServer, LongRoute, Mailbox
from clustersim.engine.route import Route
from clustersim.ops import Group, Job, Pipeline, Place
from clustersim.topology.cluster import Cluster, Link
from clustersim.topology.discipline import Links, Pair, fair_links


class Network:
    """Link processes, made when a route first uses them, the routes between GPUs, and the groups of the job."""

    def __init__(self, env: Timeline, cluster: Cluster, job: Job) -> None:
        self.env, self.cluster, self.job = env, cluster, job
        self._rank_pairs: dict[int, list[Pair]] = {}  # by pipeline, which equal replicas share
        flows = sorted({pair for replica in range(len(job.pipelines)) for pair in self.gpu_pairs(replica).values()})
        self.link_ids: dict[Pair, Links] = {pair: tuple(cluster.route(*pair)) for pair in flows}
        self._num_routes = Counter(number for links in self.link_ids.values() for number in links)
        self._needs_mailbox = job.blocking or job.policy is not None  # others than one hold wait for a message
        self.processes: dict[int, LinkProcess] = {}
        self._servers: dict[int, LinkServer] = {}
        links_of_groups = [_limited_links(cluster, group) for group in job.groups]
        self._private, self._has_own_links, self.fair_links = self._find_disciplines(links_of_groups)
        own = (links for links, is_own in zip(links_of_groups, self._has_own_links, strict=True) if is_own)
        self.drained_links = self.fair_links | {number for links in own for number in links}  # by flows, not FIFO
        self.collectives = CollectiveLog()
        links = {number: cluster.link(number) for number in sorted(self.fair_links)}
        self.rates = RateLog()
        self.fair = FairNetwork(env, links, self.rates) if links else None

    def _find_disciplines(
        self, links_of_groups: Sequence[Sequence[int]]
    ) -> tuple[set[int], list[bool], frozenset[int]]:
        """Return which links are private, which groups have theirs to themselves, and which links are fair."""
        has_own_links = _have_own_links(self.link_ids, links_of_groups)
        shared = (links for links, is_own in zip(links_of_groups, has_own_links, strict=True) if not is_own)
        fair = fair_links(self.cluster, self.link_ids, (number for links in shared for number in links))
        return private_links(self.link_ids, self.job.blocking), has_own_links, fair

    def routes(self, replica: int, mailbox: Mailbox, first_transfer: int) -> dict[Pair, Route]:
        """Return the route of every pair of pp_ranks of a replica that exchange messages.

        Parameters
        ----------
        replica
            The replica.
        mailbox
            Where its messages arrive.
        first_transfer
            Number, over all replicas, of its first message.
        """
        return {
            ranks: self._fair_route(gpus, mailbox, first_transfer) or self._fifo_route(gpus, mailbox)
            for ranks, gpus in self.gpu_pairs(replica).items()
        }

    def ports(self, mailboxes: Sequence[Mailbox]) -> dict[Place, Ports]:
        """Return where the ranks of the job make their calls; ``mailboxes[replica]`` is where calls are answered."""
        if not self.job.groups:
            return {}
        num_messages = sum(len(pipeline.messages) for pipeline in self.job.pipelines)
        communicators = [
            Communicator(
                self.env,
                number,
                group,
                self.cluster,
                None if self._has_own_links[number] else self.fair,
                self.rates,
                min(self.job.ranks[replica][pp_rank] for replica, pp_rank in group.places),
                self.collectives,
                num_messages,
                in_order=self.job.policy is None,
            )
            for number, group in enumerate(self.job.groups)
        ]
        return ports_of(communicators, mailboxes, self.job.pipelines)

    def is_private(self, number: int) -> bool:
        """Return whether messages reach a link in the order in which its one sender sends them."""
        return number in self._private

    def has_own_links(self, group: int) -> bool:
        """Return whether nothing but a group ever uses the links that it crosses."""
        return self._has_own_links[group]

    def link(self, number: int) -> Link:
        """Return a link of the cluster."""
        return self.cluster.link(number)

    def queued_ps(self) -> dict[int, int]:
        """Return how long messages waited for each link that serves them in turn. [ps]"""
        return {number: process.queued_ps for number, process in self.processes.items()}

    def gpu_pairs(self, replica: int) -> dict[Pair, Pair]:
        """Return the GPUs of every pair of pp_ranks of a replica that exchange messages."""
        gpus = self.job.gpus[replica]
        ranks = self._rank_pairs.get(id(self.job.pipelines[replica]))
        if ranks is None:
            ranks = self._rank_pairs[id(self.job.pipelines[replica])] = pairs_of(self.job.pipelines[replica])
        return {(source, destination): (gpus[source], gpus[destination]) for source, destination in ranks}

    def fair_way(self, gpus: Pair) -> tuple[Links, tuple[int, ...]]:
        """Return the fairly shared links on a route, and with how many streams a message is on each."""
        fair = tuple([number for number in self.link_ids[gpus] if number in self.fair_links])
        return fair, (1,) * len(fair)

    def links_beside(self, step: int) -> dict[int, Collection[int]]:
        """Return what messages cross just before each fair link (`step` -1) or just after it (1): one entry a link.

        The entry is -1 where they begin or end.
        """
        found: dict[int, set[int]] = {}
        for route in dict.fromkeys(self.link_ids.values()):
            beside = [-1, *route[:-1]] if step < 0 else [*route[1:], -1]
            for number, other in zip(route, beside, strict=True):
                if number in self.fair_links:
                    found.setdefault(number, set()).add(other)
        return dict(found)

    def _fair_route(self, gpus: Pair, mailbox: Mailbox, first_transfer: int) -> FairRoute | None:
        """Return the route over links that are fairly shared; None if there is no such link on it."""
        links, streams = self.fair_way(gpus)
        if self.fair is None or not links:
            return None
        latency_ps = self.cluster.delay_ps(self.link_ids[gpus])
        return FairRoute(self.fair, links, streams, latency_ps, mailbox, first_transfer)

    def _fifo_route(self, gpus: Pair, mailbox: Mailbox) -> DirectRoute | LongRoute:
        numbers = self.link_ids[gpus]
        # A link has one process: where another route passes it too, that must be one that both can use.
        if len(numbers) == 1 and self._num_routes[numbers[0]] == 1 and not self._needs_mailbox:
            process = LinkProcess(self.env, self.cluster.link(numbers[0]), is_private=True)
            self.processes[numbers[0]] = process
            return DirectRoute(self.env, process, mailbox)
        return LongRoute(self.env, tuple(self._server(number) for number in numbers), mailbox)

    def _server(self, number: int) -> LinkServer:
        if number not in self._servers:
            self._servers[number] = LinkServer(self.env, self.cluster.link(number), number in self._private)
            self.processes[number] = self._servers[number]
        return self._servers[number]


def pairs_of(pipeline: Pipeline) -> list[Pair]:
    """Return the pairs of pp_ranks that exchange messages, in order."""
    made_from = pipeline.made_from
    if made_from is not None and made_from[1] is pipeline.messages:
        return list(dict.fromkeys(kind[:2] for kind in made_from[2].kinds_of_messages[0]))
    return sorted(set(zip(pipeline.messages.sources, pipeline.messages.destinations, strict=True)))


def _limited_links(cluster: Cluster, group: Group) -> list[int]:
    """Return the links of limited bandwidth that a group's streams cross, in rising order."""
    links = {number for plan in group.plans.values() for phase in plan.phases for number in phase.links}
    return sorted(number for number in links if cluster.link(number).bandwidth_bytes_per_s is not None)


def _have_own_links(link_ids: dict[Pair, Links], links_of_groups: Sequence[Sequence[int]]) -> list[bool]:
    """Return which groups have all their links to themselves: no message and no other group ever uses them."""
    num_users = Counter(number for links in links_of_groups for number in links)
    num_users.update({number for links in link_ids.values() for number in links})
    return [all(num_users[number] == 1 for number in links) for links in links_of_groups]


def private_links(link_ids: dict[Pair, tuple[int, ...]], blocking: bool) -> set[int]:
    """Return the links that messages reach in the order in which they are sent.

    That is so if they all come from one GPU by one way. A rendezvous also needs one destination: the sender may agree
    with two of them on times in another order than that of the times.
    """
    ways: dict[int, set[tuple[int, ...]]] = {}
    for (source, destination), links in link_ids.items():
        for hop, number in enumerate(links):
            ways.setdefault(number, set()).add((source, destination if blocking else -1, *links[:hop]))
    return {number for number, before in ways.items() if len(before) == 1}
