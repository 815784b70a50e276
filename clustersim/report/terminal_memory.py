"""The memory of each rank in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

from clustersim.analysis.memory import MemoryCurve, activation_curve
from clustersim.report.curve import as_levels, largest_by_column
from clustersim.report.quantities import count, size, size_unit
from clustersim.report.terminal import Column, Paragraph, Table, characters_of, left_out, shown_rows, title
from clustersim.result import MemorySummary, RankMemory, Result

MAX_ROWS = 16
_CURVE_COLUMNS = 16


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
        yield _verdict(memory)

    def _curves(self, rows: Sequence[RankMemory], levels: str) -> Iterator[str]:
        """Yield the activations of each rank over time, in the replica in which the Gantt shows it."""
        trace = self.result.trace
        curve: MemoryCurve = activation_curve(trace)
        largest = max(row.activations_peak_bytes for row in self.result.memory.ranks)
        mine = trace.ranks.replica == self.result.ranks[0].replica
        for row in rows:
            (index,) = np.flatnonzero(mine & (trace.ranks.pp_rank == row.pp_rank))
            values = largest_by_column(curve, int(index), trace.makespan_ps, _CURVE_COLUMNS)
            yield as_levels(values, largest, levels)


def _columns(rows: Sequence[RankMemory], factor: int, curves: Sequence[str]) -> list[Column]:
    def sizes(name: str) -> list[str]:
        return [f"{getattr(row, name) / factor:.2f}" for row in rows]

    return [
        Column("rank", [str(row.pp_rank) for row in rows]),
        Column("weights", sizes("weights_bytes"), rank=3),
        Column("gradients", sizes("gradients_bytes"), rank=3),
        Column("optimizer", sizes("optimizer_bytes"), rank=3),
        Column("activations", sizes("activations_peak_bytes"), rank=1),
        Column("total", sizes("peak_bytes")),
        Column("live", [count(row.peak_live_microbatches) for row in rows]),
        Column("over time", curves, rank=2, left=True),
    ]


def _verdict(memory: MemorySummary) -> RenderableType:
    worst = max(memory.ranks, key=lambda row: row.peak_bytes)
    text = f"Peak {size(memory.peak_bytes)} on rank {worst.pp_rank}"
    if memory.capacity_bytes is None:
        return Paragraph(f"{text}; the topology names no device, so its capacity is not known")
    text += f", capacity {size(memory.capacity_bytes)}"
    if memory.fits:
        return Paragraph(f"{text}: fits", "green")
    return Paragraph(f"{text}: does not fit", "bold red") if memory.fits is False else Paragraph(text)
