"""Where results go: standard output or a file; and progress, on a terminal only."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.options import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType

_FILE_WIDTH = 100


def emit_text(text: str, output: str | None) -> None:
    """Write a document, always as UTF-8: JSON knows no other encoding."""
    if output is None:
        click.echo(text.encode(), nl=False)
    else:
        Path(output).write_text(text, encoding="utf-8", newline="\n")


def emit_json(document: Any, output: str | None) -> None:
    """Write one JSON document."""
    emit_text(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n", output)


def emit_report(report: RenderableType, output: str | None = None) -> None:
    """Draw a report; in a file it has a fixed width and no colours."""
    from clustersim.report.terminal import console_for

    if output is not None:
        with Path(output).open("w", encoding="utf-8", newline="\n") as file:
            console_for(file, _FILE_WIDTH).print(report)
        return
    if not (sys.stdout.encoding or "").lower().startswith("utf") and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name may have characters that the terminal has not
    console_for(sys.stdout).print(report)


def emit_document_or_report(
    document: Any, report_of: Callable[[Any], RenderableType], as_json: bool, output: str | None
) -> None:
    """Write a document as JSON if that is asked for, or the output's name ends so; else the report made of it."""
    if as_json or (output or "").lower().endswith(".json"):
        emit_json(document, output)
    else:
        emit_report(report_of(document), output)


def tell(text: str) -> None:
    """Say something that is no result, unless only results are wanted."""
    if not click.get_current_context().ensure_object(Settings).quiet:
        click.echo(text, err=True)


def tell_more(texts: Iterable[str]) -> None:
    """Say what is said with ``-v`` alone, a line each."""
    if click.get_current_context().ensure_object(Settings).verbose:
        for text in texts:
            click.echo(text, err=True)


@contextmanager
def progress(text: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something goes on, once it has taken a second; yield how to say more."""
    settings = click.get_current_context().ensure_object(Settings)
    if settings.quiet or not sys.stderr.isatty():
        yield lambda _text: None
        return
    from clustersim.report.terminal import console_for, delayed_status

    with delayed_status(console_for(sys.stderr), text) as say:
        yield say
