"""What GPUs that go through plain rows note of their times, and the times that follow from it.

A GPU notes the start of each row, some hundred at a time, from an array of Python's: it is added to in little more time
than a list, and keeps no numbers of Python's, which take memory and push others out of the processor's cache. A message
arrives a known time after its op has ended, but for those that may have found a link taken, or went over several; the
arrivals of these are noted one by one.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from clustersim.engine.cohort import Timing
from clustersim.engine.plain_rows import PlainRows
from clustersim.trace import Ints

_NOT_YET = -1


class PlainTimes:
    """The times of one replica. [ps]"""

    def __init__(self, rows: PlainRows) -> None:
        self._rows = rows
        self.starts_ps = np.full(rows.timing.columns.num_rows, _NOT_YET, dtype=np.int64)
        self.arrived_ps: dict[int, Any] = {}  # of messages of which it does not follow from the end of their op
        self.started_ps: dict[int, Any] = {}  # of messages that went over several links

    def none_yet(self) -> array[Any]:
        """Return an empty array, which takes the times of usual rows until they are noted."""
        return array("d" if self._rows.number is float else "q")

    def note(self, rows: slice, starts_ps: array[Any]) -> None:
        """Note the starts of usual rows, and empty the array of them."""
        self.starts_ps[rows] = np.frombuffer(starts_ps, dtype=starts_ps.typecode)
        del starts_ps[:]

    def note_ends(self, rows: slice, ends_ps: array[Any]) -> None:
        """Note the ends of usual rows, and empty the array of them."""
        self.note(rows, ends_ps)
        self.starts_ps[rows] -= self._rows.timing.columns.duration_ps[rows]

    def of_messages(self) -> tuple[Ints, Ints]:
        """Return when the first link took each message, and when it arrived. [ps]"""
        timing = self._rows.timing
        columns, way_of_message = timing.columns, timing.way_of_message
        ended = (self.starts_ps + columns.duration_ps).take(columns.producer)
        took_ps = _took_ps(timing).take(way_of_message)
        arrived = ended + took_ps
        arrived[list(self.arrived_ps)] = list(self.arrived_ps.values())
        started = arrived - took_ps
        started[list(self.started_ps)] = list(self.started_ps.values())
        return started, arrived

    def num_begun(self, pp_rank: int, arrived_ps: Ints) -> int:
        """Return how many rows a rank began in a run that is over, given what arrived; see :class:`PlainRows`."""
        rows = self._rows.timing.rows(pp_rank)
        # Of usual rows those since the last that were noted have begun if what they need is there.
        is_stuck = (self.starts_ps[rows] == _NOT_YET) & self._rows.may_wait(rows, arrived_ps)
        return int(np.argmax(np.append(is_stuck, True)))


def _took_ps(timing: Timing) -> Ints:
    """Return how long a message of each way takes that finds all links free. [ps]"""
    return np.array([sum(hold + latency for _, hold, latency in way) for way in timing.ways], dtype=np.int64)
