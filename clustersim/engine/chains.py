"""What begins when something else has ended: phases of a collective, and the collectives of a group, after one another.

Where such flows meet others, each that ends later than was taken makes those after it begin later. To find what becomes
of them, one therefore has to know not when each begins, but what it waits for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clustersim.engine.open_flows import FlowKeys, FlowTable
from clustersim.trace import Flags


class Follower(NamedTuple):
    """A flow that begins to drain at max(`queued_ps`, end of the one before it) + `lead_ps`. [ps]"""

    key: int
    queued_ps: int
    lead_ps: int

    def begin_ps(self, end_ps: int) -> int:
        """Return when it begins, if the one before it ends at `end_ps`. [ps]"""
        return max(self.queued_ps, end_ps) + self.lead_ps


def with_followers(table: FlowTable, is_meeting: Flags, keys: FlowKeys) -> tuple[Flags, dict[int, Follower]]:
    """Return which flows meet others or wait for one that does; and what waits for which, by the key of that.

    What was called for when the one before it had ended waits for nothing: if that ends later than was taken, one sees
    it the next time one looks.
    """
    phases = np.flatnonzero(table.key >= keys.first[0])
    group = keys.groups_of(table.key[phases])
    here = np.isin(group, group[is_meeting[phases]])
    order = np.lexsort((table.key[phases[here]], group[here]))  # keys rise with collectives, and with their phases
    rows, group = phases[here][order], group[here][order]
    place = np.arange(len(rows))
    waits = np.zeros(len(rows), dtype=np.bool_)
    waits[1:] = (group[1:] == group[:-1]) & (table.ready_ps[rows[1:]] == table.end_ps[rows[:-1]])
    last_meeting = np.maximum.accumulate(np.where(is_meeting[rows], place, -1))
    first_of_chain = np.maximum.accumulate(np.where(waits, 0, place))
    looked_at = last_meeting >= first_of_chain
    found = is_meeting.copy()
    found[rows[looked_at]] = True
    pairs = np.flatnonzero(waits[1:] & looked_at[:-1])
    followers = {
        int(table.key[before]): _follower(table, before, after, keys)
        for before, after in zip(rows[pairs].tolist(), rows[pairs + 1].tolist(), strict=True)
    }
    return found, followers


def _follower(table: FlowTable, before: int, after: int, keys: FlowKeys) -> Follower:
    key, lead_ps = int(table.key[after]), int(table.begin_ps[after] - table.ready_ps[after])
    vector, number, _, group = keys.phase(key)
    is_first = keys.phase(int(table.key[before]))[1] < number
    return Follower(key, int(vector.queued_ps[number, group]) if is_first else 0, lead_ps)
