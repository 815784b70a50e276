"""What limits a run, in words: the stage, the wait, the category of memory and the link to look at first."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import numpy as np

from clustersim.analysis.sensitivity import promised_ps
from clustersim.analysis.utilization import full_ps
from clustersim.analysis.waits import is_one_of
from clustersim.ops import COMPUTE
from clustersim.report.html.markup import Markup, Numbers, element, joined, name_of
from clustersim.report.html.memory import categories_of, parts_of
from clustersim.report.html.opening import time_parts
from clustersim.report.quantities import count, percent, picoseconds, seconds, size
from clustersim.report.terminal_critical import BETTER, RESOURCE_WORDS, is_estimate
from clustersim.result import Result
from clustersim.trace import AXIS_WORDS

_EVEN = 0.005  # relative; ranks that compute no longer than that above the median are alike
_SATURATED = 0.9  # of a link's time


def findings(result: Result, numbers: Numbers) -> Markup:
    """Return what to look at first, a line for each resource."""
    lines = [
        ("Critical path", _path(result)),
        ("Stage", _stage(result, numbers)),
        ("Waiting", _waiting(result, numbers)),
        ("Memory", _memory(result, numbers)),
        ("Network", _link(result, numbers)),
        ("To gain", _gain(result)),
    ]
    entries = [element("div", element("dt", name), element("dd", said)) for name, said in lines]
    return element("div", element("h3", "What limits this run"), element("dl", *entries, class_="findings"))


def warnings(result: Result) -> Markup:
    """Return what a reader should beware of, nothing where there is nothing."""
    if not result.warnings:
        return Markup("")
    entries = [element("li", name_of(warning)) for warning in result.warnings]
    return element("aside", element("h3", "Beware"), element("ul", *entries), class_="warnings", aria_label="Beware")


def stage_compute_ps(result: Result) -> dict[int, int]:
    """Return how long each stage computes over the run, in the replica that ends last. [ps]"""
    trace = result.trace
    mine = trace.ranks.replica[trace.ops.rank_index] == result.ranks[0].replica
    rows = np.flatnonzero(mine & is_one_of(trace.ops.kind, COMPUTE) & (trace.ops.stage >= 0))
    lasted_ps = (trace.ops.end_ps - trace.ops.start_ps)[rows]
    totals = np.zeros(int(trace.ops.stage.max()) + 1, dtype=np.int64)
    np.add.at(totals, trace.ops.stage[rows], lasted_ps)
    return {stage: total_ps for stage, total_ps in enumerate(totals.tolist()) if total_ps}


def _path(result: Result) -> Iterator[str]:
    """Yield what the run waited for: compute, or the traffic of an axis, with what others made of it."""
    shares: dict[str, float] = {}
    held_up: dict[str, float] = {}
    for part in result.critical_path.blame:
        name = AXIS_WORDS[part.axis] if part.axis else part.cause
        shares[name] = shares.get(name, 0.0) + part.share
        if part.cause == "contention":
            held_up[name] = held_up.get(name, 0.0) + part.share
    if not shares:
        yield "Nothing takes any time."
        return
    first, *others = sorted(shares, key=lambda name: -shares[name])
    yield joined("The run waits for ", element("strong", first), f": {percent(shares[first])} of it")
    if held_up.get(first):
        yield f", {percent(held_up[first])} because other traffic holds it up"
    if others:
        yield f"; then {others[0]}, {percent(shares[others[0]])}"
    yield "."


def _gain(result: Result) -> Iterator[str]:
    """Yield which resource would shorten the step the most if it were a tenth better."""
    path = result.critical_path
    promised = {
        name: promised_ps(path.makespan_ps, time_ps, BETTER) for name, time_ps in path.resources_ps.items() if time_ps
    }
    if not promised:
        yield "Nothing: no resource is on the path."
        return
    best = min(promised, key=lambda name: promised[name])
    shorter = 1 - float(promised[best]) / path.makespan_ps
    bound = "about " if is_estimate(result) else "at most "
    yield joined("10 % better ", element("strong", RESOURCE_WORDS[best]), " makes the step ")
    yield f"{bound}{percent(shorter)} shorter."


def _over(result: Result) -> str:
    """Return of how many steps a rank's figures are."""
    return f" over {result.trace.num_steps} steps" if result.trace.num_steps > 1 else " a step"


def _stage(result: Result, numbers: Numbers) -> Iterator[str]:
    computes = [rank.compute_ps for rank in result.ranks]
    slowest = max(range(len(computes)), key=lambda index: computes[index])
    typical_ps = median(computes)
    shown = numbers.show(f"ranks.{slowest}.compute_ps", picoseconds)
    if not typical_ps or computes[slowest] / typical_ps - 1 < _EVEN:
        yield from _even_stages(result, shown, numbers)
        return
    pp_rank = result.ranks[slowest].pp_rank
    by_stage = stage_compute_ps(result)
    stage = max(by_stage, key=lambda number: by_stage[number])
    has_chunks = len(by_stage) > len(computes)
    name = f"Rank {pp_rank}" if has_chunks else f"Stage {stage}, on rank {pp_rank},"
    more = percent(computes[slowest] / typical_ps - 1)
    yield joined(element("strong", name), " computes longest: ", shown, f", {more} more than the median rank.")
    if has_chunks:
        yield joined(
            " The longest stage is ", element("strong", f"stage {stage}"), f", at {picoseconds(by_stage[stage])}."
        )


def _even_stages(result: Result, computes: Markup, numbers: Numbers) -> Iterator[str]:
    """Yield which rank is taken up longest where all compute alike: what it waits for on the wire takes it up, too."""
    taken_ps = [rank.compute_ps + rank.exposed_communication_ps for rank in result.ranks]
    most = max(range(len(taken_ps)), key=lambda index: taken_ps[index])
    if taken_ps[most] <= (1 + _EVEN) * median(taken_ps):
        yield joined("No stage holds the others up: every rank computes ", computes, f"{_over(result)}.")
        return
    exposed = numbers.show(f"ranks.{most}.exposed_communication_ps", picoseconds)
    yield joined("No stage computes longer than the others: ", computes, f"{_over(result)}. But ")
    yield joined(
        element("strong", f"rank {result.ranks[most].pp_rank}"),
        " waits longest for data on the wire: ",
        exposed,
        f"{_over(result)}.",
    )


def _waiting(result: Result, numbers: Numbers) -> Iterator[str]:
    waits = [part for part in time_parts(result)[1:] if part.time_s]
    if not waits:
        yield "No GPU ever waits."
        return
    largest = max(waits, key=lambda part: part.time_s)
    total_s = sum(part.time_s for part in waits)
    yield joined(element("strong", largest.name[0].upper() + largest.name[1:]), ": ")
    yield joined(numbers.show(largest.field, seconds), f" of the {seconds(total_s)} in which a GPU computes nothing.")


def _memory(result: Result, numbers: Numbers) -> Iterator[str]:
    memory = result.memory
    if not memory.peak_bytes:
        yield "The scenario gives no sizes."
        return
    worst = next(index for index, rank in enumerate(memory.ranks) if rank.pp_rank == memory.worst_rank)
    largest, _ = max(parts_of(memory.ranks[worst], categories_of(memory)), key=lambda part: part[1])
    name = largest.name[0].upper() + largest.name[1:]
    amount = numbers.show(f"memory.ranks.{worst}.{largest.field}", size)
    peak = numbers.show(f"memory.ranks.{worst}.peak_bytes", size)
    pp_rank = memory.ranks[worst].pp_rank
    yield joined(
        element("strong", name), ", the largest part: ", amount, " of the ", peak, f" at the peak of rank {pp_rank}"
    )
    if memory.capacity_bytes is not None:
        yield f", {percent(memory.ranks[worst].peak_bytes / memory.capacity_bytes)} of what its GPU has"
    yield "."
    if not any(rank.activations_peak_bytes for rank in memory.ranks):
        yield " The scenario gives no activations."


def _link(result: Result, numbers: Numbers) -> Iterator[str]:
    links = result.communication.busiest_links
    if not links or not links[0].utilization:
        yield "No link was held: all that carried anything have unlimited bandwidth."
        return
    busiest = links[0]
    busy_ps = result.trace.links.busy_ps
    alike = int((busy_ps == busy_ps.max()).sum()) - 1
    said = "is saturated" if busiest.utilization >= _SATURATED else "is busiest"
    others = f", as are {count(alike)} others" if alike > 1 else ", as is one other" if alike else ""
    yield joined(element("strong", name_of(busiest.link)), f" {said}{others}: ")
    yield joined(
        numbers.show("communication.busiest_links.0.utilization", percent), " of what it can carry over the run"
    )
    full = full_ps(result.trace, result.trace.links.name.index(busiest.link)) / (result.trace.makespan_ps or 1)
    yield f"; it is full for {percent(full)} of the time." if full else "; it is never full."
    lost_ps = result.trace.links.queued_ps + result.trace.links.slowed_ps
    if lost_ps.any():
        worst = int(lost_ps.argmax())
        lost = picoseconds(int(lost_ps[worst]))
        where = element("strong", name_of(result.trace.links.name[worst]))
        yield joined(" Messages were held up most at ", where, f": by {lost}, all of them together.")
    elif busiest.utilization < _SATURATED:
        yield " No link was contended."
