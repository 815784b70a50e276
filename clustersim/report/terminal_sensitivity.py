"""How much an answer moves with its assumptions, in a terminal: a tornado of bars, and the interval of all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType

from clustersim.report.quantities import counted, energy, number, seconds, usd
from clustersim.report.terminal import Bar, Column, Facts, Paragraph, Table, title
from clustersim.report.terminal_plans import Document, heading, rests_on, spans


def sensitivity_report(document: Document) -> RenderableType:
    """Return the tornado of a step's time and cost, and the intervals that the samples make."""
    nominal = document["nominal"]
    facts = [f"step {seconds(nominal['step_time_s'])}"]
    facts += [usd(nominal["cost_usd"])] if nominal["cost_usd"] is not None else []
    facts += [energy(nominal["energy_j"])] if nominal["energy_j"] is not None else []
    parts = [*heading(document), Facts(facts), *_tornado(document["swings"], nominal), *_intervals(document)]
    return Group(*parts, *rests_on(document))


def _tornado(swings: Sequence[Document], nominal: Document) -> Iterator[RenderableType]:
    yield title("One assumption at a time")
    base, cost = nominal["step_time_s"], nominal["cost_usd"]
    widest = max((_swing(swing, "step_time_s") or 0.0 for swing in swings), default=0.0) or 1.0
    given = [swing["assumption"] for swing in swings]
    columns = [
        Column("assumption", [one["name"] for one in given], left=True),
        Column("origin", [one["origin"] for one in given], left=True, rank=3),
        Column("from", [number(one["low"]) for one in given], rank=1),
        Column("as is", [number(one["value"]) for one in given], rank=2),
        Column("to", [number(one["high"]) for one in given], rank=1),
        Column("step time", [_range(swing, "step_time_s", base) for swing in swings]),
        Column("cost", [_range(swing, "cost_usd", cost) for swing in swings]),
        Column("energy", [_range(swing, "energy_j", nominal["energy_j"]) for swing in swings], rank=4),
        Column("", [Bar((_swing(swing, "step_time_s") or 0.0) / widest, "magenta") for swing in swings], flexible=True),
    ]
    yield Table(columns)
    for basis in dict.fromkeys(one["basis"] for one in given):
        yield Paragraph(f"{', '.join(one['name'] for one in given if one['basis'] == basis)}: {basis}", "dim", indent=2)


def _swing(swing: Document, quantity: str) -> float | None:
    low, high = swing["at_low"][quantity], swing["at_high"][quantity]
    return None if low is None or high is None else abs(high - low)


def _range(swing: Document, quantity: str, base: float | None) -> str:
    """Return by how much a quantity moves at the two ends, over what it is."""
    low, high = swing["at_low"][quantity], swing["at_high"][quantity]
    if low is None or high is None or not base:
        return "n/a"
    if low == high:
        return "stays"
    least, most = sorted((low / base - 1, high / base - 1))
    return f"{100 * least:+.1f} to {100 * most:+.1f} %"


def _of_budget(document: Document, steps: int) -> Iterator[str]:
    time_s, cost = document["step_time_s"], document["cost_usd"]
    yield spans((steps * time_s["low"], steps * time_s["high"]))
    if cost is not None:
        yield f"{usd(steps * cost['low'])} to {usd(steps * cost['high'])}"


def _intervals(document: Document) -> Iterator[RenderableType]:
    yield title("All together")
    drawn = f"nine of ten of {document['num_samples']} samples, drawn with seed {document['seed']}"
    yield Paragraph(f"{drawn}; {document['num_runs']} simulations")
    base = document["nominal"]["step_time_s"]
    for name, quantity, shown in (
        ("step", "step_time_s", seconds),
        ("cost", "cost_usd", usd),
        ("energy", "energy_j", energy),
    ):
        found = document[quantity]
        if found is not None:
            yield Facts([f"{name} {shown(found['low'])} to {shown(found['high'])}", f"median {shown(found['median'])}"])
    steps = document["budget_steps"]
    if steps is not None:
        yield Facts([f"token budget, {counted(steps, 'step')}", *_of_budget(document, steps)])
    found = document["step_time_s"]
    low, high = found["low"] / base - 1, found["high"] / base - 1
    yield Paragraph(f"step time: {100 * low:+.2f} % to {100 * high:+.2f} % against what it is now", "dim")
