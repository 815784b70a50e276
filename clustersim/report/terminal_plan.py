"""A plan in a terminal: the winner, why it wins, what else was near, the front, and how that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from clustersim.report.quantities import count, counted, energy, percent, seconds, signed, size
from clustersim.report.terminal import Column, Facts, Paragraph, Table, title

Document = Mapping[str, Any]
"""The document of ``plan --json``, or one option of it."""

_BY = {"step-time": "step time", "cost": "cost", "energy": "energy", "gpus": "GPUs"}
_AXES = ("tp", "cp", "pp", "vpp", "dp", "ep")
_DAY_S = 86_400
_PARTS = (("compute_s", "compute"), ("exposed_s", "exposed communication"), ("bubble_s", "bubble"))


def plan_report(document: Document) -> RenderableType:
    """Return the report of a plan, from its document."""
    winner = document["winner"]
    parts: list[RenderableType] = [Paragraph(document["name"], "bold")] if document["name"] else []
    if document["unmet"]:
        parts.append(Paragraph(document["unmet"], "bold red"))
    verdict = "nearest to its limits" if document["unmet"] else f"best by {_BY[document['objective']]}"
    parts += [Paragraph(f"{verdict}: {layout_text(winner)}", "bold"), Facts(list(_facts(winner)))]
    if document["runner_up"]:
        parts += [title("Why it wins"), *_reasons(winner, document["runner_up"])]
    if document["near"]:
        parts += [title("Next to it"), _near([winner, *document["near"]]), Paragraph(_NEAR_NOTE, "dim")]
    parts += [title("Front of step time, cost, energy and GPUs"), _front(document["pareto"])]
    parts += [title("How that is known"), *_counts(document)]
    parts += [title("Assumptions"), *(Paragraph(text, indent=2, label="- ") for text in document["assumptions"])]
    return Group(*parts)


_NEAR_NOTE = "the fastest of each other shape; >= is a bound, which no simulation of the layout is below"


def layout_text(option: Document) -> str:
    """Return the layout of an option in words."""
    layout = option["layout"]
    axes = " ".join(f"{axis} {layout[axis]}" for axis in _AXES if layout[axis] > 1) or "one GPU"
    recompute = "" if layout["recompute"] == "none" else f", recompute {layout['recompute']}"
    zero = f", ZeRO {layout['zero_stage']}" if layout["zero_stage"] else ""
    return f"{axes}, {layout['schedule']}, micro-batch {layout['micro_batch_size']}{recompute}{zero}"


def _facts(option: Document) -> Iterator[str]:
    yield f"step time {seconds(option['step_time_s'])}"
    yield f"{counted(option['gpus'], 'GPU')} of {option['cluster']}"
    capacity = option["capacity_bytes"]
    yield f"peak memory {size(option['peak_bytes'])}" + (f" of {size(capacity)}" if capacity else "")
    if option["cost_usd"] is not None:
        yield f"{option['cost_usd']:.2f} USD a step"
    if option["energy_j"] is not None:
        yield f"{energy(option['energy_j'])} a step"
    if option["training_s"] is not None:
        yield f"{option['training_s'] / _DAY_S:.3g} days for the token budget"


def _reasons(winner: Document, runner_up: Document) -> Iterator[RenderableType]:
    ours, theirs = winner["explained"], runner_up["explained"]
    slower_s = theirs["step_time_s"] - ours["step_time_s"]
    share = slower_s / ours["step_time_s"] if ours["step_time_s"] else 0.0
    yield Paragraph(f"runner-up: {layout_text(runner_up)}, {signed(percent(share), share)}")
    yield Table(
        [
            Column("mean per GPU", [name for _, name in _PARTS], left=True),
            Column("winner", [seconds(ours[key]) for key, _ in _PARTS]),
            Column("runner-up", [seconds(theirs[key]) for key, _ in _PARTS]),
            Column("difference", [_signed_s(theirs[key] - ours[key]) for key, _ in _PARTS]),
        ]
    )
    yield Paragraph(lacks_text(winner, runner_up))


def lacks_text(winner: Document, runner_up: Document) -> str:
    """Return in a sentence what the runner-up loses, and what it has in return."""
    ours, theirs = winner["explained"], runner_up["explained"]
    differences = {name: theirs[key] - ours[key] for key, name in _PARTS if name != "exposed communication"}
    by_axis = theirs["exposed_by_axis_s"]
    for axis, exposed_s in by_axis.items():
        differences[f"exposed {axis} communication"] = exposed_s - ours["exposed_by_axis_s"].get(axis, 0.0)
    lost = max(differences, key=lambda name: differences[name])
    gained = min(differences, key=lambda name: differences[name])
    text = f"It loses most in {lost} ({_signed_s(differences[lost])})"
    if differences[gained] < 0:
        text += f", and gains most in {gained} ({_signed_s(differences[gained])})"
    more = runner_up["peak_bytes"] - winner["peak_bytes"]
    side = "more" if more > 0 else "less"
    return text + (f"; it takes {size(abs(more))} {side} memory at its peak." if more else ".")


def _signed_s(value: float) -> str:
    return signed(seconds(abs(value)), value) if value >= 0 else f"-{seconds(-value)}"


def _near(options: Sequence[Document]) -> Table:
    best_s = options[0]["step_time_s"]
    times = [option["step_time_s"] for option in options]
    shares = [time_s / best_s - 1 for time_s in times]
    return Table(
        [
            *(Column(axis, [str(option["layout"][axis]) for option in options]) for axis in _AXES),
            Column("micro-batch", [str(option["layout"]["micro_batch_size"]) for option in options], rank=1),
            Column("schedule", [option["layout"]["schedule"] for option in options], left=True),
            Column("recompute", [option["layout"]["recompute"] for option in options], left=True, rank=2),
            Column("ZeRO", [str(option["layout"]["zero_stage"]) for option in options], rank=1),
            Column(
                "step time",
                [("" if option["is_proven"] else ">= ") + seconds(option["step_time_s"]) for option in options],
            ),
            Column("more", ["" if not share else signed(percent(share), share) for share in shares], rank=1),
            Column("peak", [size(option["peak_bytes"]) for option in options], rank=2),
        ],
        ["bold green", *[""] * (len(options) - 1)],
    )


def _front(options: Sequence[Document]) -> Table:
    return Table(
        [
            Column("cluster", [option["cluster"] for option in options], left=True),
            Column("GPUs", [str(option["gpus"]) for option in options]),
            Column("step time", [seconds(option["step_time_s"]) for option in options]),
            Column("energy a step", [_known(option["energy_j"], energy) for option in options]),
            Column("cost a step", [_known(option["cost_usd"], lambda usd: f"{usd:.2f} USD") for option in options]),
            Column("layout", [layout_text(option) for option in options], left=True, flexible=True),
        ]
    )


def _known(value: float | None, shown: Any) -> str:
    return "unknown" if value is None else str(shown(value))


def _counts(document: Document) -> Iterator[RenderableType]:
    pruned, simulated = document["pruned_by"], document["simulated"]
    yield Facts(
        [
            f"{count(document['legal'])} legal layouts",
            f"{count(pruned['memory'])} that were looked at do not fit in memory",
            f"{count(pruned['bound'])} are proven to be no faster by a bound",
            f"{count(document['evaluated'])} evaluated",
        ]
    )
    if not simulated["whole"]:
        yield Paragraph("None fits in memory: the one that needs the least of it is shown.")
        return
    whole, alone = counted(simulated["whole"], "layout"), counted(simulated["alone"], "layout")
    yield Paragraph(
        f"{whole} simulated as a whole, with all replicas and the links that they share; {alone} with one replica "
        "alone. No bound of another layout is below the winner's simulated step time."
    )
