"""Recursive halving and doubling: partners at distances n/2, n/4, ... exchange half of what they still care for.

For n a power of two an all-reduce of size S takes 2 log2(n) L + 2 (n - 1)/n S/B, where every distance has links of its
own. Of another number of members, those beyond the power of two first give all they have to a partner, and get the
result from it at the end.

References
----------
Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005, sections 4.1, 4.3 and 4.4.
"""

from __future__ import annotations

from fractions import Fraction

from clustersim.collectives.members import GroupPhase, MemberGroup, Operation, Phases, one_step


def halving_doubling(group: MemberGroup, operation: Operation) -> Phases:
    """Return a phase for each distance.

    Examples
    --------
    >>> from clustersim.collectives.members import Host
    >>> [str(phase.share) for phase in halving_doubling(MemberGroup((Host(tuple(range(4))),)), "all-reduce")]
    ['1/2', '1/4', '1/4', '1/2']
    """
    members = [member for host in group.hosts for member in host.members]
    power = 1 << (len(members).bit_length() - 1)
    extra = [(members[power + index], members[index]) for index in range(len(members) - power)]
    halving = [_exchange(members[:power], power >> step, step) for step in range(1, power.bit_length())]
    doubling = halving[::-1]
    first = [one_step(extra, Fraction(1))] if extra else []
    last = [one_step([(target, source) for source, target in extra], Fraction(1))] if extra else []
    if operation == "reduce-scatter":
        return (*first, *halving, *last)
    if operation == "all-gather":
        return (*first, *doubling, *last)
    return (*first, *halving, *doubling, *last)


def _exchange(members: list[int], distance: int, step: int) -> GroupPhase:
    pairs = ((member, members[place ^ distance]) for place, member in enumerate(members))
    return one_step(pairs, Fraction(1, 2**step))
