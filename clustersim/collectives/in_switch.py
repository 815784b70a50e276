"""Reduction in switches: what members send is added up on the way, and the sum is sent to all at once.

In a scale-up switch (NVLink SHARP) each of n members adds up a part of n through the switch and has it sent to all:
over each of its directions go S for the parts of the others and S/n for its own. Between hosts (SHARP) each rail sends
its part of the data up once and gets the sum back once.

The streams are those of a ring: each member's way up and another's way down, once.

References
----------
B. Klenk, N. Jiang, G. Thorson, L. Dennison, "An In-Network Architecture for Accelerating Shared-Memory Multiprocessor
Collectives", ISCA 2020. R. L. Graham et al., "Scalable Hierarchical Aggregation Protocol (SHARP)", COMHPC 2016.
"""

from __future__ import annotations

from fractions import Fraction

from clustersim.collectives.hierarchical import within_hosts
from clustersim.collectives.members import Chain, GroupPhase, MemberGroup, Operation, Phases, closed, counted


def nvls(group: MemberGroup, operation: Operation) -> Phases:  # noqa: ARG001
    """Return the one phase of an all-reduce in a host's switch.

    Examples
    --------
    >>> from clustersim.collectives.members import Host
    >>> (phase,) = nvls(MemberGroup((Host(tuple(range(8))),)), "all-reduce")
    >>> str(phase.share)
    '9/8'
    """
    hops = closed(group.hosts[0].members)
    share = Fraction(group.size + 1, group.size)
    return (GroupPhase(counted(hops), share, tuple(Chain((hop,), 2) for hop in hops)),)


def in_network(group: MemberGroup, operation: Operation) -> Phases:  # noqa: ARG001
    """Return the phases of an all-reduce whose part between hosts is added up in the network."""
    per_host = len(group.hosts[0].members)
    rails = [closed(host.members[rail] for host in group.hosts) for rail in range(per_host)]
    hops = [hop for rail in rails for hop in rail]
    between = GroupPhase(counted(hops), Fraction(1, per_host), tuple(Chain((hop,), 2) for hop in hops))
    if per_host == 1:
        return (between,)
    within = within_hosts(group)
    return (within, between, within)
