"""The threads of a timeline: what overlaps is spread over lanes, so that the slices of each follow one another."""

from __future__ import annotations

import numpy as np

from clustersim.report.viewer import Thread
from clustersim.trace import Ints


class Threads:
    """The threads so far."""

    def __init__(self) -> None:
        self.threads: list[Thread] = []

    def add(self, processes: Ints, lanes: Ints, name: str) -> Ints:
        """Return the thread of each row, given its process and its lane there; what has no row has no thread."""
        num_lanes = int(lanes.max(initial=0)) + 1
        keys = processes * num_lanes + lanes
        first = int(keys.min()) if len(keys) else 0
        is_used = np.bincount(keys - first) > 0
        thread_by_key = np.cumsum(is_used) - 1 + len(self.threads)
        for key in np.flatnonzero(is_used).tolist():
            process, lane = divmod(key + first, num_lanes)
            self.threads.append(Thread(process, f"{name} {lane + 1}" if lane else name))
        return np.asarray(thread_by_key[keys - first], dtype=np.int64)


def in_lanes(process: Ints, start_ps: Ints, end_ps: Ints, threads: Threads, name: str) -> tuple[Ints, Ints]:
    """Return the order in which intervals stand thread by thread, and the thread of each in that order."""
    order = np.lexsort((end_ps, start_ps, process))
    thread = threads.add(process[order], lanes(process[order], start_ps[order], end_ps[order]), name)
    by_thread = np.argsort(thread, kind="stable")
    return order[by_thread].astype(np.int64), thread[by_thread]


def lanes(group: Ints, start_ps: Ints, end_ps: Ints) -> Ints:
    """Return a lane for each interval, so that those of a group in one lane do not overlap.

    Intervals stand by group, then by start. Each is taken to last until all before it have ended; if no more than n are
    then under way at one time, the n lanes can take turns.

    Examples
    --------
    >>> lanes(np.zeros(3, dtype=np.int64), np.array([0, 5, 10]), np.array([6, 11, 12])).tolist()
    [0, 1, 0]
    """
    if not len(group):
        return group
    times_ps = np.sort(np.concatenate([start_ps, end_ps]))
    span = len(times_ps) + 1
    start, end = (group * span + np.searchsorted(times_ps, column) for column in (start_ps, end_ps))
    until = np.maximum.accumulate(end)
    first = np.searchsorted(group, group)
    place = np.arange(len(group)) - first
    num_ended = np.maximum(np.searchsorted(until, start, side="right") - first, 0)
    # Of intervals that take no time, those that start together have all ended by then.
    under_way = np.maximum(place - num_ended, 0) + 1
    most = np.zeros(int(group[-1]) + 1, dtype=np.int64)
    np.maximum.at(most, group, under_way)
    return place % most[group]
