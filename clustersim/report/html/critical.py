"""The critical path on a page: what the run waited for, and what better resources would change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clustersim.analysis.critical_path import CriticalPath
from clustersim.analysis.sensitivity import promised_ps
from clustersim.report.html.bubble import PHASE_WORDS
from clustersim.report.html.markup import Child, Markup, Numbers, element, joined
from clustersim.report.html.parts import Part, Section, bar, key, section, table
from clustersim.report.quantities import percent, picoseconds, seconds, signed
from clustersim.report.terminal_critical import BETTER, RESOURCE_WORDS, critical_path_words, is_estimate
from clustersim.result import BlameSummary, Result
from clustersim.scenario.units import PS_PER_S
from clustersim.trace import Ints, Trace

_LEAVES = 0.1  # share of the path that is on other replicas, from which on it is worth to follow it
PATH_COLOURS = {
    "compute": "compute",
    "message": "pp",
    "collective": "exposed",
    "latency": "cp",
    "contention": "dp",
    "scheduler": "bubble",
}
_MORE_WORDS = {
    "compute": "every op faster",
    "scale-up": "NVLink and its kin",
    "network": "NICs and what is beyond",
    "latency": "of every message and collective",
}


def critical_section(result: Result, numbers: Numbers, segments: CriticalPath) -> Section | None:
    """Return what the critical path is spent on, and the step time if resources were 10 % better."""
    path = result.critical_path
    if not path.makespan_ps:
        return None
    hidden = 0.0 if is_shown_first(result, segments) else hidden_share(result, segments)
    drawn = bar(
        (Part(_words(part), part.share, PATH_COLOURS[part.cause]) for part in path.blame),
        "What the critical path is spent on",
    )
    said = f"What the run waited for, moment by moment: {critical_path_words(result)}."
    beside = "The bar has its parts by size. In their order they are the line through the timeline."
    if hidden:
        beside += f" {percent(hidden)} of it is on ranks of other replicas, which the choice of ranks there shows."
    tables = element("div", _blame(result, numbers), _what_if(result, numbers), class_="halves")
    return section("critical", "Critical path", element("p", said), drawn, element("p", beside, class_="hint"), tables)


def hidden_share(result: Result, path: CriticalPath) -> float:
    """Return the share of a path that is on other replicas than that of `result.ranks`."""
    is_other = result.trace.ranks.replica[path.rank_index] != result.ranks[0].replica
    return int(path.duration_ps[is_other].sum()) / (result.trace.makespan_ps or 1)


def is_shown_first(result: Result, path: CriticalPath) -> bool:
    """Return whether the timeline begins with the ranks of the path: it leaves the replica, and passes few ranks."""
    num_passed = len(set(path.rank_index.tolist()))
    return hidden_share(result, path) >= _LEAVES and num_passed <= 2 * len(result.ranks)


def path_columns(trace: Trace, path: CriticalPath, rank_rows: Sequence[int]) -> dict[str, Ints]:
    """Return the segments of the path as columns: the row of the page, or none, how long each lasts, and its cause.

    Segments of one cause that follow one another on a rank are one here: the line through them is the same.
    """
    row_of_rank = np.full(len(trace.ranks), -1, dtype=np.int64)
    row_of_rank[list(rank_rows)] = np.arange(len(rank_rows))
    row = row_of_rank[path.rank_index]
    begins = np.append(True, (row[1:] != row[:-1]) | (path.cause[1:] != path.cause[:-1]))[: len(path)]
    first = np.flatnonzero(begins)
    return {
        "path_row": row[first] + 1,
        "path_duration": np.append(path.start_ps[first[1:]], path.end_ps[-1:]) - path.start_ps[first],
        "path_cause": path.cause[first],
    }


def _words(part: BlameSummary) -> str:
    """Return what one part of the path is spent on."""
    if part.cause == "compute":
        return f"compute, {PHASE_WORDS.get(part.resource or '', part.resource or '')}"
    where = f" on {part.resource} links" if part.resource else ""
    what = {"scheduler": "idle though all inputs were there"}.get(part.cause, f"{part.axis} {part.cause}")
    return f"{what}{where}"


def _blame(result: Result, numbers: Numbers) -> Markup:
    rows: list[Sequence[Child]] = []
    for index, part in enumerate(result.critical_path.blame):
        place = f"critical_path.blame.{index}"
        time = numbers.show(f"{place}.time_ps", picoseconds)
        rows.append((key(PATH_COLOURS[part.cause], _words(part)), time, numbers.show(f"{place}.share", percent)))
    return table("Parts of the path, which add up to the run", ("", "time", "share"), rows, class_="parts")


def _what_if(result: Result, numbers: Numbers) -> Markup:
    """Return the promises of the path for 10 % more of each resource, and what runs gave that were asked for."""
    path, steps = result.critical_path, result.trace.num_steps
    promised = {name: promised_ps(path.makespan_ps, time_ps, BETTER) for name, time_ps in path.resources_ps.items()}
    rows: list[Sequence[Child]] = [
        (f"{RESOURCE_WORDS[name]}: {_MORE_WORDS[name]}", seconds(step_s), _change(step_s, result.step_time_s))
        for name, step_s in sorted(
            ((name, float(time_ps) / PS_PER_S / steps) for name, time_ps in promised.items()), key=lambda row: row[1]
        )
    ]
    said = (
        "An estimate, as orders or shares of links may change."
        if is_estimate(result)
        else "At best: another path may then be the longest."
    )
    found = [
        table("Step time if a resource were 10 % better", ("resource", "step time", "change"), rows, class_="parts"),
        element("p", said, class_="hint"),
    ]
    return element("div", *found, *([_runs(result, numbers)] if result.what_if else []))


def _runs(result: Result, numbers: Numbers) -> Markup:
    rows: list[Sequence[Child]] = []
    for index, run in enumerate(result.what_if):
        times = [numbers.show(f"what_if.{index}.{name}", seconds) for name in ("step_time_s", "promised_step_time_s")]
        name = joined(f"{run.resource} × ", numbers.show(f"what_if.{index}.factor", "{:g}".format))
        rows.append((name, *times, _change(run.step_time_s, result.step_time_s)))
    return table("Run again with it", ("what if", "step time", "promised", "change"), rows, class_="parts")


def _change(new_s: float, old_s: float) -> str:
    ratio = new_s / old_s - 1
    return signed(percent(ratio), ratio)
