"""The top of a run's page: what was run, how fast it is, and where the time of a step went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clustersim.report.html.markup import Child, Markup, Numbers, element, joined, name_of
from clustersim.report.html.parts import Part, Section, bar, facts, key, section, table
from clustersim.report.quantities import counted, number, percent, seconds, size
from clustersim.result import Result
from clustersim.trace import AXIS_WORDS

CAUSE_WORDS = {
    "dependency": "an op upstream is not done",
    "group": "a member of a group is late",
    "barrier": "the barrier before the optimizer step",
    "end_of_run": "nothing is left to do",
}


@dataclass(frozen=True, slots=True)
class TimePart:
    """A part of the time of a step, with its place in the document. [s]"""

    name: str
    field: str
    time_s: float
    colour: str


def banner(result: Result) -> Markup:
    """Return the name of the job and its size."""
    num_microbatches = int(result.trace.ops.microbatch.max()) + 1
    sizes = [f"{axis} {size}" for axis, size in result.scenario.parallelism.sizes.items() if size > 1]
    shape = f"{counted(len(result.ranks), 'rank')} × {counted(num_microbatches, 'micro-batch')}"
    plural = "" if num_microbatches == 1 else "es"
    lines = [result.schedule, shape.removesuffix("s") + plural, " · ".join(sizes)]
    gpus = counted(len(result.trace.ranks), "GPU")
    steps = [counted(result.trace.num_steps, "step")] if result.trace.num_steps > 1 else []
    name = name_of(result.name) if result.name else "A run of clustersim"
    return joined(element("h1", name), facts(*(line for line in (*lines[:2], gpus, *lines[2:], *steps) if line)))


def headline(result: Result, numbers: Numbers) -> Markup:
    """Return the numbers that are asked for first."""
    tiles = [("step time", numbers.show("step_time_s", seconds), _beside_step_time(result, numbers))]
    throughput = result.throughput
    if throughput.mfu is not None:
        tiles.append(
            ("MFU", numbers.show("throughput.mfu", percent), joined("HFU ", numbers.show("throughput.hfu", percent)))
        )
    if throughput.tokens_per_s is not None:
        each = joined(numbers.show("throughput.tokens_per_s_per_gpu", number), " a GPU")
        tiles.append(("tokens/s", numbers.show("throughput.tokens_per_s", number), each))
    elif throughput.samples_per_s is not None:
        tiles.append(("samples/s", numbers.show("throughput.samples_per_s", number), ""))
    overhead = joined("of compute and bubble; overhead ", numbers.show("bubble.overhead", percent))
    tiles.append(("bubble fraction", numbers.show("bubble.fraction", percent), overhead))
    if result.memory.peak_bytes:
        tiles.append(("peak memory", numbers.show("memory.peak_bytes", size), _room(result, numbers)))
    return element("dl", *(_tile(*tile) for tile in tiles), class_="tiles")


def where_time_went(result: Result, numbers: Numbers, limits: Markup) -> Section:
    """Return the account of a step: a sentence, a bar, its parts in numbers, and beside them what limits the run."""
    parts = [part for part in time_parts(result) if part.time_s]
    whole_s = result.step_time_s or 1.0
    drawn = bar((Part(part.name, part.time_s / whole_s, part.colour) for part in parts), "The parts of a step's time")
    rows = [
        (key(part.colour, part.name), numbers.show(part.field, seconds), percent(part.time_s / whole_s))
        for part in parts
    ]
    account = table("Mean per GPU and step", ("", "time", "share"), rows, class_="parts")
    return section(
        "time",
        "Where the time went",
        element("p", _sentence(result, numbers), class_="lead"),
        drawn,
        element("div", account, limits, class_="halves"),
    )


def time_parts(result: Result) -> list[TimePart]:
    """Return what a step's time consists of; the parts add up to it."""
    exposed = [
        TimePart(
            f"waiting for {AXIS_WORDS[axis]} ({axis})",
            f"communication.by_axis.{axis}.exposed_s",
            traffic.exposed_s,
            axis,
        )
        for axis, traffic in result.communication.by_axis.items()
    ]
    bubble = [
        TimePart(f"bubble: {CAUSE_WORDS.get(cause, cause)}", f"bubble.by_cause.{cause}", time_s, cause)
        for cause, time_s in result.bubble.by_cause.items()
    ]
    return [TimePart("compute", "time_s.compute", result.time_s.compute, "compute"), *exposed, *bubble]


def _tile(label: str, value: Child, beside: Child) -> Markup:
    return element("div", element("dt", label), element("dd", value), element("dd", beside, class_="beside"))


def _beside_step_time(result: Result, numbers: Numbers) -> Child:
    if result.bound.gap is None:
        return ""
    return joined(numbers.show("bound.gap", percent), " above its lower bound")


def _room(result: Result, numbers: Numbers) -> Child:
    memory = result.memory
    if memory.capacity_bytes is None:
        return "capacity not known"
    verdict = {True: "fits", False: "does not fit", None: ""}[memory.fits]
    told = joined("of ", numbers.show("memory.capacity_bytes", size), ": ", verdict)
    return told if memory.fits else element("strong", told, class_="bad")


def _sentence(result: Result, numbers: Numbers) -> Iterator[str]:
    """Yield where the time went, in words; the largest reason of each kind is named."""
    whole_s, times = result.step_time_s or 1.0, result.time_s
    exposed = {axis: traffic.exposed_s for axis, traffic in result.communication.by_axis.items()}
    causes = result.bubble.by_cause
    yield joined("Of ", numbers.show("step_time_s", seconds), " a GPU computes ")
    yield element("strong", percent(times.compute / whole_s))
    if times.exposed_communication:
        axis = max(exposed, key=lambda name: exposed[name])
        yield joined(
            ", waits ", element("strong", percent(times.exposed_communication / whole_s)), " for data on the wire"
        )
        yield f", {_most(exposed[axis], times.exposed_communication)}{AXIS_WORDS[axis]}"
    if times.bubble:
        cause = max(causes, key=lambda name: causes[name])
        yield ", and waits "
        yield joined(
            element("strong", percent(times.bubble / whole_s)),
            f" in bubbles, {_most(causes[cause], times.bubble)}because ",
        )
        yield {"barrier": "ranks meet at the barrier before the optimizer step"}.get(
            cause, CAUSE_WORDS.get(cause, cause)
        )
    yield "."


def _most(part_s: float, whole_s: float) -> str:
    return "" if part_s > 0.995 * whole_s else "mostly " if part_s > 0.5 * whole_s else "chiefly "
