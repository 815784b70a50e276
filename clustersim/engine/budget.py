"""Runs simulated time to its end within budgets, and without what would slow it down."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np

from clustersim.engine.clock import EVENTS_BETWEEN_CHECKS, Timeline
from clustersim.errors import InputError, LimitError
from clustersim.limits import Limits
from clustersim.scenario.units import format_size
from clustersim.sums import too_long

_LARGEST_THAT_IS_KEPT = 2**25 - 2**13  # bytes; its pages and their header have to be within 32 MiB


def run_within(limits: Limits, env: Timeline) -> int:
    """Return the number of events that it took until nothing more was scheduled.

    Raises
    ------
    LimitError
        A budget was used up before the end.
    """
    budget = EVENTS_BETWEEN_CHECKS if limits.max_events is None else limits.max_events
    return env.run_to_end(_LimitCheck(limits), min(EVENTS_BETWEEN_CHECKS, budget + 1))


class _LimitCheck:
    """Stops a run that has used up a budget."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.started_s = time.monotonic()

    def __call__(self, num_events: int) -> None:
        limits = self.limits
        if limits.max_events is not None and num_events > limits.max_events:
            raise LimitError(f"stopped after {num_events} events; allowed: --max-events {limits.max_events}")
        if limits.max_wall_s is not None and (wall_s := time.monotonic() - self.started_s) > limits.max_wall_s:
            raise LimitError(f"stopped after {wall_s:.3g} s; allowed: --max-wall {limits.max_wall_s:g}s")
        if limits.max_rss_bytes is not None and (rss_bytes := _rss_bytes()) > limits.max_rss_bytes:
            allowed = format_size(limits.max_rss_bytes).replace(" ", "")
            raise LimitError(f"stopped at {rss_bytes / 2**20:.0f} MiB of memory; allowed: --max-rss {allowed}")


def _rss_bytes() -> int:
    import resource  # not on every platform, and needed only for this limit

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if _reports_bytes() else peak * 1024


def _reports_bytes() -> bool:
    import sys

    return sys.platform == "darwin"


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A run makes no reference cycles, and a collector that walks its live tuples again and again costs half.

    Nor is memory that arrays leave handed back to the system, as far as can be, only to be asked for again.
    """
    _have_freed_memory_kept()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def within_64_bits() -> Iterator[None]:
    """Tell of times that are too long, wherever an array refused them.

    Raises
    ------
    InputError
        A time is too large for 64 bits.
    """
    try:
        yield
    except OverflowError as error:
        raise run_too_long() from error


def run_too_long() -> InputError:
    """Return the error of a run whose times, or those that messages wait at a link in all, are too long."""
    return too_long("times of the run are over 2**62 ps (53 days), the most that is counted")


@cache  # it holds for the rest of the process
def _have_freed_memory_kept() -> None:
    """Let the arrays that come next be made where others were.

    The C library of Linux hands large arrays back to the system once they are freed. New ones then come page by page,
    each set to zeros, which takes longer than most of what is done with them. From the largest that was ever freed, up
    to 32 MiB, it learns what to keep (mallopt(3), M_MMAP_THRESHOLD); this one is never touched, and so costs nothing.
    """
    np.empty(_LARGEST_THAT_IS_KEPT, dtype=np.uint8)
