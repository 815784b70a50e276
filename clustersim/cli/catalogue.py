"""The verb that lists what comes with clustersim."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clustersim.cli.options import common_options, json_option, output_option
from clustersim.cli.output import emit_document_or_report

if TYPE_CHECKING:
    from clustersim.scenario.gallery import Kind

Entry = dict[str, Any]
"""What is told of one name: ``name`` and ``description``, and more where there is more."""


def _schedules() -> list[Entry]:
    from clustersim.schedules.table import SCHEDULES

    return [
        {"name": name, "description": _sentence((family.__doc__ or "").partition("\n")[0].removeprefix("Return "))}
        for name, family in SCHEDULES.items()
    ]


def _with_comments(kind: Kind) -> list[Entry]:
    """Return the names of a kind of gallery file, each with the first line of its opening comment."""
    from clustersim.scenario.gallery import gallery_file, gallery_names

    paths = {name: gallery_file(kind, name) for name in gallery_names(kind)}
    return [{"name": name, "description": _first_comment(path) if path else ""} for name, path in paths.items()]


def _devices() -> list[Entry]:
    from clustersim.scenario.devices import device_names, load_device
    from clustersim.scenario.units import format_size

    devices = [load_device(name) for name in device_names()]
    return [
        {
            "name": device.name,
            "description": f"{device.vendor}, {format_size(device.memory)}",
            "memory_bytes": device.memory,
        }
        for device in devices
    ]


def _scenarios() -> list[Entry]:
    from clustersim.scenario.document import read_document
    from clustersim.scenario.gallery import gallery_file, gallery_names
    from clustersim.scenario.node import plain

    entries = []
    for name in gallery_names("scenarios"):
        path = gallery_file("scenarios", name)
        values: Any = plain(read_document(path).root) if path else {}
        entries.append({"name": name, "description": str(values.get("name", ""))})
    return entries


def _models() -> list[Entry]:
    from clustersim.scenario.gallery import gallery_file
    from clustersim.scenario.models import load_model, model_names
    from clustersim.workload.model.parameters import active_parameters, parameters

    entries = []
    for name in model_names():
        path, model = gallery_file("models", name), load_model(name)
        counts = {"parameters": parameters(model).total, "active_parameters": active_parameters(model)}
        entries.append({"name": name, "description": _first_comment(path) if path else "", **counts})
    return entries


KINDS: dict[str, Callable[[], list[Entry]]] = {
    "schedules": _schedules,
    "topologies": partial(_with_comments, "topologies"),
    "models": _models,
    "devices": _devices,
    "scenarios": _scenarios,
    "economics": partial(_with_comments, "economics"),
}


@click.command(
    name="list",
    help=f"List the names that a scenario or a command may use. KIND is one of {', '.join(KINDS)}.",
)
@click.argument("kind", type=click.Choice(list(KINDS)), metavar="KIND")
@json_option
@output_option
@common_options
def list_names(kind: str, as_json: bool, output: str | None) -> None:
    """List the names that a scenario or a command may use."""
    from clustersim.report.terminal_catalogue import names_report

    document = {"schema": f"clustersim/list-{kind}/1", "entries": KINDS[kind]()}
    emit_document_or_report(document, names_report, as_json, output)


def _first_comment(path: Path) -> str:
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
