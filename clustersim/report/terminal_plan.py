"""A plan in a terminal: the winner, why it wins, what else was near, the front, and how that is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType

from clustersim.report.quantities import count, counted, energy, percent, seconds, signed, size, usd
from clustersim.report.terminal import Column, Facts, Paragraph, Table, title
from clustersim.report.terminal_plans import between, days, heading, rests_on, spans

Document = Mapping[str, Any]
"""The document of ``plan --json``, or one option of it."""

_AXES = ("tp", "cp", "pp", "vpp", "dp", "ep")
_PARTS = (("compute_s", "compute"), ("exposed_s", "exposed communication"), ("bubble_s", "bubble"))
_SHOWN = 5e-5  # of a step: differences below are not seen in four digits, and come of rounding up


def plan_report(document: Document) -> RenderableType:
    """Return the report of a plan, from its document."""
    winner = document["winner"]
    parts: list[RenderableType] = heading(document)
    if document["unmet"]:
        parts.append(Paragraph(document["unmet"], "bold red"))
    verdict = "nearest to its limits" if document["unmet"] else f"best by {document['compared_by']}"
    parts += [Paragraph(f"{verdict}: {layout_text(winner)}", "bold"), Facts(list(_facts(winner)))]
    if document["runner_up"]:
        parts += [title("Why it wins"), *_reasons(winner, document["runner_up"])]
    if document["near"]:
        parts += [title("Next to it"), _near([winner, *document["near"]])]
        if len(document["near"]) > 1:
            parts.append(Paragraph(_NEAR_NOTE, "dim"))
    parts += [title("Clusters and numbers of GPUs"), _options(document["options"]), Paragraph(_FRONT_NOTE, "dim")]
    parts += [title("How that is known"), *_counts(document), *rests_on(document)]
    return Group(*parts)


_NEAR_NOTE = (
    "the runner-up is the fastest of all other shapes; after it, others that were looked at: >= is a bound, which no "
    "simulation of the layout is below"
)
_FRONT_NOTE = "the fastest layout on each; * on the front of step time, cost, energy and GPUs"


def layout_text(option: Document) -> str:
    """Return the layout of an option in words."""
    layout = option["layout"]
    axes = " ".join(f"{axis} {layout[axis]}" for axis in _AXES if layout[axis] > 1) or "one GPU"
    recompute = "" if layout["recompute"] == "none" else f", recompute {layout['recompute']}"
    zero = f", ZeRO {layout['zero_stage']}" if layout["zero_stage"] else ""
    return f"{axes}, {layout['schedule']}, micro-batch {layout['micro_batch_size']}{recompute}{zero}"


def _facts(option: Document) -> Iterator[str]:
    yield f"step time {seconds(option['step_time_s'])}{_of_ten(between(option['step_time_interval_s']))}"
    yield f"{counted(option['gpus'], 'GPU')} of {option['cluster']}"
    capacity = option["capacity_bytes"]
    yield f"peak memory {size(option['peak_bytes'])}" + (f" of {size(capacity)}" if capacity else "")
    known = [usd(option["cost_usd"])] if option["cost_usd"] is not None else []
    known += [energy(option["energy_j"])] if option["energy_j"] is not None else []
    if known:
        yield f"{' and '.join(known)} a step"
    if option["training_s"] is not None:
        yield f"{days(option['training_s'])} for the token budget{_of_ten(spans(option['training_interval_s']))}"
        known = [usd(option["training_cost_usd"])] if known and option["training_cost_usd"] is not None else []
        known += [energy(option["training_energy_j"])] if option["training_energy_j"] is not None else []
        if known:
            yield f"{' and '.join(known)} for all of it"


def _of_ten(interval: str) -> str:
    return f" (nine of ten: {interval})" if interval else ""


def _reasons(winner: Document, runner_up: Document) -> Iterator[RenderableType]:
    ours, theirs = winner["explained"], runner_up["explained"]
    share = runner_up["step_time_s"] / winner["step_time_s"] - 1 if winner["step_time_s"] else 0.0
    yield Paragraph(f"runner-up: {layout_text(runner_up)}, {signed(percent(share), share)}")
    shown_s = _SHOWN * theirs["step_time_s"]
    yield Table(
        [
            Column("mean per GPU", [name for _, name in _PARTS], left=True),
            Column("winner", [seconds(ours[key]) for key, _ in _PARTS]),
            Column("runner-up", [seconds(theirs[key]) for key, _ in _PARTS]),
            Column("difference", [_signed_s(theirs[key] - ours[key], shown_s) for key, _ in _PARTS]),
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
    shown_s = _SHOWN * theirs["step_time_s"]
    told = []
    if differences[lost] > shown_s:
        told.append(f"loses most in {lost} ({_signed_s(differences[lost], shown_s)})")
    if differences[gained] < -shown_s:
        told.append(f"gains most in {gained} ({_signed_s(differences[gained], shown_s)})")
    text = "It " + (", and ".join(told) or "spends its time alike")
    more = runner_up["peak_bytes"] - winner["peak_bytes"]
    side = "more" if more > 0 else "less"
    return text + (f"; it takes {size(abs(more))} {side} memory at its peak." if more else ".")


def _signed_s(value: float, shown_s: float) -> str:
    return signed(seconds(value), value) if abs(value) > shown_s else seconds(0)


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


def _options(options: Sequence[Document]) -> Table:
    columns = [
        Column("front", ["*" if option["on_front"] else "" for option in options]),
        Column("cluster", [option["cluster"] for option in options], left=True),
        Column("GPUs", [str(option["gpus"]) for option in options]),
        Column("step time", [seconds(option["step_time_s"]) for option in options]),
        Column("energy a step", [energy(option["energy_j"]) for option in options], rank=1),
        Column("cost a step", [usd(option["cost_usd"]) for option in options], rank=1),
    ]
    if any(option["misses"] for option in options):
        columns.append(Column("misses", [", ".join(map(_missed, option["misses"])) for option in options], left=True))
    layouts = [layout_text(option) for option in options]
    return Table([*columns, Column("layout", layouts, left=True, flexible=True, rank=2)])


def _missed(violation: Mapping[str, Any]) -> str:
    excess = violation["excess"]
    return str(violation["limit"]) + (" (not known)" if excess is None else f" {signed(percent(excess), excess)}")


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
    if document["refused"]["layouts"]:
        refused = counted(document["refused"]["layouts"], "layout")
        yield Paragraph(f"{refused} could not be simulated, the first as: {document['refused']['first']}", "bold red")
    if not simulated["whole"]:
        yield Paragraph("None fits in memory: the one that needs the least of it is shown.")
        return
    whole, alone = counted(simulated["whole"], "layout"), counted(simulated["alone"], "layout")
    yield Paragraph(
        f"{whole} simulated as a whole, with all replicas and the links that they share; {alone} with one replica "
        "alone. No bound of another layout is below the winner's simulated step time, and none of another shape below "
        "the runner-up's."
    )
