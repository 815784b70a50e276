"""The fewest GPUs, the largest model and the cheapest cluster in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType

from clustersim.report.quantities import count, energy, number, percent, seconds, size, usd
from clustersim.report.terminal import Column, Facts, Paragraph, Table
from clustersim.report.terminal_plans import Document, days, heading, layout, refusals, rests_on, spans
from clustersim.scenario.units import format_tokens

_MOST_REFUSALS = 3  # of values next to one another, refused for the same reason


def fewest_report(document: Document) -> RenderableType:
    """Return the fewest GPUs, or what comes nearest, and all numbers that were tried."""
    parts = heading(document)
    limit, tokens = days(document["limit_s"]), format_tokens(document["tokens"])
    answer, nearest = document["answer"], document["nearest"]
    if answer:
        parts.append(Paragraph(f"{count(answer['point']['num_gpus'])} GPUs train on {tokens} within {limit}", "bold"))
    else:
        most = count(document["most_gpus"])
        unfit = "; the nearest does not fit in memory" if nearest and not nearest["fits"] else ""
        parts.append(Paragraph(f"no number of GPUs to {most} trains on {tokens} within {limit}{unfit}", "bold red"))
    best = answer or nearest
    if best:
        parts += _training(best["point"], best["training"], "" if answer else "nearest: ")
    if document["tried"]:
        parts.append(_tried(document["tried"]))
    if document["too_few"]:
        first, last = document["too_few"][0], document["too_few"][-1]
        told = f"{count(first)} to {count(last)}" if first != last else count(first)
        parts.append(Paragraph(f"not run: {told} GPUs would be late at the peak of every GPU", "dim"))
    return Group(*parts, *refusals(document["refused"]), *rests_on(document))


def _training(point: Document, training: Document, lead: str) -> Iterator[RenderableType]:
    yield Facts([f"{lead}{count(point['num_gpus'])} GPUs", layout(point), f"batch {count(point['global_batch_size'])}"])
    step = f"{count(training['num_steps'])} steps of {seconds(point['step_time_s'])}"
    interval = spans(training["time_interval_s"])
    yield Facts([step, days(training["time_s"]), *([f"nine of ten: {interval}"] if interval else [])])
    spent = [f"{number(training['gpu_hours'])} GPU-hours"]
    spent += [usd(training["cost_usd"])] if training["cost_usd"] is not None else []
    spent += [energy(training["energy_j"])] if training["energy_j"] is not None else []
    yield Facts(spent)


def _tried(rows: Sequence[Document]) -> Table:
    points = [row["point"] for row in rows]
    columns = [
        Column("GPUs", [count(point["num_gpus"]) for point in points]),
        Column("step time", [seconds(point["step_time_s"]) for point in points]),
        Column("training", [days(row["training"]["time_s"]) for row in rows]),
        Column("nine of ten", [spans(row["training"]["time_interval_s"]) for row in rows], rank=2),
        Column("cost", [usd(row["training"]["cost_usd"]) for row in rows], rank=1),
        Column("", [_status(row) for row in rows], left=True),
    ]
    styles = ["bold green" if row["in_time"] and row["fits"] else "" for row in rows]
    return Table([column for column in columns if any(column.cells)], styles)


def _status(row: Document) -> str:
    if not row["fits"]:
        return "does not fit"
    return "in time" if row["in_time"] else "late"


def largest_report(document: Document) -> RenderableType:
    """Return the largest model that fits, the next that does not, and the run of the first."""
    parts = heading(document)
    answer, beyond, point = document["answer"], document["next"], document["point"]
    if answer:
        parts.append(Paragraph(f"{_named(document, answer)} fits", "bold"))
        facts = [f"peak {size(answer['peak_bytes'])} of {size(document['capacity_bytes'])}"]
        if point:
            facts += [f"step {seconds(point['step_time_s'])}", f"{count(point['num_gpus'])} GPUs", layout(point)]
        parts.append(Facts(facts))
    else:
        none = "no size of the model that was tried fits in memory"
        parts.append(Paragraph(none if document["tried"] else "no size of the model could be run", "bold red"))
    if beyond:
        lead = "next" if answer else "nearest"
        parts.append(Paragraph(f"{lead}: {_named(document, beyond)} is {size(beyond['over_bytes'])} over"))
    elif answer:
        parts.append(Paragraph("no larger one that was tried could be run", "dim"))
    return Group(*parts, *refusals(document["refused"], _MOST_REFUSALS), *rests_on(document))


def _named(document: Document, found: Document) -> str:
    """Return a model by its name or the size that was varied, with its parameters."""
    name = found["value"] if document["key"] == "model" else f"{document['key']} {found['value']}"
    return f"{name} ({found['parameters'] / 1e9:,.4g} B parameters)"


def cheapest_report(document: Document) -> RenderableType:
    """Return the clusters, the cheapest first, and the reasons of those that can't."""
    parts = heading(document)
    tokens = format_tokens(document["tokens"])
    within = "" if document["limit_s"] is None else f" within {days(document['limit_s'])}"
    if document["answer"]:
        parts.append(Paragraph(f"{document['answer']} is the cheapest to train on {tokens}{within}", "bold"))
    else:
        nearest = f"; nearest: {document['nearest']}" if document["nearest"] else ""
        parts.append(Paragraph(f"no cluster trains on {tokens}{within}{nearest}", "bold red"))
    rows = document["clusters"]
    ran = [row for row in rows if row["point"]]
    if ran:
        parts.append(_clusters(ran, document["answer"]))
    others = [Paragraph(f"{row['cluster']}: {row['reason']}", indent=2) for row in rows if row["reason"]]
    prices = [Paragraph(f"price: {basis}", "dim") for basis in dict.fromkeys(row["price_basis"] for row in ran)]
    return Group(*parts, *others, *prices, *rests_on(document))


def _clusters(rows: Sequence[Document], best: str | None) -> Table:
    points, trainings = [row["point"] for row in rows], [row["training"] for row in rows]
    cheapest = min((one["cost_usd"] for one in trainings if one["cost_usd"] is not None), default=None)
    columns = [
        Column("cluster", [row["cluster"] for row in rows], left=True),
        Column("", [row["status"] for row in rows], left=True),
        Column("GPUs", [count(point["num_gpus"]) for point in points]),
        Column("step time", [seconds(point["step_time_s"]) for point in points]),
        Column("training", [days(one["time_s"]) for one in trainings]),
        Column("cost", [usd(one["cost_usd"]) for one in trainings]),
        Column("more", [_more(one["cost_usd"], cheapest) for one in trainings], rank=1),
        Column("energy", [energy(one["energy_j"]) for one in trainings], rank=2),
    ]
    return Table(columns, ["bold green" if row["cluster"] == best else "" for row in rows])


def _more(cost_usd: float | None, cheapest: float | None) -> str:
    return "" if cost_usd is None or not cheapest else percent(cost_usd / cheapest - 1)
