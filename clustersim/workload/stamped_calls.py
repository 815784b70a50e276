"""The calls of pieces to groups: how a step numbers them, and their columns."""

from __future__ import annotations

import numpy as np

from clustersim.columns import CallColumns, Lists, Numbers, PipelineColumns, numbered, starts
from clustersim.schedules.columns import ActionColumns
from clustersim.workload.pieces import Pieces
from clustersim.workload.templates import BEFORE, ONCE, WITHIN, CallsOfRows, Templates


class StampedCalls:
    """The calls of one step: a rank numbers those of its ops in one pass, its end's, then those of its ops in another.

    What a piece calls for in one pass is a batch; batches follow one another in the order of their numbers.
    """

    def __init__(self, actions: ActionColumns, pieces: Pieces, templates: Templates) -> None:
        self.pieces, self.templates = pieces, templates
        first, of_action, ends = actions.first, pieces.of_action, np.arange(len(pieces.of_end))
        # Of a rank with n actions there are n batches, one, and n again.
        before, within = of_action + first[actions.rank], of_action + first[actions.rank + 1] + 1
        once = first[:-1] + first[1:] + ends
        self.piece, count, made_as = (np.empty(2 * len(of_action) + len(ends), dtype=np.int64) for _ in range(3))
        first_made = starts(templates.num_before + templates.num_calls)[:-1]
        for batch, pieces_in, num_calls, offset in (
            (before, of_action, templates.num_before, 0),
            (once, pieces.of_end, templates.num_calls, 0),
            (within, of_action, templates.num_calls, templates.num_before),
        ):
            template = pieces.template[pieces_in]
            self.piece[batch], count[batch] = pieces_in, num_calls[template]
            made_as[batch] = (first_made + offset)[template]
        self.batch_of_call = np.repeat(np.arange(len(count)), count)
        first_call = starts(count)
        # Of the calls of all templates, the one that each call is made as.
        self.made_as = np.arange(len(self.batch_of_call)) + (made_as - first_call[:-1])[self.batch_of_call]
        self.first = np.zeros((3, len(pieces.template)), dtype=np.int64)  # call of each piece in each pass
        self.first[BEFORE, of_action], self.first[WITHIN, of_action] = first_call[before], first_call[within]
        self.first[ONCE] = first_call[once][pieces.rank]

    def of_rows(self, calls: CallsOfRows, row: Numbers) -> Lists:
        """Return calls of rows, given the row of the templates that each is made after; numbered within the replica."""
        template = self.pieces.template
        count, num_pieces = calls.per_template[template], len(template)
        piece = np.repeat(np.arange(num_pieces), count)
        # Which of those of the templates each is.
        call = np.arange(len(piece)) + (starts(calls.per_template)[template] - starts(count)[:-1])[piece]
        first = self.first.reshape(-1)[(calls.of_pass * num_pieces)[call] + piece]
        return Lists(calls.per_row[row], first + calls.number[call])

    def columns(self, step: PipelineColumns) -> CallColumns:
        """Return the columns of the calls, given those of the step."""
        templates, pieces, made_as = self.templates, self.pieces, self.made_as
        axes, axis = numbered(call.axis for call in templates.calls)
        whats, what = numbered((call.operation, call.size_bytes, call.num_repeats) for call in templates.calls)
        kind = np.array([call.kind for call in templates.calls], dtype=np.int64)
        piece = self.piece[self.batch_of_call]
        pp_rank = pieces.rank[piece]
        producer, consumer = (np.empty(len(made_as), dtype=np.int64) for _ in range(2))
        for row_of_call, lists in ((producer, step.joins), (consumer, step.awaits)):
            row_of_call[lists.joined] = np.repeat(np.arange(len(lists.count)), lists.count)
            row_of_call -= step.first_op[pp_rank]
        return CallColumns(
            axes,
            axis[made_as],
            whats,
            what[made_as],
            kind[made_as],
            templates.stage_at[templates.first_stage[pp_rank] + templates.place_of_call[made_as]],
            pieces.microbatch[piece],
            np.broadcast_to(np.int64(0), len(made_as)),
            pp_rank,
            _order(axis[made_as] + len(axes) * pp_rank, step.joins.joined),
            producer,
            consumer,
        )


def _order(place: Numbers, called: Numbers) -> Numbers:
    """Return which one each call is, of those on its place, given calls in the order in which they are made.

    Examples
    --------
    >>> _order(np.array([0, 1, 0]), np.array([2, 1, 0])).tolist()
    [1, 0, 0]
    """
    by_place = called[np.argsort(place[called], kind="stable")]
    order = np.empty(len(place), dtype=np.int64)
    order[by_place] = np.arange(len(place)) - starts(np.bincount(place, minlength=1))[place[by_place]]
    return order
