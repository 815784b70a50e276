"""Full mesh: every pair of GPUs has its own link in each direction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from clustersim.scenario.fabrics import FullMesh, LinkSpec
from clustersim.topology.cluster import Cluster, Ints, Link, gpu_attributes, one_way
from clustersim.topology.link_sequence import LinkSequence


@dataclass(frozen=True, slots=True)
class MeshLinks(LinkSequence):
    """The links of a full mesh, made when looked at: there are as many as GPUs squared.

    Examples
    --------
    >>> [link.name for link in MeshLinks(("a", "b", "c"), LinkSpec())]
    ['a->b', 'a->c', 'b->a', 'b->c', 'c->a', 'c->b']
    """

    gpus: tuple[str, ...]
    spec: LinkSpec

    def __len__(self) -> int:
        return len(self.gpus) * (len(self.gpus) - 1)

    def link(self, index: int) -> Link:
        """Return the link of a number."""
        source, position = divmod(index, len(self.gpus) - 1)
        target = position + (position >= source)
        return one_way(self.gpus[source], self.gpus[target], self.spec)

    def alike(self, numbers: Ints) -> Ints:
        """Return the first link for each: all are alike."""
        return np.zeros_like(numbers)


def mesh_route(num_gpus: int, source: int, destination: int) -> tuple[int, ...]:
    """Return the one link of a pair: a GPU's links are numbered by target, itself left out.

    Examples
    --------
    >>> mesh_route(3, 1, 0), mesh_route(3, 1, 2)
    ((2,), (3,))
    """
    return (source * (num_gpus - 1) + destination - (destination > source),)


def full_mesh(spec: FullMesh) -> Cluster:
    """Return the cluster of `spec`."""
    gpus = tuple(f"gpu{gpu}" for gpu in range(spec.gpus))
    nodes = dict.fromkeys(gpus, gpu_attributes(spec.device))
    return Cluster(spec.fabric, nodes, gpus, MeshLinks(gpus, spec.link), partial(mesh_route, spec.gpus))
