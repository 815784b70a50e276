"""The bubble on a page: the ratios that people quote, and every rank's by phase and by cause."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.analysis.waits import CAUSES, PHASES, Marks, Waits
from clustersim.report.html.markup import Child, Markup, Numbers, element, joined
from clustersim.report.html.parts import Part, Section, bar, key, scrolling, section, table
from clustersim.report.quantities import percent, picoseconds, seconds
from clustersim.result import Result

_RATIOS = (
    ("bubble fraction", "bubble.fraction", "bubble / (bubble + compute)"),
    ("bubble overhead", "bubble.overhead", "bubble / compute"),
    ("span fraction", "bubble.span_fraction", "(span − compute) / span, of the longest rank"),
    ("idle fraction", "bubble.idle_fraction", "(makespan − compute) / makespan"),
)
PHASE_WORDS = {"warmup": "warm-up", "steady": "steady", "cooldown": "cool-down"}
_CAUSE_HEADS = {"end_of_run": "end of run"}


def bubble_section(result: Result, waits: Waits, numbers: Numbers) -> Section:
    """Return the ratios, the bubble by phase and cause, and the time of each rank."""
    ratios = [(name, numbers.show(path, percent), said) for name, path, said in _RATIOS]
    by_phase = [
        (PHASE_WORDS[name], numbers.show(f"bubble.by_phase.{name}", seconds)) for name in result.bubble.by_phase
    ]
    by_cause = [(_head(name), numbers.show(f"bubble.by_cause.{name}", seconds)) for name in result.bubble.by_cause]
    side_by_side = element(
        "div",
        table("Ratios, of sums over all GPUs", ("ratio", "", "definition"), ratios, class_="ratios"),
        table("By phase, per GPU and step", ("phase", "time"), by_phase),
        table("By cause, per GPU and step", ("cause", "time"), by_cause),
        class_="columns",
    )
    return section("bubble", "Bubble", side_by_side, _ranks(result, waits, numbers))


def bubble_by_rank_ps(result: Result, waits: Waits, column: Marks, num_values: int) -> list[list[int]]:
    """Return ``[rank][value]``, the bubble of each rank of `result.ranks` by the values of a column. [ps]"""
    ranks = result.trace.ranks
    sums = np.zeros((len(ranks), num_values), dtype=np.int64)
    np.add.at(sums, (waits.rank_index, column), waits.bubble_ps)
    mine = np.flatnonzero(ranks.replica == result.ranks[0].replica)
    rows: list[list[int]] = sums[mine].tolist()
    return rows


def _head(cause: str) -> str:
    return _CAUSE_HEADS.get(cause, cause.replace("_", " "))


def _ranks(result: Result, waits: Waits, numbers: Numbers) -> Markup:
    """Return a table of ranks: their account, and their bubble by phase and cause as a heat map."""
    phases = _Group("bubble by phase", PHASES, [PHASE_WORDS[name] for name in PHASES])
    causes = _Group("bubble by cause", CAUSES, [_head(name) for name in CAUSES])
    groups = [
        (phases, bubble_by_rank_ps(result, waits, waits.phase, len(PHASES))),
        (causes, bubble_by_rank_ps(result, waits, waits.cause, len(CAUSES))),
    ]
    kept = [(group, sums, group.used(sums)) for group, sums in groups]
    top = [element("td"), element("th", "time over the run", scope="colgroup", colspan="4")]
    top += [element("th", group.title, scope="colgroup", colspan=str(len(used))) for group, _, used in kept if used]
    heads = ["rank", "", "compute", "exposed", "bubble"]
    heads += [group.heads[place] for group, _, used in kept for place in used]
    largest = max((value for _, sums, _ in kept for row in sums for value in row), default=0) or 1
    body = []
    for index in range(len(result.ranks)):
        heat = [_heat(sums[index][place], largest) for _, sums, used in kept for place in used]
        body.append(element("tr", *_account(result, index, numbers), *heat))
    caption = "Time of each pipeline rank, in the replica that ends last"
    head = element("thead", element("tr", *top), element("tr", *(element("th", text, scope="col") for text in heads)))
    keys = joined(key("compute", "compute"), key("exposed", "exposed communication"), key("bubble", "bubble"))
    return joined(
        element("p", keys, class_="keys"),
        scrolling(
            caption, element("table", element("caption", caption), head, element("tbody", *body), class_="ranks")
        ),
    )


class _Group:
    """Columns that belong together."""

    def __init__(self, title: str, names: Sequence[str], heads: Sequence[str]) -> None:
        self.title, self.names, self.heads = title, names, heads

    def used(self, sums: Sequence[Sequence[int]]) -> list[int]:
        """Return the places of the columns that have anything in them."""
        return [place for place in range(len(self.names)) if any(row[place] for row in sums)]


def _account(result: Result, index: int, numbers: Numbers) -> list[Child]:
    rank = result.ranks[index]
    whole = rank.makespan_ps or 1
    parts = [
        Part("compute", rank.compute_ps / whole, "compute"),
        Part("exposed communication", rank.exposed_communication_ps / whole, "exposed"),
        Part("bubble", rank.bubble_ps / whole, "bubble"),
    ]
    label = ", ".join(f"{part.name} {percent(part.share)}" for part in parts)
    cells = [
        numbers.show(f"ranks.{index}.{name}_ps", picoseconds) for name in ("compute", "exposed_communication", "bubble")
    ]
    return [
        element("th", numbers.show(f"ranks.{index}.pp_rank", str), scope="row"),
        element("td", bar(parts, label)),
        *(element("td", cell) for cell in cells),
    ]


def _heat(value_ps: int, largest_ps: int) -> Markup:
    text = picoseconds(value_ps) if value_ps else "–"
    return element("td", text, class_="heat", style=f"--heat:{value_ps / largest_ps:.3f}")
