"""Channels: the rings that a library finds for a group, each of which carries an equal part of the data.

On hosts with a switch there are as many as a host has members, so that every NIC is used: ring c enters a host at its
member c, passes all the others, and leaves for the next host from the last. Neighbouring hosts are passed in opposite
directions, so that a ring leaves and enters by NICs of the same rail; of an odd number of hosts two neighbours go the
same way, and the ring changes rails once.

On a host that is wired directly, rings are packed into its links, each of which carries one ring in each direction.
Where no ring passes all members over links of their own, streams may be passed on by members in between.

References
----------
NVIDIA, NCCL, ``src/graph/search.cc`` and ``src/graph/rings.cc`` (what a library searches for; this is no copy of it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import permutations

from clustersim.collectives.members import Host, MemberGroup, Stream, closed, counted

MOST_SEARCHED = 8  # members of a directly wired host whose rings are searched; more take one ring, by number


def channels(group: MemberGroup) -> tuple[tuple[int, ...], ...]:
    """Return the members of each ring of a group, in order.

    Examples
    --------
    >>> channels(MemberGroup((Host((0, 1, 2)),)))
    ((0, 1, 2),)
    >>> channels(MemberGroup((Host((0, 1)), Host((2, 3)))))
    ((0, 1, 3, 2), (1, 0, 2, 3))
    """
    if len(group.hosts) == 1:
        (host,) = group.hosts
        return (host.members,) if host.has_switch else _packed(host)
    num_channels = group.smallest_host
    return tuple(_across(group, channel, num_channels) for channel in range(num_channels))


def _across(group: MemberGroup, channel: int, num_channels: int) -> tuple[int, ...]:
    """Return the members that ring `channel` passes, host after host."""
    order: list[int] = []
    for number, host in enumerate(group.hosts):
        first = channel * len(host.members) // num_channels
        passed = host.members[first:] + host.members[:first]
        order += passed if number % 2 == 0 else reversed(passed)
    return tuple(order)


def _packed(host: Host) -> tuple[tuple[int, ...], ...]:
    """Return as many rings as fit into a host's lanes, or one by number if none does."""
    if not 2 <= len(host.members) <= MOST_SEARCHED:
        return (host.members,)
    return _search(host.members, tuple(sorted(host.lanes.items())), tuple(sorted(host.ways.items())))


@lru_cache(maxsize=256)
def _search(
    members: tuple[int, ...], lanes: tuple[tuple[Stream, int], ...], ways: tuple[tuple[Stream, tuple[Stream, ...]], ...]
) -> tuple[tuple[int, ...], ...]:
    free, lanes_of = dict(lanes), dict(ways)
    rings = [order for order in _orders(members) if all(hop in lanes_of for hop in closed(order))]
    rings = [order for order in rings if all(hop in free for hop in closed(order))] or rings
    best: list[tuple[int, ...]] = []
    for first in range(min(len(rings), _MOST_STARTS)):
        best = max(best, _filled(rings[first:] + rings[:first], dict(free), lanes_of), key=len)
    return tuple(best) or (members,)


_MOST_STARTS = 64  # of the search for the best packing, which takes rings as they come from each


def _filled(
    rings: list[tuple[int, ...]], free: dict[Stream, int], lanes_of: Mapping[Stream, tuple[Stream, ...]]
) -> list[tuple[int, ...]]:
    """Return the rings that fit when they are taken as they come, each as often as it fits, with its way back."""
    taken = []
    for ring in rings:
        for order in (ring, (ring[0], *reversed(ring[1:]))):
            if any(hop not in lanes_of for hop in closed(order)):  # a way back may lead outside the group
                continue
            needed = counted(lane for hop in closed(order) for lane in lanes_of[hop])
            while all(free[lane] >= count for lane, count in needed.items()):
                for lane, count in needed.items():
                    free[lane] -= count
                taken.append(order)
    return taken


def _orders(members: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the orders in which a ring can pass the members, the first of them first."""
    for rest in permutations(members[1:]):
        yield (members[0], *rest)
