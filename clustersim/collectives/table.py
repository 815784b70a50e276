"""The algorithms, by name: what they do, which groups they are for, and whether a library chooses them by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clustersim.collectives.all_to_all import direct, hierarchical_all_to_all
from clustersim.collectives.halving_doubling import halving_doubling
from clustersim.collectives.hierarchical import hierarchical
from clustersim.collectives.in_switch import in_network, nvls
from clustersim.collectives.members import MemberGroup, Operation, Phases
from clustersim.collectives.ring import ring
from clustersim.collectives.tree import tree

OPERATIONS: tuple[Operation, ...] = ("all-reduce", "all-gather", "reduce-scatter", "broadcast", "all-to-all")


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm.

    Parameters
    ----------
    phases
        What a group does in an operation.
    operations
        The operations that it has.
    needs
        What a group must be, in words.
    allows
        Whether a group is that.
    is_chosen
        Whether a library chooses it by itself, as NCCL does ring, tree and reduction in switches.
    """

    phases: Callable[[MemberGroup, Operation], Phases]
    operations: tuple[Operation, ...]
    needs: str = "any group"
    allows: Callable[[MemberGroup], bool] = lambda group: True  # noqa: ARG005
    is_chosen: Callable[[MemberGroup], bool] = lambda group: True  # noqa: ARG005


def _never(_group: MemberGroup) -> bool:
    return False


def _has_rails(group: MemberGroup) -> bool:
    return group.is_even and len(group.hosts) > 1 and group.smallest_host > 1


def _hangs_on_a_switch(group: MemberGroup) -> bool:
    return len(group.hosts) == 1 and group.hosts[0].has_switch


_ALL_BUT_EXCHANGE: tuple[Operation, ...] = ("all-reduce", "all-gather", "reduce-scatter", "broadcast")
_REDUCE_AND_GATHER: tuple[Operation, ...] = ("all-reduce", "all-gather", "reduce-scatter")

ALGORITHMS: dict[str, Algorithm] = {
    "ring": Algorithm(ring, _ALL_BUT_EXCHANGE),
    "tree": Algorithm(tree, ("all-reduce",), is_chosen=lambda group: len(group.hosts) > 1),
    "halving-doubling": Algorithm(halving_doubling, _REDUCE_AND_GATHER, is_chosen=_never),
    "hierarchical": Algorithm(
        hierarchical,
        _REDUCE_AND_GATHER,
        "several hosts with equally many members each, and more than one",
        _has_rails,
        _never,
    ),
    "nvls": Algorithm(nvls, ("all-reduce",), "one host whose GPUs hang on a switch", _hangs_on_a_switch),
    "in-network": Algorithm(
        in_network,
        ("all-reduce",),
        "several hosts with equally many members each",
        lambda group: group.is_even and len(group.hosts) > 1,
    ),
    "direct": Algorithm(direct, ("all-to-all",)),
    "hierarchical-all-to-all": Algorithm(
        hierarchical_all_to_all,
        ("all-to-all",),
        "several hosts with equally many members each, and more than one",
        _has_rails,
        _never,
    ),
}
