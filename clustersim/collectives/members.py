"""Groups of members, and the phases in which they exchange something: no links, no sizes, no time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Literal

Operation = Literal["all-reduce", "all-gather", "reduce-scatter", "broadcast", "all-to-all"]
Stream = tuple[int, int]
"""From one member to another; members are positions in the group."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Steps that wait for one another: `num_steps` in a row of `hops`, round and round if they are more."""

    hops: tuple[Stream, ...]
    num_steps: int

    def slowest(self, latency_by_hop: Mapping[Stream, int]) -> int:
        """Return the latency of the slowest `num_steps` hops in a row, wherever they begin.

        Examples
        --------
        >>> Chain(((0, 1), (1, 2), (2, 0)), 4).slowest({(0, 1): 5, (1, 2): 1, (2, 0): 1})
        12
        """
        latencies = [latency_by_hop[hop] for hop in self.hops]
        rounds, rest = divmod(self.num_steps, len(latencies))
        passed = [0, *accumulate(latencies * 2)]
        return rounds * passed[len(latencies)] + max(
            passed[first + rest] - passed[first] for first in range(len(latencies))
        )


@dataclass(frozen=True, slots=True)
class GroupPhase:
    """Streams that drain together.

    Parameters
    ----------
    streams
        How many streams flow between each two members.
    share
        What one stream carries, as a share of the operation's size.
    chains
        Steps, of which the slowest chain is the phase's latency.
    """

    streams: Mapping[Stream, int]
    share: Fraction
    chains: tuple[Chain, ...]


Phases = tuple[GroupPhase, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """Members that reach one another without the network.

    Parameters
    ----------
    members
        Their positions.
    lanes
        Links of equal bandwidth from each member to each that it is wired to directly; empty where a switch joins them.
    ways
        The lanes that a stream takes: one where there is a lane, several where members in between pass it on.
    has_switch
        Whether a switch joins them all.
    """

    members: tuple[int, ...]
    lanes: Mapping[Stream, int] = field(default_factory=dict)
    ways: Mapping[Stream, tuple[Stream, ...]] = field(default_factory=dict)
    has_switch: bool = True


@dataclass(frozen=True, slots=True)
class MemberGroup:
    """Members of a collective, by position: 0 to n - 1, each on one of the hosts. A broadcast starts from 0.

    Examples
    --------
    >>> group = MemberGroup((Host((0, 1)), Host((2, 3))))
    >>> group.size, group.is_even, [host.members[1] for host in group.hosts]
    (4, True, [1, 3])
    """

    hosts: tuple[Host, ...]

    @property
    def size(self) -> int:
        """Number of members."""
        return sum(len(host.members) for host in self.hosts)

    @property
    def smallest_host(self) -> int:
        """Least number of members on a host."""
        return min(len(host.members) for host in self.hosts)

    @property
    def is_even(self) -> bool:
        """Whether all hosts have as many members."""
        return len({len(host.members) for host in self.hosts}) == 1


def counted(streams: Iterable[Stream]) -> dict[Stream, int]:
    """Return how often each stream is there, in the order in which they come.

    Examples
    --------
    >>> counted([(0, 1), (1, 0), (0, 1)])
    {(0, 1): 2, (1, 0): 1}
    """
    counts: dict[Stream, int] = {}
    for stream in streams:
        counts[stream] = counts.get(stream, 0) + 1
    return counts


def one_step(streams: Iterable[Stream], share: Fraction) -> GroupPhase:
    """Return the phase in which all streams flow at once, each a single step."""
    counts = counted(streams)
    return GroupPhase(counts, share, tuple(Chain((stream,), 1) for stream in counts))


def closed(members: Iterable[int]) -> list[Stream]:
    """Return the hops of a ring through `members`.

    Examples
    --------
    >>> closed([0, 2, 1])
    [(0, 2), (2, 1), (1, 0)]
    """
    order = list(members)
    return [*pairwise(order), (order[-1], order[0])]
