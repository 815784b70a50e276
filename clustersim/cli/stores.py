"""Verbs over the stores that sweeps fill."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.options import common_options, json_option
from clustersim.cli.output import emit_json, emit_report, emit_text, tell

if TYPE_CHECKING:
    from clustersim.planning.store import SweepStore

_STORE = click.Path(dir_okay=False)


@click.command()
@click.argument("stores", metavar="A.db B.db ...", nargs=-1, required=True, type=_STORE)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, writable=True), help="The store of all.")
@common_options
def merge(stores: tuple[str, ...], output: str) -> None:
    """Put the rows of several stores of one sweep, as of shards, into one, and say which points are missing."""
    from clustersim.planning.merge import merged
    from clustersim.planning.store import require_store_name

    require_store_name(Path(output))
    with merged([Path(path) for path in stores], Path(output)) as store:
        tell(f"{output}: {_progress_of(store)}")


@click.command()
@click.argument("store", metavar="RESULTS.db", type=_STORE)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, writable=True),
    help="Write to a .csv, .parquet, .jsonl or .json; CSV on standard output if not given.",
)
@common_options
def export(store: str, output: str | None) -> None:
    """Write the rows of a store as a table: a row a point, axes under their dotted keys, results with their units."""
    from clustersim.report.sweep_files import check_sweep_path, sweep_text, write_sweep

    if output is not None:
        check_sweep_path(Path(output))
    _, found = _read(store)
    if output is None:
        emit_text(sweep_text(found, ".csv"), None)
    else:
        write_sweep(found, Path(output))


@click.command()
@click.argument("store", metavar="RESULTS.db", type=_STORE)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, writable=True), help="Write a page for a browser, .html, or text."
)
@json_option
@common_options
def report(store: str, output: str | None, as_json: bool) -> None:
    """Show the points of a store as `sweep` does, in the terminal or as a page."""
    name, found = _read(store)
    if as_json:
        emit_json(found, output)
    elif output is not None and Path(output).suffix.lower() in (".html", ".htm"):
        from clustersim.report.html.sweep_page import sweep_page

        emit_text(sweep_page(name, found), output)
    else:
        from clustersim.report.terminal_sweep import sweep_report

        emit_report(sweep_report(name, found), output)


def _read(path: str) -> tuple[str, dict[str, Any]]:
    """Return what the scenario of a store is called, and the document of its sweep; tell what is not there yet."""
    from clustersim.planning.store import SweepStore
    from clustersim.planning.sweep import stored

    with SweepStore.open(Path(path)) as store:
        found = stored(store).to_dict()
        if len(found["rows"]) < store.num_points:
            tell(f"{path}: {_progress_of(store)}")
        return store.name, found


def _progress_of(store: SweepStore) -> str:
    """Return how many points of a store are done, and which are missing."""
    from clustersim.planning.merge import missing_ranges

    done = store.positions()
    text = f"{len(done)} of {store.num_points} points are done"
    if missing := missing_ranges(done, store.num_points):
        text += f"; missing: {missing} (`clustersim sweep SCENARIO -o` with this store runs them)"
    return text
