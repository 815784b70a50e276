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
    rank: Numbers
    of_action: Numbers  # the piece that each action is
    of_end: Numbers  # the piece that each end is
    num_rows: Numbers  # of each piece
    first_row: Numbers  # of each piece, with one more entry


def pieces_of(actions: ActionColumns, templates: Templates) -> Pieces:
    """Return the pieces of a schedule."""
    num_ranks, num_actions = len(actions.first) - 1, len(actions.kind)
    first = actions.first + np.arange(num_ranks + 1)
    of_action, of_end = np.arange(num_actions) + actions.rank, first[1:] - 1
    template, microbatch = (np.empty(num_actions + num_ranks, dtype=np.int64) for _ in range(2))
    template[of_action], microbatch[of_action] = templates.of_action, actions.microbatch
    template[of_end], microbatch[of_end] = templates.of_end, -1
    rank = np.repeat(np.arange(num_ranks), np.diff(first))
    num_rows = templates.num_rows.take(template)
    return Pieces(first, template, microbatch, rank, of_action, of_end, num_rows, starts(num_rows))
