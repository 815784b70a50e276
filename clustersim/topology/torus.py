"""Torus: GPUs on a grid whose lines are closed to rings, and which forward for one another.

A message goes along the first dimension first, then the second and so on (dimension-order routing), each the shorter
way round, on a tie to higher numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from clustersim.scenario.fabrics import LinkSpec, Torus
from clustersim.topology.cluster import Cluster, gpu_attributes
from clustersim.topology.wires import WireLinks, Wires


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of a grid: its lines, and the numbers of their wires.

    Wire i of a line joins the GPUs at places i and i + 1 of it, the last wire of a ring the last place and the first.

    Parameters
    ----------
    size
        GPUs along a line.
    stride
        Steps in GPU numbers from one GPU of a line to the next.
    wires_per_line
        Wires of each line. Two GPUs share one wire, both ways round.
    first_wire
        Number of the dimension's first wire.
    """

    size: int
    stride: int
    wires_per_line: int
    first_wire: int

    def place(self, gpu: int) -> int:
        """Return where on its line a GPU stands."""
        return gpu // self.stride % self.size

    def line(self, gpu: int) -> int:
        """Return the number of a GPU's line."""
        return gpu // (self.stride * self.size) * self.stride + gpu % self.stride

    def ends(self, wire: int) -> tuple[int, int]:
        """Return the GPUs that a wire, counted within the dimension, joins."""
        line, place = divmod(wire, self.wires_per_line)
        block, offset = divmod(line, self.stride)
        first = block * self.stride * self.size + offset
        return first + place * self.stride, first + (place + 1) % self.size * self.stride

    def walk(self, source: int, destination: int) -> Iterator[int]:
        """Yield the links along the line of `source` to the place of `destination`."""
        place, end = self.place(source), self.place(destination)
        first = self.first_wire + self.line(source) * self.wires_per_line
        upwards = (end - place) % self.size
        is_ring = self.wires_per_line == self.size
        goes_up = 2 * upwards <= self.size if is_ring else place <= end
        for hop in range(upwards if goes_up else self.size - upwards if place != end else 0):
            wire = (place + hop) % self.size if goes_up else (place - hop - 1) % self.size
            yield 2 * (first + wire) + (not goes_up)


@dataclass(frozen=True, slots=True)
class TorusRoutes:
    """Dimension-order routes."""

    dimensions: tuple[Dimension, ...]

    def __call__(self, source: int, destination: int) -> tuple[int, ...]:
        """Return the links from one GPU to another."""
        route: list[int] = []
        for dimension in self.dimensions:
            route += dimension.walk(source, destination)
            source += (dimension.place(destination) - dimension.place(source)) * dimension.stride
        return tuple(route)


def torus(spec: Torus) -> Cluster:
    """Return the cluster of `spec`."""
    dimensions = tuple(_dimensions(spec))
    gpus = tuple(f"gpu{gpu}" for gpu in range(spec.num_gpus))
    links = WireLinks([_wires(dimension, spec) for dimension in dimensions])
    nodes = dict.fromkeys(gpus, gpu_attributes(spec.device))
    return Cluster(spec.fabric, nodes, gpus, links, TorusRoutes(dimensions))


def _dimensions(spec: Torus) -> Iterator[Dimension]:
    first_wire = 0
    for index, size in enumerate(spec.dims):
        wires_per_line = size if spec.wraparound and size > 2 else size - 1
        yield Dimension(size, prod(spec.dims[index + 1 :]), wires_per_line, first_wire)
        first_wire += spec.num_gpus // size * wires_per_line


def _wires(dimension: Dimension, spec: Torus) -> Wires:
    def wire(number: int) -> tuple[str, str, LinkSpec]:
        lower, upper = dimension.ends(number)
        return f"gpu{lower}", f"gpu{upper}", spec.link

    return Wires(spec.num_gpus // dimension.size * dimension.wires_per_line, wire)
