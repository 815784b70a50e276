"""Lists of names, in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType

from clustersim.report.terminal import Paragraph


def names_report(document: Mapping[str, Any]) -> RenderableType:
    """Return a line for each name, with its description, from the document of ``list --json``."""
    entries = document["entries"]
    width = max((cell_len(entry["name"]) for entry in entries), default=0) + 2
    return Group(*(Paragraph(entry["description"], indent=width, label=entry["name"]) for entry in entries))
