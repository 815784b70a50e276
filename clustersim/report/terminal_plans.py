"""Parts that the answers of all questions of a plan share in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from clustersim.report.quantities import count, seconds
from clustersim.report.terminal import Paragraph, title
from clustersim.scenario.units import DAY_S

Document = Mapping[str, Any]


def heading(document: Document) -> list[RenderableType]:
    """Return the name of the scenario, if it has one."""
    return [Paragraph(document["name"], "bold")] if document["name"] else []


def rests_on(document: Document) -> Iterator[RenderableType]:
    """Yield what an answer assumes."""
    yield title("What this rests on")
    for told in document["assumptions"]:
        yield Paragraph(told, "dim", indent=2)
    if document.get("learning_rate"):
        yield Paragraph(document["learning_rate"], "dim", indent=2)


def refusals(refused: Sequence[Any], most: int | None = None) -> Iterator[RenderableType]:
    """Yield what could not be run, and why; the first `most`, if there are more."""
    if refused:
        yield title("Refused")
        for one in refused[:most]:
            text = one if isinstance(one, str) else f"{one['num_gpus']} GPUs: {one['reason']}"
            yield Paragraph(text, indent=2)
        if most is not None and len(refused) > most:
            yield Paragraph(f"and {count(len(refused) - most)} more", indent=2)


def layout(point: Document) -> str:
    """Return the sizes of the axes that are not 1.

    Examples
    --------
    >>> layout({"layout": {"tp": 8, "cp": 1, "dp": 4, "pp": 2}})
    'tp 8, dp 4, pp 2'
    """
    sizes = ", ".join(f"{axis} {size}" for axis, size in point["layout"].items() if size != 1)
    return sizes or "one GPU"


def between(interval: Sequence[float] | None) -> str:
    """Return an interval of times; nothing for none.

    Examples
    --------
    >>> between((1.5, 3.0)), between(None)
    ('1.500 s to 3.000 s', '')
    """
    return "" if interval is None else f"{seconds(interval[0])} to {seconds(interval[1])}"


def days(time_s: float) -> str:
    """Return a time in days.

    Examples
    --------
    >>> days(129_600)
    '1.50 days'
    """
    return f"{time_s / DAY_S:,.2f} days"


def spans(interval: Sequence[float] | None) -> str:
    """Return an interval of times in days; nothing for none."""
    return "" if interval is None else f"{interval[0] / DAY_S:,.2f} to {days(interval[1])}"
