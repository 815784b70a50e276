"""Options of the verbs that ask questions of a plan, and how their answers end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from clustersim.cli.limits import limit_options
from clustersim.cli.options import common_options, json_option, output_option, plugin_option, set_option

if TYPE_CHECKING:
    from clustersim.limits import Limits
    from clustersim.planning.point import Runner

UNMET = 3
"""No answer meets the limit; the nearest is printed."""
_Function = TypeVar("_Function", bound=Callable[..., Any])


def question_options(function: _Function) -> _Function:
    """Return `function` with the options of all verbs that ask questions of a plan."""
    for option in (common_options, limit_options, plugin_option, set_option, output_option, json_option):
        function = option(function)
    return function


def tokens_of(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return a number of tokens such as ``300B tokens``, ``300B`` or ``3e11``."""
    from clustersim.scenario.units import parse_tokens

    if value is None:
        return None
    text = value if value.rstrip().endswith("tokens") else f"{value} tokens"
    try:
        return parse_tokens(text)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def _date(ctx: click.Context, param: click.Parameter, value: str | None) -> date | None:
    try:
        return None if value is None else date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"got {value!r}; a date is written such as 2027-03-01", ctx, param) from None


def _days(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter(f"got {value}; a number of days is above 0", ctx, param)
    return value


def time_options(function: _Function) -> _Function:
    """Return `function` with --days, --by and --from, by which a training must be done."""
    options = (
        click.option("--from", "start", metavar="DATE", callback=_date, help="Day on which it begins; absent: today."),
        click.option("--by", "end", metavar="DATE", callback=_date, help="Day by which it must be done: 2027-03-01."),
        click.option("--days", type=float, callback=_days, help="Days that it may take."),
    )
    for option in options:
        function = option(function)
    return function


def limit_s_of(days: float | None, start: date | None, end: date | None) -> float | None:
    """Return how long a training may take, None if nothing says. [s]"""
    from clustersim.scenario.units import DAY_S

    if days is not None and (start or end):
        raise click.UsageError("give --days, or --by with --from, not both")
    if days is not None:
        return days * DAY_S
    if end is None:
        if start is not None:
            raise click.UsageError("--from needs --by")
        return None
    begin = start or datetime.now(UTC).date()
    if end <= begin:
        raise click.UsageError(f"--by {end} is not after {begin}, when it begins")
    return float((end - begin).days * DAY_S)


def numbers_of(ctx: click.Context, param: click.Parameter, value: str) -> list[int]:
    """Return numbers of GPUs: ``64:4096``, each twice the one before, or ``64,96,128``."""
    from clustersim.planning.growth import doubled

    try:
        numbers = [int(part) for part in value.replace(":", ",").split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1 or (":" in value and (len(numbers) != 2 or numbers[0] > numbers[1])):
        what = f"got {value!r}; numbers of GPUs are written such as 64:4096, each twice the one before, or 64,96,128"
        raise click.BadParameter(what, ctx, param)
    return list(doubled(*numbers)) if ":" in value else sorted(set(numbers))


def names_of(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    """Return names that are joined by commas."""
    if value is None:
        return None
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names:
        raise click.BadParameter(f"got {value!r}; names are joined by commas", ctx, param)
    return names


def runner_of(bindings: Sequence[str], limits: Limits) -> Runner:
    """Return how the configurations of a question are run."""
    from clustersim.cli.plugins import load_plugins
    from clustersim.planning.point import Runner

    return Runner(None, limits, load_plugins(tuple(bindings)))
