"""Errors that a user can meet: each says where, what was got, what is allowed, and how to mend it.

The class decides the exit code of the command line; every message is complete without a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file that the user wrote."""

    file: str
    line: int  # 1-based
    column: int  # 1-based
    source_line: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake: where it stands (a dotted key), what is wrong, and how to mend it.

    Examples
    --------
    >>> print(Fault("cluster.gpus", "16 GPUs asked for; the topology has 8", hint="ask for at most 8"))
    error: cluster.gpus: 16 GPUs asked for; the topology has 8
      hint: ask for at most 8
    """

    where: str
    what: str
    position: Position | None = None
    hint: str = ""

    def __str__(self) -> str:
        head = f"{self.position}: " if self.position else ""
        lines = [f"{head}error: {self.where}: {self.what}" if self.where else f"{head}error: {self.what}"]
        if self.position and self.position.source_line:
            shown = self.position.source_line.replace("\t", " ")
            lines += [f"  {shown}", "  " + " " * (self.position.column - 1) + "^"]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class ClustersimError(Exception):
    """Base of every error that clustersim raises on purpose."""

    exit_code = 2


class InputError(ClustersimError):
    """Input that can't be used; carries all of its faults, not only the first."""

    def __init__(self, faults: Fault | Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = (faults,) if isinstance(faults, Fault) else tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class ScenarioError(InputError):
    """A scenario that can't be run as it stands."""


class TopologyError(InputError):
    """A topology that can't be built as it stands."""


class UnroutableError(TopologyError):
    """Two GPUs that must talk have no path between them."""

    exit_code = 3


class ScheduleError(ClustersimError):
    """A shape that a schedule refuses, or an order that breaks the rules of every schedule."""


class OrderError(InputError, ScheduleError):
    """An order that a user brought and that can't be read; carries all of its faults."""


class DeadlockError(ClustersimError):
    """Ranks that wait for one another for ever; the message names the cycle."""

    exit_code = 4


class InvariantError(ClustersimError):
    """A law that every run must keep was broken: a defect of clustersim, not of the input."""

    exit_code = 5


class LimitError(ClustersimError):
    """A budget (events, wall time, memory, sweep points) was used up."""

    exit_code = 6


def nearest(name: str, allowed: Sequence[str]) -> str:
    """Return ``did you mean 'x'?`` for the allowed name nearest to `name`, or an empty text.

    Examples
    --------
    >>> nearest("gpu_per_node", ["gpus_per_node", "nodes"])
    "did you mean 'gpus_per_node'?"
    >>> nearest("colour", ["nodes"])
    ''
    """
    containing = [known for known in allowed if name and name.lower() in known.lower()]
    matches = get_close_matches(name, allowed, n=1, cutoff=0.6) or containing[:1]
    return f"did you mean '{matches[0]}'?" if matches else ""
