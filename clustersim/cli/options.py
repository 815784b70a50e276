"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(slots=True)
class Settings:
    """How much the command line tells; the object of every click context."""

    quiet: bool = False
    verbose: bool = False
    debug: bool = False


def _setting(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and param.name:
        setattr(ctx.ensure_object(Settings), param.name, True)


def common_options(function: _Function) -> _Function:
    """Return `function` with -q, -v and --debug, which may stand before or after the verb."""
    flags = (
        (("--debug",), "Show the traceback of an error."),
        (("-v", "--verbose"), "Tell more: of a run, its engine and its assumptions."),
        (("-q", "--quiet"), "Tell only results and errors."),
    )
    for names, text in flags:
        function = click.option(*names, is_flag=True, expose_value=False, callback=_setting, help=text)(function)
    return function


set_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace a value of the scenario; may be repeated."
)
plugin_option = click.option(
    "--plugin",
    "bindings",
    multiple=True,
    metavar="NAME=MODULE:FUNCTION",
    help="Bind a schedule of your own, which the scenario asks for as {plugin: NAME}; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def _in_a_folder(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
    """Return the path if its folder is there: before a long run, not after it."""
    if path is not None and not Path(path).parent.is_dir():
        raise click.BadParameter(f"there is no folder {str(Path(path).parent)!r}", ctx, param)
    return path


output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True),
    callback=_in_a_folder,
    help="Write to a file in place of standard output.",
)


report_option = click.option(
    "--report",
    type=click.Path(dir_okay=False, writable=True),
    callback=_in_a_folder,
    metavar="FILE.html",
    help="Write a page for a browser as well: one file, which needs no network.",
)
