"""Classes of replicas, groups and links: found by colour refinement, and checked exactly.

What refines them is hashed, as it only proposes classes. They are taken only if each member of a class meets, place by
place, exactly what the first of its class meets.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustersim.engine.folding.uses import Lists, Uses
from clustersim.ops import Group
from clustersim.trace import Ints

Hashes = NDArray[np.uint64]


class Classes(NamedTuple):
    """The class of each replica, group and link; classes are numbered in the order of their first members."""

    replica: Ints
    group: Ints
    link: Ints
    num_programs: int  # classes of replicas that are told apart before one looks at what they meet

    @property
    def num_replicas(self) -> int:
        """Number of classes of replicas."""
        return int(self.replica.max()) + 1


def classes_of(uses: Uses) -> Classes | None:
    """Return the coarsest equitable classes that refinement finds; None if it tells too much apart to be of use.

    Every round tells apart what met different things in the round before, until nothing more is told apart.
    """
    initial = initial_classes(uses)
    found, number = initial, -len(initial)  # below any sum: a column that is empty gives -1
    while number != (number := sum(int(column.max(initial=-1)) for column in found[:3])):
        if 2 * found.num_replicas > len(found.replica):
            return None
        found = _refined(uses, found)
    found = Classes(_in_order(found.replica), _in_order(found.group), _in_order(found.link), initial.num_programs)
    return found if is_equitable(uses, initial, found) else None


def is_equitable(uses: Uses, initial: Classes, classes: Classes) -> bool:
    """Return whether nothing tells members of a class apart: exactly, without a hash.

    Each replica crosses the same classes of links, hop by hop, and belongs to the same classes of groups. The members
    of each group are of the same classes, one after the other, and so are the links of its phases, with as many streams
    on them. Each link is crossed by as much of each class.
    """
    ways = Lists(np.diff(uses.ways.first[uses.first_way]))  # the hops of a replica are one list
    phases = Lists(np.diff(uses.phases.first[uses.first_phase]))
    slots, member = _by_replica(uses)
    entries, order = uses.by_link
    crossing = np.column_stack(_crossings(uses, classes))[order]
    link = entries.owner
    crossing = crossing[np.lexsort((*crossing.T[::-1], link))]
    owner_and_slot = uses.member_rank[member], uses.axis[uses.members.owner[member]]
    return all(
        _is_alike(lists, np.column_stack(columns), classes_of_lists)
        for lists, columns, classes_of_lists in (
            (_each(len(initial.replica)), (initial.replica,), classes.replica),
            (_each(len(initial.group)), (initial.group,), classes.group),
            (_each(len(initial.link)), (initial.link,), classes.link),
            (ways, (uses.hop_place, classes.link[uses.hop_link]), classes.replica),
            (slots, (*owner_and_slot, classes.group[uses.members.owner[member]]), classes.replica),
            (uses.members, (uses.member_rank, classes.replica[uses.member_replica]), classes.group),
            (phases, (uses.phase_place, classes.link[uses.crossed], uses.streams), classes.group),
            (entries, (crossing,), classes.link),
        )
    )


def initial_classes(uses: Uses) -> Classes:
    """Return what is known to be different before looking at what meets what."""
    job = uses.job
    statics = job.static_bytes or ((),) * len(job.pipelines)
    replicas = (
        (id(pipeline), id(static), _order(ranks))
        for pipeline, static, ranks in zip(job.pipelines, statics, job.ranks, strict=True)
    )
    own = uses.has_own_links.tolist()
    groups = ((_identity(group), has_own) for group, has_own in zip(job.groups, own, strict=True))
    programs = _numbers(replicas)
    return Classes(programs, _numbers(groups), 2 * uses.kind_of_link + uses.is_fair, int(programs.max()) + 1)


def _order(ranks: tuple[int, ...]) -> tuple[int, ...]:
    """Return in which order the ranks of a pipeline come, where that is not the order of its stages."""
    rising = tuple(sorted(ranks))
    return () if rising == ranks else tuple(map(rising.index, ranks))


def _identity(group: Group) -> Hashable:
    """Return what a group does, but not on which links."""
    plans = tuple(
        (kind, plan.operation, plan.algorithm, plan.size_bytes, *[(p.volume_bytes, p.latency_ps) for p in plan.phases])
        for kind, plan in group.plans.items()
    )
    return group.axis, plans


def _refined(uses: Uses, classes: Classes) -> Classes:
    """Return the classes after one more round."""
    at_hop = _mixed(classes.link[uses.hop_link], uses.hop_place)
    at_way = uses.ways.sums(at_hop)
    at_place = _mixed(classes.replica[uses.member_replica], uses.member_rank, uses.members.position)
    at_stream = _mixed(classes.link[uses.crossed], uses.phase_place, uses.streams)
    replica = _totals(at_way, uses.first_way)
    slot = _mixed(classes.group[uses.members.owner], uses.member_rank, uses.axis[uses.members.owner])
    np.add.at(replica, uses.member_replica, slot)
    group = uses.members.sums(at_place) + _totals(uses.phases.sums(at_stream), uses.first_phase)
    entries, order = uses.by_link
    link = entries.sums(_mixed(*_crossings(uses, classes))[order])
    refined = [
        np.unique(_mixed(before) + seen, return_inverse=True)[1].reshape(-1)
        for before, seen in ((classes.replica, replica), (classes.group, group), (classes.link, link))
    ]
    return Classes(refined[0], refined[1], refined[2], classes.num_programs)


def _crossings(uses: Uses, classes: Classes) -> tuple[Ints, Ints, Ints]:
    """Return what each hop, and then each stream of a phase, is to its link: the class, the place in it, how many."""
    hops = classes.replica[uses.way_replica[uses.ways.owner]]
    streams = -1 - classes.group[uses.phase_group[uses.phases.owner]]
    places = (uses.hop_place, uses.phase_slot[uses.phases.owner])
    ones = np.ones(len(hops), dtype=np.int64)
    return np.concatenate([hops, streams]), np.concatenate(places), np.concatenate([ones, uses.streams])


def _by_replica(uses: Uses) -> tuple[Lists, Ints]:
    """Return the memberships of each replica, as numbers of members, in the order of stages and axes."""
    order = np.lexsort((uses.axis[uses.members.owner], uses.member_rank, uses.member_replica))
    count = np.bincount(uses.member_replica, minlength=len(uses.pairs))
    return Lists(count), order


def _is_alike(lists: Lists, values: Ints, class_of: Ints) -> bool:
    """Return whether each list holds exactly what the first list of its class holds."""
    _, first = np.unique(class_of, return_index=True)
    model = first[class_of]
    if (lists.lengths != lists.lengths[model]).any():
        return False
    return bool((values == values[lists.first[model[lists.owner]] + lists.position]).all())


def _each(number: int) -> Lists:
    return Lists(np.ones(number, dtype=np.int64))


def _totals(values: Hashes, first: Ints) -> Hashes:
    return Lists(np.diff(first)).sums(values)


def _mixed(*columns: Ints) -> Hashes:
    """Return a hash of each row (the finaliser of SplitMix64, once a column)."""
    found = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        found = (found + column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
        found ^= found >> np.uint64(31)
    return found


def _numbers(keys: Iterable[Hashable]) -> Ints:
    """Return the number of each key among the different ones."""
    known: dict[Hashable, int] = {}
    return np.fromiter((known.setdefault(key, len(known)) for key in keys), dtype=np.int64)


def _in_order(column: Ints) -> Ints:
    """Return classes numbered in the order of their first members."""
    _, first, number = np.unique(column, return_index=True, return_inverse=True)
    place = np.empty(len(first), dtype=np.int64)
    place[np.argsort(first)] = np.arange(len(first))
    return place[number.reshape(-1)]
