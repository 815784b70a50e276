"""Pictures of a run or a sweep as PNG, SVG or PDF, drawn by matplotlib: the extra ``plots``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clustersim.analysis.memory import activation_curve
from clustersim.analysis.waits import find_waits
from clustersim.errors import Fault, InputError
from clustersim.report.gantt import MEANINGS, gantt_rows
from clustersim.report.sweep_files import axis_text
from clustersim.report.terminal import shown_rows
from clustersim.result import Result
from clustersim.scenario.units import PS_PER_S

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")
_COLUMNS = 1000  # of the Gantt, each some pixels wide
_MAX_RANKS = 64
_MAX_CURVES = 8
_GIB = 2**30
_COLOURS = {
    "F": "#4c78a8",
    "B": "#54a24b",
    "I": "#88d27a",
    "W": "#b79a20",
    "X": "#439894",
    "R": "#9ecae9",
    "O": "#9d755d",
    "~": "#e45756",
    ".": "#eeeeee",
}


def check_plot_name(path: str) -> None:
    """Raise InputError if a picture can't be drawn: its name ends otherwise, or matplotlib is not installed."""
    if Path(path).suffix.lower() not in SUFFIXES:
        what = f"a picture is drawn as one of {', '.join(SUFFIXES)}; got {Path(path).name!r}"
        raise InputError(Fault(path, what))
    _figure_class()


def plot_run(result: Result, path: Path) -> None:
    """Draw the Gantt of the ranks that the report shows, and their memory over the same time."""
    trace = result.trace
    mine = np.flatnonzero(trace.ranks.replica == result.ranks[0].replica)
    shown = [int(mine[row]) for row in shown_rows(len(mine), _MAX_RANKS)]
    figure = _figure_class()(figsize=(12, 3.5 + 0.22 * len(shown)), layout="constrained")
    gantt, memory = figure.subplots(2, 1, sharex=True, height_ratios=[1 + 0.22 * len(shown), 2.5])
    gantt.set_title(f"{result.name or 'run'}: {result.schedule}", parse_math=False)
    _draw_gantt(gantt, result, shown)
    _draw_memory(memory, result, shown)
    _save(figure, path)


_NOT_RUN = {"step_time_s": None, "bubble_fraction": None}


def plot_sweep(name: str, document: Mapping[str, Any], path: Path) -> None:
    """Draw the step time and the bubble of a sweep over one axis, or over the last of two, a line a value of the first.

    Raises
    ------
    InputError
        More than two axes vary, or none.
    """
    axes: Mapping[str, Sequence[Any]] = document["axes"]
    varied = [axis for axis, values in axes.items() if len(values) > 1]
    if not 1 <= len(varied) <= 2:
        what = f"{len(varied)} axes of the sweep vary; a picture is drawn of one or two"
        raise InputError(Fault("--plot", what, hint="write the rows with -o, or give the other axes one value"))
    figure = _figure_class()(figsize=(9, 7), layout="constrained")
    time, bubble = figure.subplots(2, 1, sharex=True)
    time.set_title(name or "sweep", parse_math=False)
    values = axes[varied[-1]]
    for line in axes[varied[0]] if len(varied) == 2 else [None]:
        rows = [row for row in document["rows"] if line is None or row[varied[0]] == line]
        by_value = {axis_text(row[varied[-1]]): row for row in rows}
        own = [by_value.get(axis_text(value), _NOT_RUN) for value in values]  # not every combination has to be there
        label = "" if line is None else f"{varied[0]} = {axis_text(line)}"
        for axes_of, column in ((time, "step_time_s"), (bubble, "bubble_fraction")):
            heights = [np.nan if row[column] is None else row[column] for row in own]
            axes_of.plot(range(len(values)), heights, marker="o", label=label.replace("_", " "))
    time.set_ylabel("step time [s]")
    bubble.set_ylabel("bubble fraction")
    bubble.set_xticks(range(len(values)), [str(axis_text(value)).replace("$", r"\$") for value in values])
    bubble.set_xlabel(varied[-1], parse_math=False)
    for axes_of in (time, bubble):
        axes_of.set_ylim(bottom=0)
        axes_of.grid(alpha=0.3)
    if len(varied) == 2:
        time.legend()
    _save(figure, path)


def _draw_gantt(axes: Axes, result: Result, shown: Sequence[int]) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    trace = result.trace
    rows = gantt_rows(trace, find_waits(trace), shown, _COLUMNS, " ")
    kinds = list(_COLOURS)
    picture = np.array([[kinds.index(kind) for kind in row.kinds] for row in rows], dtype=np.uint8)
    extent = (0.0, trace.makespan_ps / PS_PER_S or 1.0, len(rows) - 0.5, -0.5)
    colours = ListedColormap(list(_COLOURS.values()))
    axes.imshow(picture, colours, aspect="auto", interpolation="nearest", vmin=0, vmax=len(kinds) - 1, extent=extent)
    axes.set_yticks(range(len(rows)), [str(row.pp_rank) for row in rows])
    axes.set_ylabel("pipeline rank")
    there = [kind for number, kind in enumerate(kinds) if (picture == number).any()]
    patches = [Patch(color=_COLOURS[kind], label=MEANINGS[kind]) for kind in there]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _draw_memory(axes: Axes, result: Result, shown: Sequence[int]) -> None:
    trace = result.trace
    curve, ranks = activation_curve(trace), trace.ranks
    for index in (shown[row] for row in shown_rows(len(shown), _MAX_CURVES)):
        first, last = np.searchsorted(curve.rank_index, [index, index + 1])
        times_s = np.concatenate([[0], curve.time_ps[first:last], [trace.makespan_ps]]) / PS_PER_S
        values = np.concatenate([[0], curve.value[first:last], curve.value[last - 1 : last] if last > first else [0]])
        heights = (values + ranks.allocated_bytes[index]) / _GIB
        axes.plot(times_s, heights, drawstyle="steps-post", label=f"rank {int(ranks.pp_rank[index])}")
    if result.memory.capacity_bytes is not None:
        axes.axhline(result.memory.capacity_bytes / _GIB, color="black", linestyle="--", label="capacity")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("time [s]")
    axes.set_ylabel("allocated memory [GiB]")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        what = "pictures need matplotlib, which is not installed"
        raise InputError(Fault("--plot", what, hint="pip install 'clustersim[plots]'")) from error
    return Figure


def _save(figure: Figure, path: Path) -> None:
    """Write a figure; the same one gives the same bytes, as no date and no random name goes into the file."""
    from matplotlib import rc_context

    undated: dict[str, dict[str, str | None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with rc_context({"svg.hashsalt": "clustersim"}), warnings.catch_warnings():
        # A character that the font has not is drawn as a box, and that says it.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(path, dpi=150, metadata=undated.get(path.suffix.lower()))
