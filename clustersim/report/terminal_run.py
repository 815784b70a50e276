"""The report of one run in a terminal."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from clustersim.report.quantities import count, counted, number, percent, picoseconds, seconds, size
from clustersim.report.terminal import Bar, Column, Facts, Paragraph, Table, characters_of, left_out, shown_rows, title
from clustersim.report.terminal_accounts import accounts_report
from clustersim.report.terminal_critical import critical_path_report, largest_losses
from clustersim.report.terminal_gantt import Gantt
from clustersim.report.terminal_memory import MAX_ROWS, MemoryReport
from clustersim.result import Result

_NUM_LINKS = 5
_PHASE_NAMES = {"warmup": "warm-up", "steady": "steady", "cooldown": "cool-down"}


def run_report(result: Result) -> RenderableType:
    """Return everything that a reader wants to know of a run, in the width that there is."""
    return Group(
        Headline(result),
        *_time_account(result),
        *largest_losses(result),
        *_bubble(result),
        *critical_path_report(result),
        title("Gantt" + (f", {result.trace.num_steps} steps" if result.trace.num_steps > 1 else "")),
        Gantt(result),
        MemoryReport(result),
        *_communication(result),
        *_rank_times(result),
        *accounts_report(result),
        *_warnings(result),
        *_provenance(result),
    )


class Headline:
    """The name of the job, its size, and how fast it is."""

    def __init__(self, result: Result) -> None:
        self.result = result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        result = self.result
        trace, times = result.trace, characters_of(options).times
        num_microbatches = int(trace.sample.ops.microbatch.max()) + 1
        microbatches = "micro-batch" if num_microbatches == 1 else "micro-batches"
        sizes = " ".join(f"{axis} {size}" for axis, size in result.scenario.parallelism.sizes.items() if size > 1)
        if result.name:
            yield Paragraph(result.name, "bold")
        yield Facts(
            [
                result.schedule,
                f"{counted(len(result.ranks), 'rank')} {times} {count(num_microbatches)} {microbatches}",
                counted(len(trace.ranks), "GPU") + (f" ({sizes})" if sizes else ""),
            ]
        )
        yield Facts(_speed(result), "bold")


def _speed(result: Result) -> list[str]:
    facts = [f"step time {seconds(result.step_time_s)}"]
    if result.steady_step_time_s is not None:
        facts.append(f"steady {seconds(result.steady_step_time_s)}")
    if result.bound.gap is not None:
        facts.append(f"{percent(result.bound.gap)} above its bound")
    if result.throughput.samples_per_s is not None:
        facts.append(f"{number(result.throughput.samples_per_s)} samples/s")
    if result.throughput.tokens_per_s is not None:
        facts.append(f"{number(result.throughput.tokens_per_s)} tokens/s")
    if result.throughput.mfu is not None:
        facts.append(f"MFU {percent(result.throughput.mfu)} (full attention)")
    return facts


def _time_account(result: Result) -> Iterator[RenderableType]:
    yield title("Time, mean per GPU and step")
    parts = {
        "compute": (result.time_s.compute, "blue"),
        "exposed communication": (result.time_s.exposed_communication, "red"),
        "bubble": (result.time_s.bubble, "bright_black"),
    }
    times_s, styles = zip(*parts.values(), strict=True)
    shares = [time_s / (result.step_time_s or 1.0) for time_s in times_s]
    begins = itertools.accumulate(shares, initial=0.0)
    bars = [Bar(share, style, begin) for share, style, begin in zip(shares, styles, begins, strict=False)]
    yield Table(
        [
            Column("", list(parts), left=True),
            Column("", [seconds(time_s) for time_s in times_s]),
            Column("", [percent(share) for share in shares], rank=1),
            Column("", bars, rank=2, left=True, flexible=True),
        ]
    )


class Ratios:
    """The bubble ratios, each with its definition, which people take for one another."""

    def __init__(self, result: Result) -> None:
        bubble = result.bubble
        self.rows: tuple[tuple[str, float | None, str], ...] = (
            ("bubble fraction", bubble.fraction, "= bubble / (bubble + compute)"),
            ("bubble overhead", bubble.overhead, "= bubble / compute"),
            ("span fraction", bubble.span_fraction, "= (span - compute) / span, longest rank"),
            ("idle fraction", bubble.idle_fraction, "= (makespan - compute) / makespan"),
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = [
            Column("", [name for name, _, _ in self.rows], left=True),
            Column("", [percent(ratio) for _, ratio, _ in self.rows]),
        ]
        beside = Column("", [definition for _, _, definition in self.rows], left=True)
        if sum(column.width() for column in (*columns, beside)) + 4 <= options.max_width:
            yield Table([*columns, beside])
            return
        for name, ratio, definition in self.rows:
            yield Paragraph(f"{name} {percent(ratio)}")
            yield Paragraph(definition, indent=1, label=" ")


def _bubble(result: Result) -> Iterator[RenderableType]:
    yield title("Bubble")
    yield Ratios(result)
    yield Facts(_parts("by phase", {_PHASE_NAMES[phase]: time_s for phase, time_s in result.bubble.by_phase.items()}))
    yield Facts(_parts("by cause", result.bubble.by_cause))


def _parts(what: str, times_s: Mapping[str, float]) -> list[str]:
    parts = [f"{name.replace('_', ' ')} {seconds(time_s)}" for name, time_s in times_s.items() if time_s] or ["none"]
    return [f"{what}: {parts[0]}", *parts[1:]]


def _rank_times(result: Result) -> Iterator[RenderableType]:
    yield title("Time of each rank, over the run")
    ranks = [result.ranks[index] for index in shown_rows(len(result.ranks), MAX_ROWS)]
    yield Table(
        [
            Column("rank", [str(rank.pp_rank) for rank in ranks]),
            Column("compute", [picoseconds(rank.compute_ps) for rank in ranks]),
            Column("exposed", [picoseconds(rank.exposed_communication_ps) for rank in ranks]),
            Column("bubble", [picoseconds(rank.bubble_ps) for rank in ranks]),
            Column("bubble / makespan", [percent(rank.bubble_ps / (rank.makespan_ps or 1)) for rank in ranks], rank=1),
        ]
    )
    yield from left_out(len(result.ranks), MAX_ROWS, "ranks")


def _communication(result: Result) -> Iterator[RenderableType]:
    communication = result.communication
    used = {name: axis for name, axis in communication.by_axis.items() if axis.bytes or axis.busy_s}
    yield title("Communication of a step")
    if not used:
        yield Paragraph("no bytes and no time: messages are empty, or there are none")
        return
    slowed = [Column("slowed/GPU", [seconds(axis.slowed_s) for axis in used.values()], rank=2)]
    yield Table(
        [
            Column("axis", list(used), left=True),
            Column("bytes", [size(axis.bytes) for axis in used.values()]),
            Column("busy/GPU", [seconds(axis.busy_s) for axis in used.values()], rank=1),
            Column("exposed/GPU", [seconds(axis.exposed_s) for axis in used.values()]),
            *(slowed if any(axis.slowed_s for axis in used.values()) else []),
        ]
    )
    yield from _links(result)


def _links(result: Result) -> Iterator[RenderableType]:
    links = [link for link in result.communication.busiest_links if link.utilization][:_NUM_LINKS]
    if not links:
        yield Paragraph("no link was held: all have unlimited bandwidth, and latency occupies nothing")
        return
    lost = [Column("queued", [seconds(link.queued_s) for link in links], rank=1)]
    if any(link.slowed_s for link in links):
        lost.append(Column("slowed", [seconds(link.slowed_s) for link in links], rank=1))
    yield Text()
    yield Table(
        [
            Column("busiest links", [link.link for link in links], left=True, flexible=True),
            Column("busy", [percent(link.utilization) for link in links]),
            Column("bytes", [size(link.bytes) for link in links], rank=2),
            *lost,
        ]
    )
    contended = result.communication.contended_links
    yield Paragraph(f"contended links: {count(contended)}" if contended else "no link was contended")


def _warnings(result: Result) -> Iterator[RenderableType]:
    if result.warnings:
        yield title("Beware")
        for warning in result.warnings:
            yield Paragraph(f"- {warning}", "yellow", indent=2)


def _folding(folding: dict[str, Any]) -> Iterator[str]:
    """Yield how many GPUs stand for all, or why none does."""
    if folding["replica_classes"] is not None and not folding["unfolded_because"]:
        replicas, classes = counted(folding["replicas"], "replica"), folding["replica_classes"]
        alike = f"{replicas} of {count(classes)} {'class' if classes == 1 else 'classes'}"
        yield f"{count(folding['simulated_gpus'])} of {counted(folding['gpus'], 'GPU')} simulated ({alike})"
    elif folding["replicas"] > 1 and folding["unfolded_because"]:
        yield f"every GPU simulated: {folding['unfolded_because']}"


def _provenance(result: Result) -> Iterator[RenderableType]:
    provenance = result.provenance
    sha256 = provenance["scenario"]["sha256"]
    yield Text()
    yield Facts(
        [
            f"clustersim {provenance['clustersim']}",
            *([f"scenario {sha256[:12]}"] if sha256 else []),
            f"topology {provenance['topology']['name']}",
            f"seed {provenance['seed']}",
            f"{count(provenance['events'])} events in {seconds(provenance['wall_time_s'])}",
            *_folding(provenance["folding"]),
        ],
        "dim",
    )
