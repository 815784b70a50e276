"""What GPUs cost and draw: ``topologies/economics/*.yaml``, and what a scenario replaces of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clustersim.errors import Fault, ScenarioError, nearest
from clustersim.scenario.devices import device_names, name_in_file
from clustersim.scenario.document import READERS, read_document
from clustersim.scenario.fabrics import Fabric, GraphFile, HostedFabric
from clustersim.scenario.faults import faults_of
from clustersim.scenario.findings import Finding, raise_if_any
from clustersim.scenario.gallery import gallery_file, gallery_names
from clustersim.scenario.node import Node, plain
from clustersim.scenario.spending_units import UsdPerH, UsdPerKwh

LIST_PRICES = "list-prices"
"""What holds where a scenario says nothing."""
ShareName = Literal["draw", "host", "network", "pue"]

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
_BOUNDS: dict[ShareName, tuple[float, float]] = {"draw": (0, 1), "host": (0, 10), "network": (0, 10), "pue": (1, 10)}
_Factor = Annotated[float, Field(ge=0, le=10)]
_Text = Annotated[str, Field(max_length=1000)]


class GpuPrice(BaseModel):
    """What GPUs of one device cost.

    Examples
    --------
    >>> GpuPrice(price="55.04 USD/h", gpus=8).usd_per_gpu_h
    Fraction(172, 25)
    """

    model_config = _STRICT

    price: UsdPerH = Field(description="Price of `gpus` GPUs for an hour, with all that is sold with them.")
    gpus: int = Field(1, ge=1, le=100_000, description="GPUs that the price is for.")
    lowest: UsdPerH | None = Field(None, description="What one GPU costs where it is cheapest, for intervals.")
    highest: UsdPerH | None = Field(None, description="What one GPU costs where it is dearest, for intervals.")
    terms: str = Field("", max_length=200, description="How it is bought: on-demand, reserved, spot, own.")
    date: str = Field("", pattern=r"^(\d{4}-\d\d-\d\d)?$", description="Day of the price, such as 2026-11-25.")
    source: _Text = Field("", description="Where the price comes from.")

    @property
    def usd_per_gpu_h(self) -> Fraction:
        """What one GPU costs for an hour. [USD]"""
        return self.price / self.gpus

    @model_validator(mode="after")
    def _check(self) -> Self:
        raise_if_any(self._findings())
        return self

    def _findings(self) -> Iterator[Finding]:
        usd = float(self.usd_per_gpu_h)
        if self.lowest is not None and self.lowest > self.usd_per_gpu_h:
            yield Finding(("lowest",), f"got {float(self.lowest):g} USD/h, more than a GPU's price, {usd:g} USD/h")
        if self.highest is not None and self.highest < self.usd_per_gpu_h:
            yield Finding(("highest",), f"got {float(self.highest):g} USD/h, less than a GPU's price, {usd:g} USD/h")


class Economics(BaseModel):
    """What GPUs cost, and what they and all around them draw; what is not given is as in the gallery's list prices.

    Examples
    --------
    >>> given = Economics(pue=1.3)
    >>> given.over(Economics(pue=1.1, host=0.8)).model_dump(include={"pue", "host"})
    {'host': 0.8, 'pue': 1.3}
    """

    model_config = _STRICT

    name: str = Field("", max_length=200, description="What reports call these figures.")
    prices: dict[str, GpuPrice] = Field({}, description="Price of GPUs, by the name of their device.")
    electricity: UsdPerKwh | None = Field(
        None, description="Price of electricity, on top of that of GPUs; absent: it is part of that."
    )
    draw: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Share of its design power that a node draws while it trains."
    )
    host: _Factor | None = Field(
        None,
        description="Power of a host beside its devices, over theirs; a topology's `power.node` goes before it.",
    )
    network: _Factor | None = Field(None, description="Power of switches and optics, over that of the devices.")
    pue: Annotated[float, Field(ge=1, le=10)] | None = Field(
        None,
        description="Power usage effectiveness: what the site draws over what nodes and network draw; goes before a "
        "topology's `power.pue`.",
    )
    ranges: dict[ShareName, tuple[_Factor, _Factor]] = Field(
        {}, description="The least and the most that a share may be, for intervals."
    )
    sources: dict[ShareName, _Text] = Field({}, description="Where a share comes from.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        raise_if_any(self._findings())
        return self

    def _findings(self) -> Iterator[Finding]:
        for name, (least, most) in self.ranges.items():
            low, high = _BOUNDS[name]
            if least > most:
                yield Finding(("ranges", name), f"got {least:g} to {most:g}; the least comes first")
            elif not low <= least <= most <= high or (name == "draw" and least == low):
                above = "above 0" if name == "draw" else f"{low:g}"
                yield Finding(("ranges", name), f"got {least:g} to {most:g}; allowed: {above} to {high:g}")

    def over(self, below: Economics) -> Economics:
        """Return these figures, and those of `below` where these have none."""
        given = {key: getattr(self, key) for key in self.model_fields_set if getattr(self, key) is not None}
        merged = {key: {**getattr(below, key), **getattr(self, key)} for key in ("prices", "ranges", "sources")}
        return below.model_copy(update=given | merged)


def price_findings(prices: Iterable[str], fabric: Fabric) -> Iterator[Finding]:
    """Yield the names among `prices` that are of no device: neither in the catalogue, nor one of the topology's own."""
    if isinstance(fabric, GraphFile):
        return  # its nodes name devices, too, which are known when it is read
    hosts = fabric.hosts if isinstance(fabric, HostedFabric) else ()
    own: list[str] = []
    for device in (fabric.device, *(host.device for host in hosts)):
        with suppress(ScenarioError):  # what is wrong with a device file is told where it stands
            own += [name_in_file(device)] if device else []
    known = {*own, *device_names()}
    for name in prices:
        if name not in known:
            hint = nearest(name, own) or nearest(name, sorted(known)) or "`clustersim list devices` tells all names"
            yield Finding(("economics", "prices", name), f"no device is called '{name}'", hint)


def economics_node(node: Node, folder: FilePath) -> Node:
    """Return the figures that `node`, the value of ``economics``, stands for; a relative path starts at `folder`.

    Raises
    ------
    ScenarioError
        No such file or name.
    """
    if not isinstance(node.value, str):
        return node
    name = node.value
    if FilePath(name).suffix.lower() in READERS:
        return read_document(folder / name, str(folder / name), Fault("economics", name, node.position)).root
    path = gallery_file("economics", name)
    if path is None:
        known = gallery_names("economics")
        hint = nearest(name, known) or f"gallery: {', '.join(known)}; or a path that ends in {', '.join(READERS)}"
        raise ScenarioError(Fault("economics", f"no economics are called '{name}'", node.position, hint))
    return read_document(path).root


@lru_cache(maxsize=16)
def load_economics(name: str = LIST_PRICES) -> Economics:
    """Return the figures called `name` in the gallery, or in the file at that path.

    Raises
    ------
    ScenarioError
        No such name or file, or one with mistakes.

    Examples
    --------
    >>> load_economics().prices["H100-SXM5-80GB"].usd_per_gpu_h
    Fraction(172, 25)
    """
    root = economics_node(Node(name), FilePath())
    try:
        return Economics.model_validate(plain(root))
    except ValidationError as error:
        raise ScenarioError(faults_of(error, Economics, root)) from None
