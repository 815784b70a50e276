"""What changed between two results, and why: read off their documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clustersim.report.quantities import adding_up, number, percent, points, seconds, size
from clustersim.scenario.units import PS_PER_S

DIFFERENCE_SCHEMA = "clustersim/diff/1"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A headline number of a result: where it stands in the document, and how it and its change are written."""

    name: str
    key: str
    shown: Callable[[Any], str]
    shown_change: Callable[[Any], str]


HEADLINES = (
    Quantity("step time", "step_time_s", seconds, seconds),
    Quantity("steady step time", "steady_step_time_s", seconds, seconds),
    Quantity("compute", "time_s.compute", seconds, seconds),
    Quantity("exposed communication", "time_s.exposed_communication", seconds, seconds),
    Quantity("bubble", "time_s.bubble", seconds, seconds),
    Quantity("bubble fraction", "bubble.fraction", percent, points),
    Quantity("bubble overhead", "bubble.overhead", percent, points),
    Quantity("span fraction", "bubble.span_fraction", percent, points),
    Quantity("throughput, samples/s", "throughput.samples_per_s", number, number),
    Quantity("peak memory", "memory.peak_bytes", size, size),
)
_SETTINGS = {
    "name": "name",
    "schedule": "schedule",
    "scenario file": "provenance.scenario.path",
    "scenario sha256": "provenance.scenario.sha256",
    "topology": "provenance.topology.name",
    "topology sha256": "provenance.topology.sha256",
    "seed": "provenance.seed",
    "clustersim": "provenance.clustersim",
    "engine": "provenance.engine",
    "capacity": "memory.capacity_bytes",
    "fits in memory": "memory.fits",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One value before and after."""

    name: str
    before: Any
    after: Any

    def to_dict(self) -> dict[str, Any]:
        """Return the change as a mapping; ``change`` is the difference of two numbers, else None."""
        change = None if self.before is None or self.after is None else self.after - self.before
        relative = change / self.before if change is not None and self.before else None
        return {"name": self.name, "before": self.before, "after": self.after, "change": change, "relative": relative}


@dataclass(frozen=True, slots=True)
class Account:
    """Change of the step time and of its parts, which add up to it exactly. [ps, mean per GPU]"""

    step_ps: int
    compute_ps: int
    exposed_ps: int
    bubble_ps: int


@dataclass(frozen=True, slots=True)
class RankChange:
    """Change of one pipeline rank over the run. [ps, bytes]"""

    pp_rank: int
    compute_ps: int
    exposed_communication_ps: int
    bubble_ps: int
    peak_bytes: int

    @property
    def largest_ps(self) -> int:
        """The largest of its changes in time, whichever way."""
        return max(abs(self.compute_ps), abs(self.exposed_communication_ps), abs(self.bubble_ps))


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything that two results differ in; ``ranks`` is empty where they have different numbers of ranks."""

    headlines: tuple[Change, ...]
    settings: tuple[Change, ...]
    new_notes: tuple[str, ...]  # assumptions and warnings that only the second has
    old_notes: tuple[str, ...]
    account: Account
    causes_s: Mapping[str, float]  # change of the bubble by cause
    axes_s: Mapping[str, float]  # change of the exposed communication by axis
    num_ranks: tuple[int, int]
    ranks: tuple[RankChange, ...]

    @property
    def why(self) -> str:
        """The change of the step time in words; the numbers in it add up."""
        account = self.account
        if not account.step_ps and not (account.compute_ps or account.exposed_ps or account.bubble_ps):
            return "step time unchanged"
        parts = {
            "compute": account.compute_ps,
            f"exposed communication{_leading(self.axes_s)}": account.exposed_ps,
            f"bubble{_leading(self.causes_s)}": account.bubble_ps,
        }
        total, texts = adding_up(account.step_ps / PS_PER_S, [part / PS_PER_S for part in parts.values()])
        told = [f"{name} {text}" for (name, part), text in zip(parts.items(), texts, strict=True) if part]
        return f"step time {total}: {', '.join(told)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the document of ``diff --json``."""
        account = self.account
        return {
            "schema": DIFFERENCE_SCHEMA,
            "why": self.why,
            "changes": [change.to_dict() for change in self.headlines],
            "account_ps": {
                "step_time": account.step_ps,
                "compute": account.compute_ps,
                "exposed_communication": account.exposed_ps,
                "bubble": account.bubble_ps,
            },
            "bubble_by_cause_s": dict(self.causes_s),
            "exposed_by_axis_s": dict(self.axes_s),
            "settings": [{"name": c.name, "before": c.before, "after": c.after} for c in self.settings],
            "notes": {"added": list(self.new_notes), "removed": list(self.old_notes)},
            "ranks": [{name: getattr(rank, name) for name in RankChange.__slots__} for rank in self.ranks],
        }


def difference(before: Document, after: Document) -> Difference:
    """Return what changed from one result document to another."""
    old_notes, new_notes = _notes(before), _notes(after)
    return Difference(
        headlines=tuple(Change(q.name, _at(before, q.key), _at(after, q.key)) for q in HEADLINES),
        settings=tuple(
            Change(name, _at(before, key), _at(after, key))
            for name, key in _SETTINGS.items()
            if _at(before, key) != _at(after, key)
        ),
        new_notes=tuple(note for note in new_notes if note not in old_notes),
        old_notes=tuple(note for note in old_notes if note not in new_notes),
        account=_account(before, after),
        causes_s=_changes(before["bubble"]["by_cause"], after["bubble"]["by_cause"]),
        axes_s=_changes(_exposed_by_axis(before), _exposed_by_axis(after)),
        num_ranks=(len(before["ranks"]), len(after["ranks"])),
        ranks=_rank_changes(before, after),
    )


def _at(document: Document, key: str) -> Any:
    value: Any = document
    for step in key.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _notes(document: Document) -> list[str]:
    return [*(_at(document, "provenance.constraints") or ()), *document["warnings"]]


def _account(before: Document, after: Document) -> Account:
    def change_ps(key: str) -> int:
        before_ps, after_ps = (round(float(_at(document, key)) * PS_PER_S) for document in (before, after))
        return after_ps - before_ps

    step, compute, exposed = (change_ps(k) for k in ("step_time_s", "time_s.compute", "time_s.exposed_communication"))
    # the three parts of a step add up to it; means that were rounded apart must not lose a picosecond here
    return Account(step, compute, exposed, step - compute - exposed)


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: after.get(name, 0.0) - before.get(name, 0.0) for name in dict.fromkeys([*before, *after])}


def _exposed_by_axis(document: Document) -> dict[str, float]:
    return {axis: summary["exposed_s"] for axis, summary in document["communication"]["by_axis"].items()}


def _rank_changes(before: Document, after: Document) -> tuple[RankChange, ...]:
    if len(before["ranks"]) != len(after["ranks"]):
        return ()
    rows = zip(before["ranks"], after["ranks"], before["memory"]["ranks"], after["memory"]["ranks"], strict=True)
    return tuple(
        RankChange(
            new["pp_rank"],
            new["compute_ps"] - old["compute_ps"],
            new["exposed_communication_ps"] - old["exposed_communication_ps"],
            new["bubble_ps"] - old["bubble_ps"],
            new_memory["peak_bytes"] - old_memory["peak_bytes"],
        )
        for old, new, old_memory, new_memory in rows
    )


def _leading(changes_s: Mapping[str, float]) -> str:
    """Return the name with the largest change in brackets, nothing if there is none."""
    name = max(changes_s, key=lambda name: abs(changes_s[name]), default="")
    return f" ({name.replace('_', ' ')})" if name and changes_s[name] else ""
