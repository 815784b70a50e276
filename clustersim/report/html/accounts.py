"""Throughput on a page, what tokens take, and what the costs of a model's run rest on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clustersim.report.html.markup import Child, Markup, Numbers, element, joined, name_of
from clustersim.report.html.parts import Part, Section, bar, key, section, table
from clustersim.report.quantities import count, energy, number, percent, rate, seconds, usd
from clustersim.result import CostOrigins, Result, Spent
from clustersim.scenario.units import format_tokens

_CONVENTIONS = {"full": "full attention", "causal": "causal attention"}
_ORIGINS = {
    "measured": ("measured", "memory-2"),
    "derived": ("derived by a fit", "memory-0"),
    "given": ("as given", "memory-1"),
    "assumed": ("assumed", "memory-3"),
}


def accounts_section(result: Result, numbers: Numbers) -> Section | None:
    """Return the throughput of a model, and the origins of its costs; None where costs were given without a model."""
    if result.scenario.model is None:
        return None
    throughput = [_utilizations(numbers), _tokens(result, numbers)] if result.throughput.by_convention else []
    parts = [element("div", *throughput, class_="columns"), *_origins(result.cost_origins, numbers)]
    return section("accounts", "Throughput and costs", *parts)


def _utilizations(numbers: Numbers) -> Markup:
    rows: list[Sequence[Child]] = []
    for name in numbers.at("throughput.by_convention"):
        place = f"throughput.by_convention.{name}"
        ratios = [numbers.show(f"{place}.{ratio}", percent) for ratio in ("mfu", "hfu")]
        flop = numbers.show(f"{place}.model_flop_per_s_per_gpu", rate)
        rows.append((_CONVENTIONS.get(name, name), flop, *ratios))
    peak = joined("of a peak of ", numbers.show("throughput.peak_flop_per_s", rate))
    header = ("counting", "model FLOP/s/GPU", "MFU", "HFU")
    return element("div", table("Utilisation", header, rows), element("p", peak, class_="hint"))


def _tokens(result: Result, numbers: Numbers) -> Markup:
    cost = result.token_cost
    if cost is None:
        return Markup("")
    rows: list[Sequence[Child]] = [
        ("a million tokens", *_spent(cost.per_million_tokens, "per_million_tokens", numbers))
    ]
    if cost.budget is not None and result.scenario.training.token_budget is not None:
        budget = format_tokens(result.scenario.training.token_budget)
        rows.append((f"{budget}, the budget", *_spent(cost.budget, "budget", numbers)))
    basis = f"Energy is an upper estimate (assumed): {cost.power_basis}"
    drawn = table("What tokens take", ("tokens", "time", "GPU-hours", "energy", "cost"), rows)
    step = result.step_cost
    price = element("p", f"Price: {step.price_basis}. {step.price_source}".rstrip(), class_="hint")
    return element("div", drawn, element("p", basis, class_="hint"), price)


def _spent(spent: Spent, name: str, numbers: Numbers) -> list[Markup | str]:
    place = f"token_cost.{name}"
    used = "not known" if spent.energy_j is None else numbers.show(f"{place}.energy_j", energy)
    paid = "not known" if spent.cost_usd is None else numbers.show(f"{place}.cost_usd", usd)
    return [numbers.show(f"{place}.time_s", seconds), numbers.show(f"{place}.gpu_hours", number), used, paid]


def _origins(origins: CostOrigins, numbers: Numbers) -> Iterator[Markup]:
    """Yield how much of the busiest GPU's time rests on what."""
    shares = {name: share for name, share in origins.shares.items() if share}
    named = {name: _ORIGINS.get(name, (name, "memory-6")) for name in shares}
    keys = [
        key(colour, joined(f"{text} ", numbers.show(f"cost_origins.shares.{name}", percent)))
        for name, (text, colour) in named.items()
    ]
    yield element("h3", "What the costs rest on")
    yield element("p", keys, class_="keys")
    yield bar((Part(named[name][0], share, named[name][1]) for name, share in shares.items()), "Origins of the costs")
    rows: list[Sequence[Child]] = []
    for index, part in enumerate(origins.parts):
        place = f"cost_origins.parts.{index}"
        times = [numbers.show(f"{place}.time_s", seconds), numbers.show(f"{place}.share", percent)]
        rows.append((part.what, name_of(part.of), _ORIGINS.get(part.origin, (part.origin, ""))[0], *times))
    said = f"Of the {origins.convention}, rank {count(origins.rank)}, per step"
    yield table(said, ("cost", "constant of", "origin", "time", "share"), rows)
