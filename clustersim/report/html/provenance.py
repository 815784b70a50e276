"""What makes a page reproducible: versions, hashes, assumptions, and the scenario with the origin of every value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clustersim.report.html.markup import element, name_of
from clustersim.report.html.parts import Section, details, section, table
from clustersim.result import Result
from clustersim.scenario.show import resolved

_LISTED = "constraints"


def provenance_section(result: Result) -> Section:
    """Return where a result comes from."""
    assumptions = [element("li", name_of(text)) for text in result.provenance[_LISTED]]
    rows = [(key, name_of(str(value))) for key, value in _leaves(result.provenance) if value is not None]
    values = [
        (element("code", name_of(row.key)), name_of(row.value), name_of(row.origin))
        for row in resolved(result.scenario)
    ]
    return section(
        "provenance",
        "Provenance",
        element("h3", "Assumptions"),
        element("ul", *assumptions),
        details("Versions and hashes", table("Versions and hashes", ("", ""), rows, class_="texts")),
        details(
            "The scenario, every value with its origin",
            table("The scenario as it was run", ("key", "value", "from"), values, class_="texts"),
        ),
    )


def _leaves(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, entry in value.items():
        if isinstance(entry, Mapping):
            yield from _leaves(entry, f"{path}{key}.")
        elif key != _LISTED:
            yield f"{path}{key}", entry
