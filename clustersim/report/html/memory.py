"""Memory on a page: peaks by category against the capacity, and each rank's memory over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from clustersim.report.html.markup import Markup, Numbers, element, joined, name_of
from clustersim.report.html.parts import Part, Section, bar, key, section, table
from clustersim.report.quantities import count, percent, seconds, signed, size
from clustersim.report.terminal_memory import option_text
from clustersim.result import MemorySummary, RankMemory, Result

_SUMS = frozenset({"peak_bytes", "allocated_peak_bytes"})
_WITHIN = {"activations_peak_bytes": "logits_bytes"}  # a category, and the part of it that is one of its own
MOVING = frozenset({"activations_peak_bytes", "logits_bytes"})
"""Categories that come and go over a run."""
_ENDINGS = ("_peak_bytes", "_bytes")
_NAMES = {"optimizer": "optimizer state"}
_MOST_WIDE = 9  # columns beside which a long bar has room


@dataclass(frozen=True, slots=True)
class Category:
    """One part of a rank's memory: its field in the document, what it is called, and its colour."""

    field: str
    name: str
    colour: str


def categories_of(memory: MemorySummary) -> list[Category]:
    """Return the categories that a result knows, in its own order, those left out of which no rank holds anything."""
    names = [field.name for field in fields(RankMemory) if field.name.endswith("_bytes") and field.name not in _SUMS]
    categories = [Category(name, _name(name), f"memory-{index}") for index, name in enumerate(names)]
    return [each for each in categories if any(getattr(rank, each.field) for rank in memory.ranks)]


def parts_of(rank: RankMemory, categories: Sequence[Category]) -> list[tuple[Category, int]]:
    """Return what a rank holds of each category at its peak; the parts add up to the peak. [bytes]"""
    return [
        (each, getattr(rank, each.field) - (getattr(rank, _WITHIN[each.field]) if each.field in _WITHIN else 0))
        for each in categories
    ]


def memory_section(result: Result, numbers: Numbers) -> Section:
    """Return the peaks of all ranks, and a chart of one rank's memory over time."""
    memory = result.memory
    if not memory.peak_bytes:
        return section("memory", "Memory", element("p", "The scenario gives no sizes."))
    return section("memory", "Memory", _advice(memory, numbers), _legend(memory), _chart(), _peaks(memory, numbers))


def _name(field: str) -> str:
    ending = next(ending for ending in _ENDINGS if field.endswith(ending))
    name = field.removesuffix(ending).replace("_", " ")
    return _NAMES.get(name, name)


def _legend(memory: MemorySummary) -> Markup:
    keys = [key(category.colour, category.name) for category in categories_of(memory)]
    if memory.capacity_bytes is not None:
        keys.append(element("span", element("i", class_="key capacity"), "capacity", class_="keyed"))
    return element("p", *keys, class_="keys")


def _chart() -> Markup:
    """Return the chart over time, which follows the Gantt: its rank, and the time that it shows."""
    canvas = element("canvas", id="memory-chart", role="img", aria_label="Memory over time", class_="chart")
    return element(
        "figure",
        element(
            "figcaption",
            "Over time: ",
            element("strong", id="memory-rank"),
            ", which peaks at ",
            element("strong", id="memory-peak"),
            "; click a slice of another rank in the timeline for its own",
        ),
        canvas,
        class_="needs-script",
    )


def _peaks(memory: MemorySummary, numbers: Numbers) -> Markup:
    categories = categories_of(memory)
    whole = max(memory.peak_bytes, memory.capacity_bytes or 0)
    rows = [_row(memory, index, categories, whole, numbers) for index in range(len(memory.ranks))]
    names = [f"of these {each.name}" if each.field in _WITHIN.values() else each.name for each in categories]
    header = ("rank", "", "peak", *(["of capacity"] if memory.capacity_bytes else []), *names, "live")
    of_width = "ranks crowded" if len(header) > _MOST_WIDE else "ranks"
    return table(
        "Peak of each pipeline rank, its largest part in bold; live counts micro-batches", header, rows, of_width
    )


def _row(
    memory: MemorySummary, index: int, categories: Sequence[Category], whole: int, numbers: Numbers
) -> list[Markup | str]:
    rank = memory.ranks[index]
    parts = parts_of(rank, categories)
    drawn = bar(
        (Part(f"{category.name} {size(value)}", value / whole, category.colour) for category, value in parts),
        f"rank {rank.pp_rank}: " + ", ".join(f"{category.name} {size(value)}" for category, value in parts),
    )
    over = memory.capacity_bytes is not None and rank.peak_bytes > memory.capacity_bytes
    peak = numbers.show(f"memory.ranks.{index}.peak_bytes", size)
    share = [percent(rank.peak_bytes / memory.capacity_bytes)] if memory.capacity_bytes else []
    largest, _ = max(parts, key=lambda part: part[1])
    held = [(each, numbers.show(f"memory.ranks.{index}.{each.field}", size)) for each in categories]
    return [
        numbers.show(f"memory.ranks.{index}.pp_rank", str),
        drawn,
        element("strong", peak, class_="bad") if over else joined(peak),
        *share,
        *(element("strong", shown) if each is largest else shown for each, shown in held),
        numbers.show(f"memory.ranks.{index}.peak_live_microbatches", count),
    ]


def _advice(memory: MemorySummary, numbers: Numbers) -> Markup:
    """Return what would make the job fit, as options of the command line; nothing where nobody asked for it."""
    rows = []
    for index, advice in enumerate(memory.advice):
        options = " ".join(f"--set {option_text(key, value)}" for key, value in advice.changes.items())
        place = f"memory.advice.{index}"
        rows.append(
            (
                element("code", name_of(options)),
                numbers.show(f"{place}.peak_bytes", size),
                numbers.show(f"{place}.step_time_s", seconds),
                signed(percent(advice.slowdown), advice.slowdown),
            )
        )
    if not rows:
        return Markup("")
    return table("What would make it fit", ("what", "peak", "step time", "change"), rows)
