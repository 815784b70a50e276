"""All-to-all: every member has a part of n for every other.

Direct, all n (n - 1) parts flow at once: L + (n - 1)/n S/B where each member has a port of its own. Hierarchical, a
host first puts together what goes to each rail, so that between hosts a member talks to members of its rail only.

References
----------
Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005, section 4.2. S. Rajbhandari et al., "DeepSpeed-MoE", ICML 2022,
section 5.2 (hierarchical all-to-all).
"""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

from clustersim.collectives.members import MemberGroup, Operation, Phases, one_step


def direct(group: MemberGroup, operation: Operation) -> Phases:  # noqa: ARG001
    """Return the one phase of a direct all-to-all.

    Examples
    --------
    >>> from clustersim.collectives.members import Host
    >>> (phase,) = direct(MemberGroup((Host((0, 1, 2)),)), "all-to-all")
    >>> len(phase.streams), str(phase.share)
    (6, '1/3')
    """
    members = [member for host in group.hosts for member in host.members]
    return (one_step(permutations(members, 2), Fraction(1, len(members))),)


def hierarchical_all_to_all(group: MemberGroup, operation: Operation) -> Phases:  # noqa: ARG001
    """Return the phases within hosts, then between them."""
    per_host, num_hosts = len(group.hosts[0].members), len(group.hosts)
    within = (pair for host in group.hosts for pair in permutations(host.members, 2))
    between = (
        pair for rail in range(per_host) for pair in permutations([host.members[rail] for host in group.hosts], 2)
    )
    return (one_step(within, Fraction(1, per_host)), one_step(between, Fraction(1, num_hosts)))
