"""The memory of each rank in a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

from clustersim.analysis.memory import MemoryCurve, activation_curve
from clustersim.report.curve import as_levels, largest_by_column
from clustersim.report.quantities import count, percent, picoseconds, seconds, size, size_unit
from clustersim.report.terminal import Column, Facts, Paragraph, Table, characters_of, left_out, shown_rows, title
from clustersim.result import MemorySummary, RankMemory, Result

MAX_ROWS = 16
_CURVE_COLUMNS = 16
# columns that are shown where there is anything in them
_FURTHER = {
    "logits in it": "logits_bytes",
    "buffers": "buffers_bytes",
    "fragmented": "fragmentation_bytes",
    "framework": "framework_bytes",
}


class MemoryReport:
    """A table of the pipeline ranks: what they hold, and their activations over time."""

    def __init__(self, result: Result) -> None:
        self.result = result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        memory = self.result.memory
        if not memory.peak_bytes:
            yield title("Memory")
            yield Paragraph("the scenario gives no sizes")
            return
        factor, unit = size_unit(memory.peak_bytes)
        rows = [memory.ranks[index] for index in shown_rows(len(memory.ranks), MAX_ROWS)]
        yield title(f"Memory at each rank's peak [{unit}]")
        curves = list(self._curves(rows, characters_of(options).levels))
        over = memory.capacity_bytes
        styles = ["red" if over is not None and row.peak_bytes > over else "" for row in rows]
        yield Table(_columns(rows, factor, curves), styles)
        yield from left_out(len(memory.ranks), MAX_ROWS, "ranks")
        yield from _at_peak(memory, factor, unit)
        yield _verdict(memory)
        yield from _advice(memory)

    def _curves(self, rows: Sequence[RankMemory], levels: str) -> Iterator[str]:
        """Yield the activations of each rank over time, in the replica in which the Gantt shows it."""
        trace = self.result.trace.sample
        curve: MemoryCurve = activation_curve(trace)
        largest = max(row.activations_peak_bytes for row in self.result.memory.ranks)
        mine = trace.ranks.replica == self.result.ranks[0].replica
        for row in rows:
            (index,) = np.flatnonzero(mine & (trace.ranks.pp_rank == row.pp_rank))
            values = largest_by_column(curve, int(index), trace.makespan_ps, _CURVE_COLUMNS)
            yield as_levels(values, largest, levels)


def _columns(rows: Sequence[RankMemory], factor: int, curves: Sequence[str]) -> list[Column]:
    def sizes(name: str) -> list[str]:
        return [f"{value / factor:.2f}" for value in values(name)]

    def values(name: str) -> list[int]:
        return [getattr(row, name) for row in rows]

    return [
        Column("rank", [str(row.pp_rank) for row in rows]),
        Column("weights", sizes("weights_bytes"), rank=3),
        Column("gradients", sizes("gradients_bytes"), rank=3),
        Column("optimizer", sizes("optimizer_bytes"), rank=3),
        Column("activations", sizes("activations_peak_bytes"), rank=1),
        *(Column(header, sizes(name), rank=4) for header, name in _FURTHER.items() if any(values(name))),
        Column("total", sizes("peak_bytes")),
        Column("live", [count(row.peak_live_microbatches) for row in rows]),
        Column("over time", curves, rank=2, left=True),
    ]


def _at_peak(memory: MemorySummary, factor: int, unit: str) -> Iterator[RenderableType]:
    """Yield what else the worst rank holds at its peak, of what there is anything; and when that is."""
    (worst,) = (row for row in memory.ranks if row.pp_rank == memory.worst_rank)
    parts = {name: getattr(worst, key) for name, key in _FURTHER.items()}
    held = [f"{name} {value / factor:.2f}" for name, value in parts.items() if value]
    if held:
        held[0] = f"rank {worst.pp_rank} at {picoseconds(worst.peak_ps)} [{unit}]: {held[0]}"
        yield Facts(held)


def _verdict(memory: MemorySummary) -> RenderableType:
    text = f"Peak {size(memory.peak_bytes)} on rank {memory.worst_rank}"
    if memory.capacity_bytes is None:
        return Paragraph(f"{text}; the topology names no device, so its capacity is not known")
    text += f", capacity {size(memory.capacity_bytes)}"
    if memory.fits:
        return Paragraph(f"{text}: fits", "green")
    if memory.fits is None:
        return Paragraph(text)
    return Paragraph(f"{text}: does not fit, {size(memory.over_bytes)} too much", "bold red")


def _advice(memory: MemorySummary) -> Iterator[RenderableType]:
    """Yield what would make the job fit, as options of the command line."""
    if memory.advice:
        yield Paragraph("What would make it fit, on the same GPUs and with the same batch:")
    for advice in memory.advice:
        options = " ".join(f"--set {option_text(key, value)}" for key, value in advice.changes.items())
        change = f"{percent(abs(advice.slowdown))} {'slower' if advice.slowdown > 0 else 'faster'}"
        yield Paragraph(options, indent=2, label="-")
        costs = f"{size(advice.peak_bytes)}, step time {seconds(advice.step_time_s)}: {change}"
        yield Paragraph(costs, "dim", indent=2, label=" ")


def option_text(key: str, value: Any) -> str:
    """Return a key and its value as a shell takes them: with quotes where there are blanks or brackets."""
    written = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
    if isinstance(value, list):
        written = f"[{', '.join(map(str, value))}]"
    return shlex.quote(f"{key}={written}")
