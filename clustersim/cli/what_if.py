"""The option that asks what a better resource would change."""

from __future__ import annotations

from fractions import Fraction

import click

_RESOURCES = ("compute", "scale-up", "network", "latency")  # as analysis.sensitivity has them, which loads numpy
_ALL = "all"
_DEFAULT_FACTOR = "1.1"
_LARGEST_FACTOR = 1000


def _changes(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Fraction]:
    """Return by which factor each resource that the values name is to be better."""
    changes: dict[str, Fraction] = {}
    for value in values:
        name, _, factor = value.partition("=")
        if name not in (*_RESOURCES, _ALL):
            allowed = ", ".join((*_RESOURCES, _ALL))
            raise click.BadParameter(f"{value!r}: there is no resource {name!r}; allowed: {allowed}", ctx, param)
        changes |= dict.fromkeys(_RESOURCES if name == _ALL else (name,), _factor(ctx, param, value, factor))
    return changes


def _factor(ctx: click.Context, param: click.Parameter, value: str, text: str) -> Fraction:
    try:
        factor = Fraction(text or _DEFAULT_FACTOR)
    except (ValueError, ZeroDivisionError):
        factor = Fraction(0)
    if not 1 < factor <= _LARGEST_FACTOR:
        what = f"{value!r}: got {text!r}; a factor is a number above 1, to {_LARGEST_FACTOR}, such as 1.1"
        raise click.BadParameter(what, ctx, param)
    return factor


what_if_option = click.option(
    "--what-if",
    "changes",
    multiple=True,
    metavar="RESOURCE[=FACTOR]",
    callback=_changes,
    help="Run again with a resource so many times as good (1.1): compute, scale-up, network, latency, or all of them "
    "in turn; may be repeated.",
)
