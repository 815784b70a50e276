"""Torus: GPUs on a grid whose lines are closed to rings."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clustersim.scenario.fabrics.fabric import MAX_GPUS, Count, Fabric, LinkSpec

MAX_DIMS = 6


class Torus(Fabric):
    """GPUs on a grid, each linked to its neighbours in every dimension; GPUs forward, one dimension after the other.

    Examples
    --------
    >>> torus = Torus(fabric="torus", dims=[4, 4, 4])
    >>> torus.num_gpus, torus.scaled_to(32).dims, torus.scaled_to(8).dims
    (64, (2, 4, 4), (2, 2, 2))
    """

    fabric: Literal["torus"] = Field(description="GPUs on a grid whose lines are closed to rings.")
    dims: Annotated[tuple[Count, ...], Field(min_length=1, max_length=MAX_DIMS)] = Field(
        description="Number of GPUs along each dimension; GPU numbers run along the last one first."
    )
    link: LinkSpec = Field(LinkSpec(), description="The link from a GPU to each neighbour; absent: an ideal wire.")
    wraparound: bool = Field(
        True, strict=True, description="Whether lines are closed to rings; false: a mesh with open ends."
    )

    @model_validator(mode="after")
    def _at_most_max_gpus(self) -> Self:
        if self.num_gpus > MAX_GPUS:
            raise ValueError(f"dims multiply to {self.num_gpus}; at most {MAX_GPUS} GPUs are allowed")
        return self

    @property
    def num_gpus(self) -> int:
        return math.prod(self.dims)

    def scaled_to(self, num_gpus: int) -> Self:
        """Return a torus of exactly `num_gpus` GPUs in as many dimensions, as near to a cube as divisors allow."""
        return self._with(dims=near_cube(num_gpus, len(self.dims)))


def near_cube(volume: int, num_dims: int) -> tuple[int, ...]:
    """Return `num_dims` sizes that multiply to `volume`, rising, each as near to the others as divisors allow.

    Examples
    --------
    >>> near_cube(64, 3), near_cube(4, 3), near_cube(24, 2), near_cube(7, 2)
    ((4, 4, 4), (1, 2, 2), (4, 6), (1, 7))
    """
    if num_dims == 1:
        return (volume,)
    side = math.floor(volume ** (1 / num_dims) + 1e-9)
    smallest = next(size for size in range(side, 0, -1) if volume % size == 0)
    return tuple(sorted((smallest, *near_cube(volume // smallest, num_dims - 1))))
