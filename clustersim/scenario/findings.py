"""Findings: what a rule over several values has to say, on its way through pydantic to a fault with a position."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

from clustersim.scenario.node import Path, dotted

ERROR_TYPE = "findings"


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake in values that are each right by themselves."""

    path: Path
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.what}" + (f" ({self.hint})" if self.hint else "")


def raise_if_any(findings: Iterable[Finding]) -> None:
    """Raise all `findings` as one pydantic error, or return."""
    found = tuple(findings)
    if found:
        text = "; ".join(str(finding) for finding in found)
        raise PydanticCustomError(ERROR_TYPE, "{text}", {"text": text, "findings": found})
