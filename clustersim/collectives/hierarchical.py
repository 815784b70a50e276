"""Hierarchical: within hosts, between hosts, and within hosts again; each member keeps to its rail in between.

With g members on each of H hosts: a ring reduce-scatter within hosts, then g ring all-reduces of a g-th of the size,
one a rail, then a ring all-gather within hosts.

References
----------
M. Cho, U. Finkler, D. Kung, "BlueConnect: Novel Hierarchical All-Reduce on Multi-tired Network for Deep Learning",
MLSys 2019.
"""

from __future__ import annotations

from fractions import Fraction

from clustersim.collectives.members import Chain, GroupPhase, MemberGroup, Operation, Phases, closed, counted


def hierarchical(group: MemberGroup, operation: Operation) -> Phases:
    """Return the phases within and between hosts.

    Examples
    --------
    >>> from clustersim.collectives.members import Host
    >>> group = MemberGroup((Host((0, 1)), Host((2, 3))))
    >>> [str(phase.share) for phase in hierarchical(group, "all-reduce")]
    ['1/2', '1/2', '1/2']
    """
    per_host, num_hosts = len(group.hosts[0].members), len(group.hosts)
    within = within_hosts(group)
    rounds = 2 if operation == "all-reduce" else 1
    rails = [closed(host.members[rail] for host in group.hosts) for rail in range(per_host)]
    between = GroupPhase(
        counted(hop for rail in rails for hop in rail),
        Fraction(rounds * (num_hosts - 1), num_hosts * per_host),
        tuple(Chain(tuple(rail), rounds * (num_hosts - 1)) for rail in rails),
    )
    phases = {"all-reduce": (within, between, within), "reduce-scatter": (within, between)}
    return phases.get(operation, (between, within))


def within_hosts(group: MemberGroup) -> GroupPhase:
    """Return the phase in which every host scatters or gathers by a ring of its own."""
    rings = [closed(host.members) for host in group.hosts]
    per_host = len(group.hosts[0].members)
    return GroupPhase(
        counted(hop for hops in rings for hop in hops),
        Fraction(per_host - 1, per_host),
        tuple(Chain(tuple(hops), per_host - 1) for hops in rings),
    )
