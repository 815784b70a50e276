"""Bisection bandwidth: what one half of a cluster can send to the other."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from clustersim.scenario.fabrics import Fabric, Torus
from clustersim.topology.cluster import Cluster
from clustersim.topology.link_table import LinkTable
from clustersim.topology.min_cut import FIRST, NEITHER, SECOND, Cut, smallest_cut
from clustersim.topology.tiers import GPU_TIER, Tiers, host_names


@dataclass(frozen=True, slots=True)
class Bisection:
    """What the first half of the hosts can send to the second, and what it could over a network without bottlenecks.

    Parameters
    ----------
    bandwidth_bytes_per_s
        The smallest cut between the two halves, in the direction from the first to the second, every link used at
        capacity and over any path; None: unlimited. [bytes/s]
    full_bytes_per_s
        Half of what all GPUs together send into the network: over their NICs, where several hosts have some; else over
        the GPUs' own links. None: unlimited. [bytes/s]
    is_exact
        Whether no smaller cut exists; False: what was found is an upper bound.
    first_half, second_half
        Number of GPUs in each half.
    by
        What the halves are taken by: ``hosts``, ``gpus`` (of one host) or ``dimension`` (of a torus).
    """

    bandwidth_bytes_per_s: Fraction | None
    full_bytes_per_s: Fraction | None
    is_exact: bool
    first_half: int
    second_half: int
    by: str

    @property
    def fraction(self) -> float | None:
        """Bisection over full bisection bandwidth; None where either is unlimited, or nothing can be sent."""
        if self.bandwidth_bytes_per_s is None or not self.full_bytes_per_s:
            return None
        return float(self.bandwidth_bytes_per_s / self.full_bytes_per_s)


def bisection(cluster: Cluster, fabric: Fabric, table: LinkTable | None, tiers: Tiers) -> Bisection | None:
    """Return the bisection bandwidth of a cluster; None for a single GPU.

    The halves are the first and the last hosts by number, hosts kept whole, as near to half of the GPUs as that allows;
    the GPUs by number where there is one host only; the planes of a torus along its longest dimension, for the usual
    figure (2 N / k wires in a torus of N GPUs, k along it) is across that one. Reserved hosts count like the others.

    Parameters
    ----------
    cluster
        The cluster.
    fabric
        The fabric that it was built from.
    table
        Its links; None for a full mesh, whose links are counted and not looked at.
    tiers
        Where its nodes stand.
    """
    if len(cluster.gpus) < 2:
        return None
    in_first, by = halves(cluster, fabric)
    first = int(in_first.sum())
    second = len(cluster.gpus) - first
    if table is None:
        cut, full = _of_mesh(cluster, first, second)
    else:
        cut, full = _cut(table, tiers, in_first), _injection(cluster, table, tiers, by == "hosts")
    return Bisection(cut.bandwidth_bytes_per_s, None if full is None else full / 2, cut.is_exact, first, second, by)


def halves(cluster: Cluster, fabric: Fabric) -> tuple[NDArray[np.bool_], str]:
    """Return which GPUs are in the first half, and what the halves are taken by; see `bisection`.

    Examples
    --------
    >>> from clustersim.topology.torus import torus
    >>> small = Torus(fabric="torus", dims=[2, 4])
    >>> halves(torus(small), small)
    (array([ True,  True, False, False,  True,  True, False, False]), 'dimension')
    """
    numbers = np.arange(len(cluster.gpus))
    if isinstance(fabric, Torus):
        longest = fabric.dims.index(max(fabric.dims))
        place = np.unravel_index(numbers, fabric.dims)[longest]
        rank_of = np.empty_like(numbers)
        rank_of[np.argsort(place, kind="stable")] = numbers
        return rank_of < len(numbers) // 2, "dimension"
    number_by_host: dict[str, int] = {}
    hosts = [number_by_host.setdefault(host, len(number_by_host)) for host in host_names(cluster)]
    if len(number_by_host) == 1:
        return numbers < len(numbers) // 2, "gpus"
    before = np.cumsum(np.bincount(hosts))[:-1]
    num_first_hosts = int(np.argmin(np.abs(2 * before - len(numbers)))) + 1
    return np.array(hosts) < num_first_hosts, "hosts"


def _of_mesh(cluster: Cluster, first: int, second: int) -> tuple[Cut, Fraction | None]:
    bandwidth = cluster.links[0].bandwidth_bytes_per_s
    if bandwidth is None:
        return Cut(None), None
    return Cut(first * second * bandwidth), len(cluster.links) * bandwidth


def _cut(table: LinkTable, tiers: Tiers, in_first: NDArray[np.bool_]) -> Cut:
    side = np.full(len(table.nodes), NEITHER, dtype=np.int64)
    side[tiers.tier == GPU_TIER] = np.where(in_first, FIRST, SECOND)
    return smallest_cut(table, side)


def _injection(cluster: Cluster, table: LinkTable, tiers: Tiers, has_hosts: bool) -> Fraction | None:
    """Return what all GPUs together can send into the network; None: unlimited. [bytes/s]"""
    is_gpu = tiers.tier == GPU_TIER
    is_nic = np.array([group.kind == "nic" for group in tiers.groups], dtype=np.bool_)[tiers.group_of]
    counted = is_gpu[table.source]
    if has_hosts and is_nic.any():
        counted = is_nic[table.source] & ~is_gpu[table.target]
        host_of = [cluster.nodes[table.nodes[nic]].get("host") for nic in np.flatnonzero(is_nic)]
        if any(host is not None for host in host_of):
            counted &= ~_in_one_host(cluster, table)
    make = table.make[counted]
    if table.is_unlimited[make].any():
        return None
    return Fraction(int(table.capacities[make].sum()), table.denominator)


def _in_one_host(cluster: Cluster, table: LinkTable) -> NDArray[np.bool_]:
    """Return whether each link joins two nodes of the same host."""
    number_by_host: dict[object, int] = {None: -1}
    attributes = cluster.nodes.values()
    hosts = np.array([number_by_host.setdefault(given.get("host"), len(number_by_host)) for given in attributes])
    return np.asarray((hosts[table.source] >= 0) & (hosts[table.source] == hosts[table.target]), dtype=np.bool_)
