"""Where time is lost, what the run waited for and what would change it, in words for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from rich.console import RenderableType

from clustersim.report.quantities import percent, seconds, signed
from clustersim.report.terminal import Column, Paragraph, Table, title
from clustersim.result import BlameSummary, Result
from clustersim.scenario.units import PS_PER_S

_NUM_CAUSES = 3
_NUM_PARTS = 4
_LEAST_SHARE = 0.0005  # of the path; less than a tenth of a percent is not worth words
BETTER = Fraction(11, 10)  # what promises are of: a resource that is 10 % better
_SAVED = float(1 - 1 / BETTER)  # of its time
_BUBBLES = {
    "dependency": "waiting for ops upstream that had not ended",
    "group": "waiting for late members of a group",
    "barrier": "waiting at the barrier before the optimizer step",
    "end_of_run": "with nothing left to do",
}
RESOURCE_WORDS = {
    "compute": "compute",
    "scale-up": "scale-up bandwidth",
    "network": "network bandwidth",
    "latency": "latency",
}


def largest_losses(result: Result) -> Iterator[RenderableType]:
    """Yield the largest causes of lost time, a line each, as mean per GPU and step."""
    losses = {_BUBBLES.get(cause, cause): time_s for cause, time_s in result.bubble.by_cause.items()}
    for axis, traffic in result.communication.by_axis.items():
        losses[f"waiting for {axis} communication under way"] = traffic.exposed_s
    largest = sorted(((time_s, what) for what, time_s in losses.items() if time_s), key=lambda entry: -entry[0])
    for number, (time_s, what) in enumerate(largest[:_NUM_CAUSES]):
        opening = "lost most: " if not number else "then: "
        share = percent(time_s / (result.step_time_s or 1.0))
        yield Paragraph(f"{seconds(time_s)} ({share}) {what}", label=opening, indent=11)


def critical_path_report(result: Result) -> Iterator[RenderableType]:
    """Yield what the critical path is spent on, and what would be if resources were better."""
    if not result.critical_path.makespan_ps:
        return
    yield title("Critical path")
    yield Paragraph(critical_path_words(result))
    if not result.what_if:
        yield from _promises(result)
    else:
        yield Table(
            [
                Column("what if", [f"{row.resource} x {row.factor:g}" for row in result.what_if], left=True),
                Column("step time", [seconds(row.step_time_s) for row in result.what_if]),
                Column("", [_change(row.step_time_s, result.step_time_s) for row in result.what_if], rank=1),
                Column("promised", [seconds(row.promised_step_time_s) for row in result.what_if], rank=2),
                Column("promise is exact", [_range(row.exact_to_factor) for row in result.what_if], rank=3),
            ]
        )


def _promises(result: Result) -> Iterator[RenderableType]:
    """Yield what a tenth more of each resource would save: no more than that, where no order and no sharing changes."""
    path = result.critical_path
    bound = "about" if is_estimate(result) else "at most"
    savings = [
        f"{RESOURCE_WORDS[resource]} {seconds(time_ps * _SAVED / PS_PER_S / result.trace.num_steps)}"
        for resource, time_ps in path.resources_ps.items()
        if time_ps * _SAVED >= _LEAST_SHARE * path.makespan_ps
    ]
    if savings:
        yield Paragraph(f"10 % better, the step is shorter by {bound}: {', '.join(savings)}")


def is_estimate(result: Result) -> bool:
    """Return whether what a path promises is no bound, as orders or shares of links may change with it."""
    shares_links = any(part.cause == "contention" for part in result.critical_path.blame)
    return result.scenario.schedule.policy is not None or shares_links


def critical_path_words(result: Result) -> str:
    """Return in a sentence what the critical path is spent on, the largest parts first."""
    shares: dict[str, float] = {}
    for part in result.critical_path.blame:
        words = _words(part)
        shares[words] = shares.get(words, 0.0) + part.share
    ordered = sorted(shares.items(), key=lambda entry: -entry[1])
    shown = [entry for entry in ordered if entry[1] >= _LEAST_SHARE][:_NUM_PARTS]
    rest = 1.0 - sum(share for _, share in shown)
    parts = [f"{percent(share)} {words}" for words, share in shown]
    parts += [f"{percent(rest)} in all else"] if rest >= _LEAST_SHARE else []
    return "it spends " + ", ".join(parts)


def _words(part: BlameSummary) -> str:
    where = f"over {part.resource} links" if part.resource else "where bandwidth is unlimited"
    return {
        "compute": "computing",
        "message": f"sending {part.axis} messages {where}",
        "collective": f"in {part.axis} collectives {where}",
        "latency": f"in the latency of {part.axis} communication",
        "contention": f"in {part.axis} traffic held up by other traffic {where.replace('over', 'on')}",
        "scheduler": "idle though all inputs were there",
    }[part.cause]


def _change(new_s: float, old_s: float) -> str:
    ratio = new_s / old_s - 1
    return signed(percent(ratio), ratio)


def _range(factor: float) -> str:
    return f"up to x {factor:.4g}" if factor > 1 else "no, an estimate"
