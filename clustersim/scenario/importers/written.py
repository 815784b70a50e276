"""Imported sections written as YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from clustersim.scenario.importers.draft import Imported
from clustersim.scenario.scalars import resolve_scalar

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,98}")


def scenario_text(imported: Imported, comment: str) -> str:
    """Return a YAML document of imported sections, to be completed or included by a scenario.

    Examples
    --------
    >>> imported = Imported({"model": {"num_layers": 2, "moe": {"top_k": 1}}}, ("By hand.",))
    >>> print(scenario_text(imported, "A test."), end="")
    # A test.
    # By hand.
    model:
      num_layers: 2
      moe: {top_k: 1}
    """
    lines = [f"# {line}" for line in (comment, *imported.notes)]
    for name, section in imported.sections.items():
        if isinstance(section, Mapping):
            lines += [f"{name}:", *(f"  {key}: {_flow(value)}" for key, value in section.items())]
        else:
            lines.append(f"{name}: {_flow(section)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and resolve_scalar(value) == value:
        return value
    return json.dumps(value)
