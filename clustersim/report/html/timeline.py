"""The Gantt on a page: its controls, its canvas, and what its scripts draw it from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clustersim.analysis.waits import CAUSES, PHASES
from clustersim.ops import Kind
from clustersim.report.gantt import LETTERS, MEANINGS
from clustersim.report.html.bubble import PHASE_WORDS
from clustersim.report.html.markup import Child, Markup, element, joined
from clustersim.report.html.memory import MOVING, categories_of
from clustersim.report.html.opening import CAUSE_WORDS
from clustersim.report.html.parts import Section, key, one_of, section
from clustersim.report.html.slices import CATEGORIES, Slices
from clustersim.report.quantities import count
from clustersim.result import Result
from clustersim.trace import AXES, AXIS_WORDS

_HELP = (
    "Drag to move, Ctrl + wheel or two fingers to zoom, double-click to zoom in. With the keyboard: arrows go from "
    "slice to slice and from rank to rank, + and − zoom, Shift + arrows move, Home shows everything."
)
_GRAIN = (
    "Ops are narrower than three pixels here: each column of a rank is filled from top to bottom by what its time was "
    "made of. Zoom in to see them one by one."
)
_WAITS = {"exposed": ("", "exposed communication"), "bubble": ("", "bubble")}


def timeline_section(result: Result, slices: Slices, rank_rows: Sequence[int], path_first: bool) -> Section:
    """Return the Gantt of all ranks, with what it is controlled by.

    It begins with the ranks of one replica, or with those on the critical path.
    """
    canvases = [
        element("canvas", aria_hidden="true", class_="pixels"),
        element("canvas", aria_hidden="true", class_="ink"),
    ]
    stage = element(
        "div",
        *canvases,
        id="gantt",
        class_="gantt",
        tabindex="0",
        role="application",
        aria_roledescription="timeline",
        aria_label="Timeline of all ranks",
        aria_describedby="gantt-help",
    )
    told = element(
        "output",
        "Point at a slice, or go to it with the arrow keys.",
        id="gantt-told",
        class_="told",
        aria_live="polite",
    )
    return section(
        "timeline",
        "Timeline",
        element("noscript", element("p", "The charts are drawn by scripts; every number stands in the tables.")),
        element(
            "figure",
            _controls(result, rank_rows, path_first),
            _legend(slices, int(result.trace.ops.microbatch.max()) + 1),
            stage,
            told,
            _left_out(result, rank_rows),
            element("p", _GRAIN, id="gantt-grain", class_="hint", hidden=True),
            element("p", _HELP, id="gantt-help", class_="hint"),
            class_="needs-script",
        ),
    )


def timeline_facts(result: Result, rank_rows: Sequence[int]) -> dict[str, Any]:
    """Return what the scripts of the Gantt and of the memory chart know beside their columns."""
    trace = result.trace
    ranks, memory = trace.ranks, result.memory
    rows = np.array(rank_rows, dtype=np.int64)
    return {
        "makespan_ps": trace.makespan_ps,
        "num_steps": trace.num_steps,
        "shown_replica": result.ranks[0].replica,
        "rank": ranks.rank[rows].tolist(),
        "replica": ranks.replica[rows].tolist(),
        "pp_rank": ranks.pp_rank[rows].tolist(),
        "gpu": ranks.gpu[rows].tolist(),
        "categories": [_category(name) for name in CATEGORIES],
        "phases": [PHASE_WORDS[name] for name in PHASES],
        "causes": [CAUSE_WORDS[name] for name in CAUSES],
        "axis_names": ["", *AXES],
        "axes": ["", *(AXIS_WORDS[axis] for axis in AXES)],
        "static": _static(result, rows),
        "capacity_bytes": memory.capacity_bytes,
    }


def _category(name: str) -> dict[str, str]:
    letter, meaning = _WAITS.get(name) or _op(name)
    return {"name": name, "letter": letter, "meaning": meaning}


def _op(name: str) -> tuple[str, str]:
    letter = LETTERS[Kind[name]]
    return letter, MEANINGS[letter]


def _static(result: Result, rows: Any) -> list[dict[str, Any]]:
    """Return the categories of memory with what each rank holds of them; None where that changes over the run."""
    ranks = result.trace.ranks
    at_peak = {rank.pp_rank: rank for rank in result.memory.ranks}
    found = []
    for category in categories_of(result.memory):
        if category.field in MOVING:
            held = None
        elif (column := getattr(ranks, category.field, None)) is not None:
            held = column[rows].tolist()
        else:  # what follows from the peak, such as fragmentation
            held = [getattr(at_peak[pp_rank], category.field) for pp_rank in ranks.pp_rank[rows].tolist()]
        found.append({"name": category.name, "colour": category.colour, "bytes": held})
    return found


def _controls(result: Result, rank_rows: Sequence[int], path_first: bool) -> Markup:
    replicas = sorted(set(result.trace.ranks.replica[list(rank_rows)].tolist()))
    last = result.ranks[0].replica
    colours = one_of(
        "Colour",
        "gantt-colour",
        [("category", "by operation"), ("microbatch", "by micro-batch"), ("phase", "by phase")],
    )
    choice: Child = ""
    if len(replicas) > 1:
        options = [(str(last), f"replica {last}, the last to end"), ("path", "those on the critical path")]
        if path_first:
            options.reverse()
        options.append(("all", f"all {count(len(replicas))} replicas"))
        options += [(str(number), f"replica {number}") for number in replicas if number != last]
        choice = one_of("Ranks", "gantt-replica", options)
    only = element(
        "label",
        "Micro-batch ",
        element(
            "input",
            id="gantt-microbatch",
            type="number",
            min="0",
            max=str(int(result.trace.ops.microbatch.max())),
            placeholder="all",
        ),
    )
    path = element("label", element("input", id="gantt-path", type="checkbox", checked=True), " Critical path")
    zoom = [
        element("button", text, type="button", data_zoom=name, aria_label=label, title=label)
        for name, text, label in (("out", "−", "Zoom out"), ("in", "+", "Zoom in"), ("all", "Fit", "Show everything"))
    ]
    return element("div", colours, choice, only, path, element("span", *zoom, class_="buttons"), class_="controls")


def kind_keys(categories: Sequence[int]) -> Markup:
    """Return what the colours of slices stand for."""
    return joined(key(CATEGORIES[index].lower(), _named(index)) for index in categories)


def _named(index: int) -> Markup:
    letter, meaning = _WAITS.get(CATEGORIES[index]) or _op(CATEGORIES[index])
    return joined(element("b", letter), f" {meaning}") if letter else joined(meaning)


def _legend(slices: Slices, num_microbatches: int) -> Markup:
    """Return a switch for each category that occurs, and what colours stand for where they are not those."""
    present = sorted(set(slices.category[slices.duration_ps > 0].tolist()))
    switches = [
        element(
            "button",
            kind_keys([index]),
            type="button",
            class_="wait" if CATEGORIES[index] in _WAITS else "op",
            data_category=str(index),
            aria_pressed="true",
        )
        for index in present
    ]
    label = "Kinds of time; press to hide or show"
    kinds = element("div", *switches, class_="legend", id="gantt-legend", role="group", aria_label=label)
    phases = joined(key(f"phase-{number}", PHASE_WORDS[name]) for number, name in enumerate(PHASES))
    shades = joined("micro-batch 0 ", element("i", class_="scale shades"), f" {num_microbatches - 1}")
    return joined(
        kinds,
        element("p", phases, class_="keys for-phase"),
        element("p", element("span", shades, class_="keyed"), class_="keys for-microbatch"),
    )


def _left_out(result: Result, rank_rows: Sequence[int]) -> Child:
    all_ranks = len(result.trace.ranks)
    missing = all_ranks - len(rank_rows)
    if not missing:
        return ""
    said = f"{count(missing)} of {count(all_ranks)} ranks are left out, so that the page stays small; numbers hold all."
    return element("p", said, class_="hint")
