"""The options that say which part of a run is written to traces, profiles and tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from clustersim.report.excerpt import Excerpt

_Function = TypeVar("_Function", bound=Callable[..., Any])
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", re.ASCII)
_MOST_RANKS = 10_000_000


def _window(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Return a window such as ``10ms:25ms``. [ps]"""
    if value is None:
        return None
    from clustersim.scenario.units import parse_time_ps

    begin, colon, end = value.partition(":")
    try:
        begin_ps, end_ps = parse_time_ps(begin), parse_time_ps(end)
    except ValueError as error:
        what = str(error) if colon else "no colon; a window is written such as 10ms:25ms"
        raise click.BadParameter(f"{value!r}: {what}", ctx, param) from None
    if end_ps <= begin_ps:
        raise click.BadParameter(f"{value!r}: a window ends after it begins, such as 10ms:25ms", ctx, param)
    return begin_ps, end_ps


def _ranks(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Return the ranks that a list such as ``0,16-31`` names."""
    if value is None:
        return None
    found: set[int] = set()
    for piece in value.split(","):
        match = _RANGE.fullmatch(piece.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not first <= last < _MOST_RANKS:
            what = f"{value!r}: got {piece!r}; ranks are numbers and ranges of them, such as 0,16-31"
            raise click.BadParameter(what, ctx, param)
        found |= {*range(first, last + 1)}
    return tuple(sorted(found))


def excerpt_options(function: _Function) -> _Function:
    """Return `function` with the options for a part of a run."""
    options = (
        click.option(
            "--trace-max-slices",
            type=click.IntRange(1),
            metavar="N",
            help="Leave out replicas, and in the end time, until a trace, profile or tables hold at most N slices.",
        ),
        click.option("--trace-every", type=click.IntRange(1), default=1, metavar="N", help="Every Nth replica only."),
        click.option("--trace-ranks", metavar="RANKS", callback=_ranks, help="These ranks only, such as 0,16-31."),
        click.option("--trace-window", metavar="START:END", callback=_window, help="This time only: 10ms:25ms."),
    )
    for option in options:
        function = option(function)
    return function


def excerpt_of(
    trace_window: tuple[int, int] | None,
    trace_ranks: tuple[int, ...] | None,
    trace_every: int,
    trace_max_slices: int | None,
    is_written: bool,
) -> Excerpt:
    """Return the part of a run that the options ask for; refuse to choose one where none is written."""
    from clustersim.report.excerpt import WHOLE, Excerpt

    excerpt = Excerpt(trace_window, trace_ranks, trace_every, trace_max_slices)
    if excerpt != WHOLE and not is_written:
        raise click.UsageError("what --trace-... chooses is written by --trace, --kineto or --tables; none is given")
    return excerpt
