"""Options of a sweep: which points it has, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])

_AXIS_HINT = "an axis is a key and its values; write --axis batch.num_microbatches=4,8"


def sweep_options(function: _Function) -> Any:
    """Return `function` with the options that say which points a sweep has, as `axes` and the keywords in `parts`."""

    @wraps(function)
    def with_parts(
        *args: Any, linked: tuple[str, ...], where: tuple[str, ...], samples: str | None, **rest: Any
    ) -> Any:
        groups = [[axis.strip() for axis in group.split(",")] for group in linked]
        parts = {"linked": groups, "where": where, "samples": _parsed_samples(samples)}
        return function(*args, parts=parts, **rest)

    options = (
        click.option(
            "--axis",
            "axes",
            multiple=True,
            metavar="KEY=A,B",
            help="Values of a key, or {range: {start: 1, stop: 64, factor: 2}}; adds to the file's sweep.axes.",
        ),
        click.option("--linked", multiple=True, metavar="KEY,KEY", help="Axes that go together, not crossed."),
        click.option(
            "--where",
            multiple=True,
            metavar="EXPR",
            help="Leave out all other points: 'parallelism.tp * parallelism.pp <= 64'; quantities in quotes.",
        ),
        click.option(
            "--samples",
            metavar="KIND=N",
            help="N points: random=N or latin-hypercube=N, by the scenario's seed.",
        ),
    )
    found: Any = with_parts
    for option in reversed(options):
        found = option(found)
    return found


def executor_option(function: _Function) -> Any:
    """Return `function` with the options that say what runs points, as the keywords in `running`."""

    @wraps(function)
    def with_running(
        *args: Any, jobs: int | None, executor: str | None, shard: str, retry_failed: bool, **rest: Any
    ) -> Any:
        running = {
            "jobs": jobs,
            "executor": _factory(executor) if executor else None,
            "shard": shard,
            "retry_failed": retry_failed,
        }
        return function(*args, running=running, **rest)

    options = (
        click.option(
            "--jobs",
            type=click.IntRange(1),
            metavar="N",
            help="Processes; absent: as many as there are processors.",
        ),
        click.option(
            "--executor",
            metavar="MODULE:FACTORY",
            help="Run points on the concurrent.futures.Executor that this makes, which gets two tasks a job.",
        ),
        click.option("--shard", default="1/1", metavar="I/N", help="Run every N-th point only, from the I-th on."),
        click.option("--retry-failed", is_flag=True, help="Run points again that have failed rows in the store."),
    )
    found: Any = with_running
    for option in reversed(options):
        found = option(found)
    return found


def parsed_axes(texts: Sequence[str]) -> dict[str, Any]:
    """Return the values, or the spread, that each ``key=a,b`` gives, read as YAML."""
    from clustersim.scenario.node import plain
    from clustersim.scenario.read_yaml import read_yaml
    from clustersim.scenario.spread import is_spread
    from clustersim.scenario.text import Text

    axes: dict[str, Any] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        if not equals or not key.strip() or not values.strip():
            raise click.UsageError(f"--axis {text}: {_AXIS_HINT}")
        listed = values if values.strip().startswith("[") else f"[{values}]"
        value = plain(read_yaml(Text(f"--axis {text}", listed)))
        found = value if isinstance(value, tuple) else (value,)
        axes[key.strip()] = found[0] if len(found) == 1 and is_spread(found[0]) else found
    return axes


def _parsed_samples(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    kind, _, number = text.partition("=")
    if not number.strip().isdecimal():
        raise click.UsageError(f"--samples {text}: write --samples random=100 or --samples latin-hypercube=100")
    return {kind.strip(): int(number)}


def _factory(text: str) -> Any:
    """Return what ``module:factory`` names."""
    from clustersim.cli.plugins import imported

    module, colon, factory = text.partition(":")
    if not colon or not module or not factory:
        raise click.UsageError(
            f"--executor {text}: write --executor module:factory, such as concurrent.futures:ThreadPoolExecutor"
        )
    return imported(module, factory, f"--executor {text}")
