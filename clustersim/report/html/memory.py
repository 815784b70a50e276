"""Memory on a page: peaks by category against the capacity, and each rank's memory over time."""

from __future__ import annotations

from dataclasses import dataclass, fields

from clustersim.report.html.markup import Markup, Numbers, element, joined
from clustersim.report.html.parts import Part, Section, bar, key, section, table
from clustersim.report.quantities import count, percent, size
from clustersim.result import MemorySummary, RankMemory, Result

_SUM = "peak_bytes"
_ENDINGS = ("_peak_bytes", "_bytes")
_NAMES = {"optimizer": "optimizer state"}


@dataclass(frozen=True, slots=True)
class Category:
    """One part of a rank's memory: its field in the document, what it is called, and its colour."""

    field: str
    name: str
    colour: str


def categories_of(rank: RankMemory) -> list[Category]:
    """Return the categories that a result knows, in its own order; all but the sum."""
    names = [field.name for field in fields(rank) if field.name.endswith("_bytes") and field.name != _SUM]
    return [Category(name, _name(name), f"memory-{index}") for index, name in enumerate(names)]


def memory_section(result: Result, numbers: Numbers) -> Section:
    """Return the peaks of all ranks, and a chart of one rank's memory over time."""
    memory = result.memory
    if not memory.peak_bytes:
        return section("memory", "Memory", element("p", "The scenario gives no sizes."))
    return section("memory", "Memory", _legend(memory), _chart(), _peaks(memory, numbers))


def _name(field: str) -> str:
    ending = next(ending for ending in _ENDINGS if field.endswith(ending))
    name = field.removesuffix(ending).replace("_", " ")
    return _NAMES.get(name, name)


def _legend(memory: MemorySummary) -> Markup:
    keys = [key(category.colour, category.name) for category in categories_of(memory.ranks[0])]
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
            element("span", id="memory-rank"),
            "; click a slice of another rank in the timeline for its own",
        ),
        canvas,
        class_="needs-script",
    )


def _peaks(memory: MemorySummary, numbers: Numbers) -> Markup:
    whole = max(memory.peak_bytes, memory.capacity_bytes or 0)
    rows = [_row(memory, index, whole, numbers) for index in range(len(memory.ranks))]
    names = [category.name for category in categories_of(memory.ranks[0])]
    header = ("rank", "", *names, "peak", *(["of capacity"] if memory.capacity_bytes else []), "live")
    return table("Peak of each pipeline rank; live counts micro-batches", header, rows, class_="ranks")


def _row(memory: MemorySummary, index: int, whole: int, numbers: Numbers) -> list[Markup | str]:
    rank = memory.ranks[index]
    parts = {category: getattr(rank, category.field) for category in categories_of(rank)}
    drawn = bar(
        (Part(f"{category.name} {size(value)}", value / whole, category.colour) for category, value in parts.items()),
        f"rank {rank.pp_rank}: " + ", ".join(f"{category.name} {size(value)}" for category, value in parts.items()),
    )
    over = memory.capacity_bytes is not None and rank.peak_bytes > memory.capacity_bytes
    peak = numbers.show(f"memory.ranks.{index}.peak_bytes", size)
    share = [percent(rank.peak_bytes / memory.capacity_bytes)] if memory.capacity_bytes else []
    return [
        numbers.show(f"memory.ranks.{index}.pp_rank", str),
        drawn,
        *(numbers.show(f"memory.ranks.{index}.{category.field}", size) for category in parts),
        element("strong", peak, class_="bad") if over else joined(peak),
        *share,
        numbers.show(f"memory.ranks.{index}.peak_live_microbatches", count),
    ]
