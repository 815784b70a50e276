"""What a job costs and draws: the only place with these formulas.

GPUs are paid by the hour, busy or not. Energy is that of devices, hosts and network, times what the site adds: an upper
estimate where `draw` is 1, as every node then draws all that its data sheet allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from clustersim.scenario.devices import load_device
from clustersim.scenario.economics import Economics, load_economics
from clustersim.scenario.fabrics import HostedFabric
from clustersim.scenario.spec import Scenario

HOUR_S = 3600
J_PER_KWH = 3_600_000


@dataclass(frozen=True, slots=True)
class Power:
    """What a job draws, by part. [W]"""

    device: Fraction | None  # None: the design power of its devices is not known, and part of the host's
    host: Fraction
    network: Fraction
    site: Fraction  # cooling and losses: what the PUE adds

    @property
    def total(self) -> Fraction:
        """The sum of the parts. [W]"""
        return (self.device or Fraction(0)) + self.host + self.network + self.site


@dataclass(frozen=True, slots=True)
class Rates:
    """What a job costs and draws as long as it runs; None: not known."""

    num_gpus: int
    gpus_usd_per_h: Fraction | None
    electricity_usd_per_kwh: Fraction
    power: Power | None
    price_basis: str
    price_source: str
    power_basis: str

    @property
    def usd_per_h(self) -> Fraction | None:
        """What an hour costs, electricity included where it is paid for itself. [USD]"""
        if self.gpus_usd_per_h is None or (self.electricity_usd_per_kwh and self.power is None):
            return None
        kw = self.power.total / 1000 if self.power else Fraction(0)
        return self.gpus_usd_per_h + kw * self.electricity_usd_per_kwh


@dataclass(frozen=True, slots=True)
class Spending:
    """What some time of a job takes. [s; GPU-hours; USD; J]"""

    time_s: float
    gpu_hours: float
    cost_usd: float | None
    energy_j: float | None


def cost_and_energy(scenario: Scenario, time_s: float) -> Spending:
    """Return what `time_s` of a scenario's job costs and takes of energy, all GPUs of one device.

    Examples
    --------
    >>> from clustersim.scenario.load import load_scenario
    >>> found = cost_and_energy(load_scenario("llama-3.1-8b-64gpus"), 3600.0)
    >>> found.gpu_hours, found.cost_usd  # 64 GPUs at 6.88 USD
    (64.0, 440.32)
    """
    return spending(rates_of(scenario), time_s)


def spending(rates: Rates, time_s: float) -> Spending:
    """Return what `time_s` at these rates costs and takes, each rounded once.

    Parameters
    ----------
    rates
        Of the job.
    time_s
        How long it runs. [s]
    """
    exact_s = Fraction(time_s)
    usd_per_h, power = rates.usd_per_h, rates.power
    return Spending(
        time_s,
        float(exact_s * rates.num_gpus / HOUR_S),
        None if usd_per_h is None else float(exact_s * usd_per_h / HOUR_S),
        None if power is None else float(exact_s * power.total),
    )


def economics_of(scenario: Scenario) -> Economics:
    """Return the economics of a scenario, list prices where it says nothing."""
    below = load_economics()
    return below if scenario.economics is None else scenario.economics.over(below)


def rates_of(
    scenario: Scenario, gpus_by_device: Mapping[str | None, int] | None = None, num_nodes: int | None = None
) -> Rates:
    """Return what a scenario's job costs and draws as long as it runs.

    Parameters
    ----------
    scenario
        The job.
    gpus_by_device
        Its GPUs, by the device that they are; None: all are the topology's.
    num_nodes
        Nodes that it has GPUs on, each paid for as a whole in power; None: as few as hold its GPUs.
    """
    economics, fabric = economics_of(scenario), scenario.cluster.topology
    gpus = gpus_by_device or {fabric.device: scenario.parallelism.num_gpus}
    num_gpus = sum(gpus.values())
    if num_nodes is None:
        num_nodes = -(-num_gpus // (fabric.gpus_per_node if isinstance(fabric, HostedFabric) else 1))
    usd, price_basis, price_source = _price(economics, gpus)
    power, power_basis = _power(scenario, economics, gpus, num_nodes)
    return Rates(num_gpus, usd, economics.electricity or Fraction(0), power, price_basis, price_source, power_basis)


@lru_cache(maxsize=64)
def _tdp_w(device: str) -> Fraction | None:
    return load_device(device).tdp


@lru_cache(maxsize=64)
def _name(device: str) -> str:
    return load_device(device).name


def _price(economics: Economics, gpus: Mapping[str | None, int]) -> tuple[Fraction | None, str, str]:
    """Return what the GPUs cost for an hour, in words what that rests on, and where it comes from. [USD/h]"""
    names = [_name(device) for device in gpus if device]
    unknown = [name for name in names if name not in economics.prices]
    if unknown or len(names) < len(gpus):
        what = ", ".join(unknown) if unknown else "GPUs without a device"
        return None, f"no price of {what} is known (`economics.prices`)", ""
    prices = [economics.prices[name] for name in names]
    usd = sum((price.usd_per_gpu_h * number for price, number in zip(prices, gpus.values(), strict=True)), Fraction(0))
    told = [
        f"{name} at {float(price.usd_per_gpu_h):g} USD/h"
        + "".join(f", {text}" for text in (price.terms, price.date) if text)
        for name, price in zip(names, prices, strict=True)
    ]
    return usd, "; ".join(told), "; ".join(price.source for price in prices if price.source)


def _power(
    scenario: Scenario, economics: Economics, gpus: Mapping[str | None, int], num_nodes: int
) -> tuple[Power | None, str]:
    """Return what the job draws, and in words what that counts."""
    given = scenario.cluster.topology.power
    tdps = [_tdp_w(device) if device else None for device in gpus]
    known = [tdp * number for tdp, number in zip(tdps, gpus.values(), strict=True) if tdp is not None]
    device_w = sum(known, Fraction(0)) if len(known) == len(gpus) else None
    if device_w is None and given.node is None:
        return None, "the power of its devices is not in the catalogue"
    if given.node is not None:
        nodes_w = num_nodes * given.node
        device_w = None if device_w is None else min(device_w, nodes_w)
        host_w = nodes_w - (device_w or 0)
        counted = f"{num_nodes} nodes at {float(given.node):g} W, all that they may draw"
    else:
        assert device_w is not None
        host_w = device_w * _exact(economics.host)
        counted = f"{sum(gpus.values())} GPUs at their design power, hosts {economics.host:g} times as much"
    network_w = (device_w or 0) * _exact(economics.network)
    pue = _pue(scenario, economics)
    draw = _exact(economics.draw)
    drawn = None if device_w is None else device_w * draw, host_w * draw, network_w * draw
    site_w = sum((part for part in drawn if part is not None), Fraction(0)) * (_exact(pue) - 1)
    words = [
        counted,
        f"the network {economics.network:g} times the GPUs'" if network_w else "no network",
        f"a PUE of {pue:g}",
    ]
    if draw != 1:
        words.append(f"{economics.draw:.0%} of all that drawn")
    return Power(*drawn, site_w), "; ".join(words)


def _pue(scenario: Scenario, economics: Economics) -> float:
    own = scenario.economics
    if own is not None and own.pue is not None:
        return own.pue
    found = scenario.cluster.topology.power.pue or economics.pue
    assert found is not None  # list prices have one
    return found


def _exact(share: float | None) -> Fraction:
    """Return a share as its decimal digits say it."""
    assert share is not None  # list prices have each
    return Fraction(str(share))
