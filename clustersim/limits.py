"""Budgets of a run, which end it with a clear error rather than a full disk or a lost evening."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of one run; None is no limit."""

    max_events: int | None = None
    max_wall_s: float | None = None
    max_rss_bytes: int | None = None
