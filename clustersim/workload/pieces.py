"""What templates are stamped for: the ops of each rank, and the end of its step after them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from clustersim.columns import Numbers, starts
from clustersim.schedules.columns import ActionColumns
from clustersim.workload.templates import Templates


class Pieces(NamedTuple):
    """The pieces of all ranks, in the order of their rows."""

    first: Numbers  # piece of each rank, with one more entry
    template: Numbers  # of each piece
    microbatch: Numbers  # -1 at the end of a step
    of_action: Numbers  # the piece that each action is
    of_end: Numbers  # the piece that each end is
    first_row: Numbers  # of each piece, with one more entry

    @property
    def rank(self) -> Numbers:
        """Rank of each piece."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))


def pieces_of(actions: ActionColumns, templates: Templates) -> Pieces:
    """Return the pieces of a schedule."""
    num_ranks, num_actions = len(actions.first) - 1, len(actions.kind)
    first = actions.first + np.arange(num_ranks + 1)
    of_action, of_end = np.arange(num_actions) + actions.rank, first[1:] - 1
    template, microbatch = (np.empty(num_actions + num_ranks, dtype=np.int64) for _ in range(2))
    template[of_action], microbatch[of_action] = templates.of_action, actions.microbatch
    template[of_end], microbatch[of_end] = templates.of_end, -1
    return Pieces(first, template, microbatch, of_action, of_end, starts(templates.num_rows.take(template)))
