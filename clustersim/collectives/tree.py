"""Double binary tree: two trees over the hosts, each for half of the data; who is inside one is a leaf of the other.

Within a host the members of a channel form a chain to the one that stands in the trees. Data goes up and down at the
same time, so that it is one phase: an all-reduce of size S takes twice the way from the farthest leaf to the root, and
no member sends more than 2 S between hosts over all.

References
----------
P. Sanders, J. Speck, J. L. Traeff, "Two-tree algorithms for full bandwidth broadcast, reduction and scan", Parallel
Computing 35(12), 2009. S. Jeaugey, "Massively Scale Your Deep Learning Training with NCCL 2.4", 2019 (its use in NCCL).
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from clustersim.collectives.members import (
    Chain,
    GroupPhase,
    MemberGroup,
    Operation,
    Phases,
    Stream,
    counted,
)


def tree(group: MemberGroup, operation: Operation) -> Phases:  # noqa: ARG001
    """Return the one phase of a double binary tree; of members, if there is one host only.

    Examples
    --------
    >>> from clustersim.collectives.members import Host
    >>> (phase,) = tree(MemberGroup(tuple(Host((member,)) for member in range(4))), "all-reduce")
    >>> str(phase.share), max(chain.num_steps for chain in phase.chains)
    ('1/2', 4)
    """
    columns = _columns(group)
    streams: list[Stream] = []
    chains: list[Chain] = []
    for leaders, followers in columns:
        inside = [hop for chain in followers for hop in chain]
        streams += 2 * (inside + _back(inside))  # a chain serves both trees
        for parents in double_binary_tree(len(leaders)):
            edges = [(leaders[child], leaders[parent]) for child, parent in enumerate(parents) if parent >= 0]
            streams += edges + _back(edges)
            chains += [_up_and_down(place, parents, leaders, followers) for place in _leaves(parents)]
    share = Fraction(1, 2 * len(columns))
    return (GroupPhase(counted(streams), share, tuple(chain for chain in chains if chain.hops)),)


def double_binary_tree(size: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return ``parents[place]`` of both trees; -1 at the root.

    The first is the tree of a binary counter: odd places are leaves. The second is its mirror image, or for an odd
    size the same one place on, so that even places are leaves of it, but for one.

    Examples
    --------
    >>> double_binary_tree(4)
    ((-1, 2, 0, 2), (1, 3, 1, -1))
    """
    first = tuple(_parent(place, size) for place in range(size))

    def other(place: int) -> int:
        return size - 1 - place if size % 2 == 0 else (place + 1) % size

    second = [-1] * size
    for place, parent in enumerate(first):
        second[other(place)] = other(parent) if parent >= 0 else -1
    return first, tuple(second)


def _parent(place: int, size: int) -> int:
    if place == 0:
        return -1
    bit = place & -place
    above = (place ^ bit) | (bit << 1)
    return above if above < size else place ^ bit


def _columns(group: MemberGroup) -> list[tuple[list[int], list[list[Stream]]]]:
    """Return, for each channel, who stands in the trees for each host, and the chain of hops to it on that host."""
    if len(group.hosts) == 1:
        members = list(group.hosts[0].members)
        return [(members, [[] for _ in members])]
    columns = []
    for channel in range(group.smallest_host):
        leaders, chains = [], []
        for host in group.hosts:
            first = channel * len(host.members) // group.smallest_host
            passed = host.members[first:] + host.members[:first]
            leaders.append(passed[0])
            chains.append([(far, near) for near, far in pairwise(passed)][::-1])
        columns.append((leaders, chains))
    return columns


def _leaves(parents: tuple[int, ...]) -> list[int]:
    return [place for place in range(len(parents)) if place not in parents]


def _up_and_down(place: int, parents: tuple[int, ...], leaders: list[int], followers: list[list[Stream]]) -> Chain:
    """Return the way from the far end of a leaf's chain up to the root, and back."""
    hops = list(followers[place])
    while parents[place] >= 0:
        hops.append((leaders[place], leaders[parents[place]]))
        place = parents[place]
    return Chain(tuple(hops + _back(hops)), 2 * len(hops))


def _back(hops: list[Stream]) -> list[Stream]:
    return [(target, source) for source, target in reversed(hops)]
