"""What a run says beside the account of its time: throughput, what tokens take and costs rest on, learning rates."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from clustersim.report.quantities import count, counted, energy, number, percent, power, rate, seconds, usd
from clustersim.report.terminal import Column, Facts, Paragraph, Table, title
from clustersim.result import BatchChange, CostOrigins, Result, Spent, StepCost, TokenCost
from clustersim.scenario.units import format_tokens

_MAX_PARTS = 4
_CONVENTIONS = {"full": "full attention", "causal": "causal attention"}

_ORIGINS = {"measured": "measured", "derived": "derived by a fit", "assumed": "assumed", "given": "as given"}


def accounts_report(result: Result) -> Iterator[RenderableType]:
    """Yield the sections of a run whose costs follow from a model, and the note on its batch."""
    if result.throughput.by_convention:
        yield title("Throughput")
        yield from _utilizations(result)
    if result.token_cost is not None:
        yield from _token_cost(result.token_cost, result.scenario.training.token_budget)
    if result.token_cost is not None or result.scenario.economics is not None:
        yield from _step_cost(result.step_cost)
    if result.scenario.model is not None:
        yield title("What the costs rest on")
        yield from _origins(result.cost_origins, result.step_time_s)
    if result.batch_change is not None:
        yield title("Learning rate")
        yield from _batch_change(result.batch_change)


def _utilizations(result: Result) -> Iterator[RenderableType]:
    by_convention = result.throughput.by_convention
    rates = list(by_convention.values())
    yield Table(
        [
            Column("counting", [_CONVENTIONS[name] for name in by_convention], left=True),
            Column("model FLOP/s/GPU", [rate(entry.model_flop_per_s_per_gpu) for entry in rates], rank=1),
            Column("MFU", [percent(entry.mfu) for entry in rates]),
            Column("HFU", [percent(entry.hfu) for entry in rates]),
        ]
    )
    peak = rate(result.throughput.peak_flop_per_s)
    yield Paragraph(
        f"of a peak of {peak}; MFU counts model FLOP alone, HFU recomputation too; causal: half the pairs of tokens",
        "dim",
    )


def _token_cost(cost: TokenCost, budget: int | None) -> Iterator[RenderableType]:
    yield Facts(["a million tokens", *_spent(cost.per_million_tokens, cost.per_million_tokens.time_s)])
    if budget is not None and cost.budget is not None and cost.budget_steps is not None:
        steps = f"{format_tokens(budget)} in {counted(cost.budget_steps, 'step')}"
        yield Facts([steps, *_spent(cost.budget, cost.budget.time_s)], "bold")


def _step_cost(cost: StepCost) -> Iterator[RenderableType]:
    yield Facts(["a step", *_spent(cost, cost.step_time_s)])
    if cost.power is not None:
        parts = (("devices", cost.power.device_w), ("hosts", cost.power.host_w), ("network", cost.power.network_w))
        named = [f"{name} {power(watts)}" for name, watts in (*parts, ("site", cost.power.site_w)) if watts is not None]
        yield Facts([f"power {power(cost.power.total_w)}", *named])
    yield Paragraph(f"energy, an upper estimate (assumed): {cost.power_basis}", "dim")
    yield Paragraph(f"price: {cost.price_basis}", "dim")


def _spent(spent: Spent | StepCost, time_s: float) -> list[str]:
    hours = [f"{number(spent.gpu_hours)} GPU-hours"]
    used = [] if spent.energy_j is None else [energy(spent.energy_j)]
    return [seconds(time_s), *hours, *used, *([] if spent.cost_usd is None else [usd(spent.cost_usd)])]


def _origins(origins: CostOrigins, step_time_s: float) -> Iterator[RenderableType]:
    shares = [f"{percent(share)} {_ORIGINS[name]}" for name, share in origins.shares.items() if share]
    yield Facts(shares)
    of_step = percent(origins.busy_s / (step_time_s or 1.0))
    yield Paragraph(f"of the {origins.convention} (rank {origins.rank}), {of_step} of the step")
    assumed = [part for part in origins.parts if part.origin == "assumed"]
    for part in assumed[:_MAX_PARTS]:
        yield Paragraph(f"assumed: {part.what} on {part.of}, {percent(part.share)}", indent=2)
    if len(assumed) > _MAX_PARTS:
        rest = sum(part.share for part in assumed[_MAX_PARTS:])
        yield Paragraph(f"assumed: {count(len(assumed) - _MAX_PARTS)} more, {percent(rest)}", indent=2)


def _batch_change(change: BatchChange) -> Iterator[RenderableType]:
    sizes = f"{count(change.global_batch_size)} samples a step in place of {count(change.reference_global_batch_size)}"
    linear, root = number(change.linear_factor), number(change.square_root_factor)
    yield Paragraph(f"for {sizes}: times {linear} by the linear rule, times {root} by the square-root rule")
    yield Paragraph(change.note, "dim")
