"""Which GPU each rank gets: what a scenario may say of it, and what is wrong with that on a given fabric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from clustersim.errors import nearest
from clustersim.scenario.fabrics import Fabric
from clustersim.scenario.findings import Finding, raise_if_any
from clustersim.scenario.hostlist import HostNames, expand_hosts
from clustersim.scenario.node import Path

PlacementName = Literal["contiguous", "rail-aligned", "scattered"]
_PATH: Path = ("cluster", "placement")
PLACEMENT_NAMES: tuple[PlacementName, ...] = get_args(PlacementName)


class Placement(BaseModel):
    """Which hosts the job gets and how its ranks are put on them; the name alone is a shorthand for it.

    Examples
    --------
    >>> Placement.model_validate("contiguous") == Placement()
    True
    >>> Placement(name="scattered", seed=3, exclude="node[0-3]").exclude
    ('node[0-3]',)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    name: PlacementName = Field(
        "contiguous",
        description="contiguous: GPU after GPU and host after host; rail-aligned: likewise, each host's GPUs in the "
        "order of their rails, and only hosts that have a GPU on every rail, so that ranks a host apart share a rail; "
        "scattered: whole hosts in random order.",
    )
    seed: int | None = Field(
        None, ge=0, le=2**63 - 1, description="Seed of a scattered placement; absent: the scenario's seed."
    )
    hosts: HostNames | None = Field(
        None,
        description="The hosts to use, in this order: names or host lists such as node[0-3,7] or node3-5; absent: all. "
        "A GPU is a host of its own where the topology knows no nodes.",
    )
    exclude: HostNames | None = Field(
        None, description="Hosts to leave out, as failed or taken ones; reserved hosts of the topology always are."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("name", mode="before")
    @classmethod
    def _is_known(cls, name: object) -> object:
        if name not in PLACEMENT_NAMES:
            hint = f"{nearest(str(name), PLACEMENT_NAMES)} allowed: {', '.join(PLACEMENT_NAMES)}".strip()
            raise ValueError(f"{name!r} is no placement; {hint}")
        return name

    @model_validator(mode="after")
    def _only_scattered_has_a_seed(self) -> Self:
        if self.seed is not None and self.name != "scattered":
            raise_if_any([Finding(("seed",), f"means nothing to {self.name}; it is for scattered")])
        return self


def placement_findings(placement: Placement, fabric: Fabric, num_ranks: int | None) -> Iterator[Finding]:
    """Yield what is wrong with a placement on a fabric whose hosts are known before it is built.

    Parameters
    ----------
    num_ranks
        Ranks to place; None if that is not known.
    """
    num_hosts, num_gpus = fabric.num_hosts, fabric.num_gpus
    if num_hosts is None or num_gpus is None:
        return
    hosts, excluded = list[int](), list[int]()
    faults = [
        *_named_hosts(fabric, "hosts", placement.hosts, hosts),
        *_named_hosts(fabric, "exclude", placement.exclude, excluded),
        *_unusable_hosts(fabric, hosts),
    ]
    yield from faults
    left_out = {*excluded, *fabric.reserved_hosts}
    num_left = sum(host not in left_out for host in hosts or range(num_hosts)) * num_gpus // num_hosts
    if not faults and num_ranks is not None and num_gpus >= num_ranks > num_left:
        what = f"{num_ranks} ranks; {num_left} of {num_gpus} GPUs are left to place them on"
        yield Finding(_PATH, what, "leave out fewer hosts, or give the topology more")


def _named_hosts(fabric: Fabric, key: str, texts: tuple[str, ...] | None, numbers: list[int]) -> Iterator[Finding]:
    """Add the hosts that are named under `key` to `numbers`, and yield a finding for each text that names none."""
    for index, text in enumerate(texts or ()):
        for name in expand_hosts(text, lambda name: fabric.host_number(name) is not None):
            number = fabric.host_number(name)
            if number is None:
                first, last = f"{fabric.host_prefix}0", f"{fabric.host_prefix}{(fabric.num_hosts or 1) - 1}"
                yield Finding((*_PATH, key, index), f"there is no host '{name}'; the topology has {first} to {last}")
                break
            numbers.append(number)


def _unusable_hosts(fabric: Fabric, hosts: list[int]) -> Iterator[Finding]:
    reserved = frozenset(fabric.reserved_hosts)
    for number, times in Counter(hosts).items():
        name = f"{fabric.host_prefix}{number}"
        if times > 1:
            yield Finding((*_PATH, "hosts"), f"the host '{name}' stands in the list twice")
        if number in reserved:
            yield Finding((*_PATH, "hosts"), f"the topology reserves the host '{name}'")


def scaled_for(fabric: Fabric, num_gpus: int, placement: Placement) -> Fabric:
    """Return a gallery fabric with room for `num_gpus` GPUs beside the hosts that the placement leaves out.

    Hosts that the placement names are there, too.
    """
    if fabric.num_hosts is None or fabric.num_gpus is None:
        return fabric.scaled_to(num_gpus)
    gpus_per_host = fabric.num_gpus // fabric.num_hosts
    excluded = _numbers(fabric, placement.exclude)
    named = max((number + 1 for number in (*excluded, *_numbers(fabric, placement.hosts))), default=0)
    return fabric.scaled_to(max(num_gpus + len(excluded) * gpus_per_host, named * gpus_per_host))


def _numbers(fabric: Fabric, texts: tuple[str, ...] | None) -> tuple[int, ...]:
    """Return the numbers of the hosts that `texts` name, whether or not the fabric is as large already."""
    numbers: dict[int, None] = {}
    for text in texts or ():
        for name in expand_hosts(text, lambda name: fabric.host_number(name) is not None):
            digits = name.removeprefix(fabric.host_prefix)
            if digits != name and digits.isdecimal() and len(digits) < 8:
                numbers[int(digits)] = None
    return tuple(numbers)
