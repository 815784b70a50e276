"""Ring: every member sends to the next one, n - 1 times to gather or to reduce, and twice as often for both.

Over links of bandwidth B and latency L, with n members and size S: all-reduce takes 2 (n - 1) L + 2 (n - 1)/n S/B,
all-gather and reduce-scatter half of both, a pipelined broadcast (n - 1) L + S/B. With several channels each carries an
equal part.

References
----------
Thakur, Rabenseifner, Gropp, IJHPCA 19(1), 2005, sections 4.1 and 4.4. Patarasuk and Yuan, Journal of Parallel and
Distributed Computing 69(2), 2009 (bandwidth-optimal all-reduce).
"""

from __future__ import annotations

from fractions import Fraction

from clustersim.collectives.channels import channels
from clustersim.collectives.members import Chain, GroupPhase, MemberGroup, Operation, Phases, closed, counted

_ROUNDS = {"all-reduce": 2, "all-gather": 1, "reduce-scatter": 1}


def ring(group: MemberGroup, operation: Operation) -> Phases:
    """Return the one phase of a ring.

    Examples
    --------
    >>> from clustersim.collectives.members import Host
    >>> (phase,) = ring(MemberGroup((Host((0, 1, 2, 3)),)), "all-reduce")
    >>> dict(phase.streams), str(phase.share), phase.chains[0].num_steps
    ({(0, 1): 1, (1, 2): 1, (2, 3): 1, (3, 0): 1}, '3/2', 6)
    """
    n = group.size
    rings = [closed(order) for order in channels(group)]
    if operation == "broadcast":
        paths = [_from_root(hops) for hops in rings]
        chains = tuple(Chain(tuple(path), n - 1) for path in paths)
        return (GroupPhase(counted(hop for path in paths for hop in path), Fraction(1, len(rings)), chains),)
    num_steps = _ROUNDS[operation] * (n - 1)
    streams = counted(hop for hops in rings for hop in hops)
    share = Fraction(num_steps, n * len(rings))
    return (GroupPhase(streams, share, tuple(Chain(tuple(hops), num_steps) for hops in rings)),)


def _from_root(hops: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return a ring opened before member 0: what it passes on its way round."""
    start = next(index for index, (source, _) in enumerate(hops) if source == 0)
    return [*hops[start:], *hops[:start]][:-1]
