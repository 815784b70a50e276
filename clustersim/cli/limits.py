"""Budgets of a run, as options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])


def seconds_of(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return a time such as ``10s``, or a plain number of seconds. [s]"""
    from clustersim.scenario.units import PS_PER_S, parse_time_ps

    if value is None:
        return None
    try:
        return parse_time_ps(f"{value} s" if value.replace(".", "", 1).isdecimal() else value) / PS_PER_S
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def _bytes(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return a size such as ``4GiB``. [bytes]"""
    from clustersim.scenario.units import parse_size_bytes

    if value is None:
        return None
    try:
        return parse_size_bytes(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def limit_options(function: _Function) -> _Function:
    """Return `function` with the budgets of a simulation as options, which it gets as `limits`.

    Where one is used up, the exit code is 6.
    """

    @wraps(function)
    def with_limits(
        *args: Any, max_events: int | None, max_wall: float | None, max_rss: int | None, **others: Any
    ) -> Any:
        from clustersim.limits import Limits

        return function(*args, limits=Limits(max_events, max_wall, max_rss), **others)

    options = (
        click.option("--max-rss", metavar="SIZE", callback=_bytes, help="Stop at so much memory, such as 4GiB."),
        click.option("--max-wall", metavar="TIME", callback=seconds_of, help="Stop after a time, such as 10s."),
        click.option("--max-events", type=click.IntRange(1), metavar="N", help="Stop after so many events."),
    )
    found = cast(_Function, with_limits)
    for option in options:
        found = option(found)
    return found
