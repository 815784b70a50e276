"""Sizes of a tree of switches: leaves above the NICs, and spines, or aggregation and core switches, above them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class TreeShape:
    """A tree of one, two or three tiers of switches over numbered NIC ports.

    Parameters
    ----------
    ports_per_leaf
        Ports of a leaf switch towards NICs.
    num_leaves
        Leaf switches; the last may have free ports.
    leaves_per_pod
        Leaf switches below one set of aggregation switches; all of them in a tree of two tiers.
    uppers_per_pod
        Switches above a pod's leaves: spines in a tree of two tiers, else aggregation switches. Every leaf has a link
        to each. 0: a single leaf needs none.
    cores_per_upper
        Core switches above each aggregation switch of a pod, shared with those of the same number in other pods. 0: two
        tiers.
    leaf_share, upper_share
        Bandwidth of a leaf's link upwards, and of an aggregation switch's, over that of a NIC.
    """

    ports_per_leaf: int
    num_leaves: int
    leaves_per_pod: int
    uppers_per_pod: int
    cores_per_upper: int
    leaf_share: Fraction = Fraction(1)
    upper_share: Fraction = Fraction(1)

    @property
    def num_pods(self) -> int:
        """Number of pods; the last may have fewer leaves."""
        return -(-self.num_leaves // self.leaves_per_pod)

    @property
    def num_uppers(self) -> int:
        """Number of spine or aggregation switches."""
        return self.num_pods * self.uppers_per_pod

    @property
    def num_cores(self) -> int:
        """Number of core switches."""
        return self.uppers_per_pod * self.cores_per_upper


def two_tiers(ports_per_leaf: int, num_leaves: int, num_spines: int, oversubscription: Fraction) -> TreeShape:
    """Return a leaf-spine tree; a leaf's links upwards share its NICs' bandwidth / oversubscription evenly."""
    if num_leaves == 1:
        return TreeShape(ports_per_leaf, 1, 1, 0, 0)
    share = ports_per_leaf / (num_spines * oversubscription)
    return TreeShape(ports_per_leaf, num_leaves, num_leaves, num_spines, 0, share)


def radix_tree(radix: int, num_leaves: int, leaves_per_pod: int, oversubscription: tuple[Fraction, ...]) -> TreeShape:
    """Return the smallest tree of switches with `radix` ports, half of them downwards, that joins the leaves.

    Parameters
    ----------
    radix
        Ports of every switch.
    num_leaves
        Leaf switches, each with radix / 2 ports for NICs.
    leaves_per_pod
        Leaf switches in a pod, if there are to be pods.
    oversubscription
        Of leaf switches, then of aggregation switches (absent: 1).

    References
    ----------
    M. Al-Fares, A. Loukissas, A. Vahdat, "A scalable, commodity data center network architecture", SIGCOMM 2008,
    section 3: the k-ary fat tree, which this is without oversubscription.

    Examples
    --------
    >>> one = (Fraction(1),)
    >>> [radix_tree(4, leaves, 2, one).num_cores for leaves in (1, 4, 8)]
    [0, 0, 4]
    """
    ports_per_leaf = radix // 2
    of_leaf, of_upper = (*oversubscription, Fraction(1))[:2]
    num_uppers = math.ceil(ports_per_leaf / of_leaf)
    if num_leaves <= radix:
        return two_tiers(ports_per_leaf, num_leaves, num_uppers, of_leaf)
    num_cores = math.ceil(leaves_per_pod / of_upper)
    leaf_share = ports_per_leaf / (num_uppers * of_leaf)
    upper_share = leaf_share * leaves_per_pod / (num_cores * of_upper)
    return TreeShape(ports_per_leaf, num_leaves, leaves_per_pod, num_uppers, num_cores, leaf_share, upper_share)
