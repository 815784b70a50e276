"""Orders that users bring: from a file in PyTorch's CSV form, or from a function of their own (a plugin).

Both are read into a Schedule by one reader, and must have the shape that is to be run. Like every schedule they then
pass the checker.
"""

from __future__ import annotations

from collections.abc import Sequence
from traceback import extract_tb

from clustersim.errors import ClustersimError, ScheduleError
from clustersim.ops import Action, Overlap, Plugin, Schedule, Shape, StageCosts
from clustersim.schedules.columns import ColumnOrders
from clustersim.schedules.torch_csv import schedule_from_rows


def plugin_schedule(name: str, function: Plugin, shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:
    """Return the schedule that a user's function makes for `shape`.

    Parameters
    ----------
    name
        What messages call the schedule.
    function
        Given the shape and, where they are known, the costs of a micro-batch on each stage, it returns a Schedule, or
        for each rank a list of actions as PyTorch writes them: ``[["0F0", "0B0"], ["1F0", "1B0"]]``. A Schedule
        may have two chains, stages 0 to p - 1 and p to 2p - 1; rows are one chain.
    shape
        What is to be ordered.
    costs
        ``costs[stage]`` of the stages as loop and V schedules place them.

    Raises
    ------
    ScheduleError
        The function failed, refused the shape, or returned something else; the message says where in it.
    """
    try:
        returned = function(shape, costs)
    except ClustersimError as error:
        raise ScheduleError(f"{name}: {error}") from error
    except (Exception, SystemExit) as error:
        raise ScheduleError(f"{name}: the plugin failed{_place_of(error)}: {_in_words(error)}") from error
    schedule = _returned_schedule(name, returned)
    require_shape(schedule, shape)
    return schedule


def require_shape(schedule: Schedule, shape: Shape) -> None:
    """Raise ScheduleError if a schedule that a user brought is not one of `shape`; one chunk stands for any number."""
    name, own = schedule.name, schedule.shape
    if own.num_ranks != shape.num_ranks:
        raise ScheduleError(f"{name}: the order has {own.num_ranks} rows, one a rank; pp = {shape.num_ranks}")
    if shape.num_chunks not in (1, own.num_chunks):
        raise ScheduleError(
            f"{name}: the order has {own.num_chunks} stages a rank; vpp = {shape.num_chunks}; "
            "leave vpp out to take what the order has"
        )
    if own.num_microbatches != shape.num_microbatches:
        raise ScheduleError(
            f"{name}: the order has {own.num_microbatches} micro-batches; {shape.num_microbatches} are to be run "
            f"by each replica; take num_microbatches = {own.num_microbatches}{_hint(schedule, shape)}"
        )


def _hint(schedule: Schedule, shape: Shape) -> str:
    """Return what to try if the micro-batches seem to be counted over the wrong number of chains."""
    found, asked, num_chains = schedule.shape.num_microbatches, shape.num_microbatches, len(schedule.chains)
    if num_chains == 1 and asked == 2 * found and schedule.shape.num_chunks == 2:
        return ", or `chains: 2` if the second half of the stages is a second replica of the first"
    if num_chains == 2 and found == 2 * asked:
        return ", or leave `chains` out if a micro-batch passes all stages"
    return ""


def _returned_schedule(name: str, returned: object) -> Schedule:
    """Return what a plugin returned, read like a file, so that nothing malformed gets any further."""
    if not isinstance(returned, Schedule):
        return schedule_from_rows(_rows(name, returned), name)
    num_chains = len(returned.chains)
    if num_chains not in (1, 2):
        raise ScheduleError(f"{name}: the plugin's schedule has {num_chains} chains; allowed: 1 or 2")
    if not returned.flush or returned.optimizer_after != "step" or returned.weight_versions is not None:
        raise ScheduleError(f"{name}: a plugin orders one training step, which ends with a flush")
    schedule = schedule_from_rows(_rows(name, returned.orders), name, num_chains)
    for what in ("rank_by_stage", "chains"):
        said, meant = getattr(returned, what), getattr(schedule, what)
        if said != meant:
            raise ScheduleError(f"{name}: the plugin's schedule says {what} = {said}; its orders mean {meant}")
    return schedule


def _rows(name: str, orders: object) -> list[list[str]]:
    wanted = "wanted: a Schedule, or a list of actions for each rank, such as [['0F0', '0B0'], ['1F0', '1B0']]"
    if not isinstance(orders, list | tuple | ColumnOrders):
        raise ScheduleError(f"{name}: the plugin returned {_described(orders)}; {wanted}")
    rows = []
    for rank, order in enumerate(orders):
        if not isinstance(order, list | tuple):
            raise ScheduleError(f"{name}: the plugin returned {_described(order)} for rank {rank}; {wanted}")
        rows.append([_cell(name, rank, cell, slot) for cell, slot in enumerate(order)])
    return rows


def _cell(name: str, rank: int, cell: int, slot: object) -> str:
    try:
        if slot is None or isinstance(slot, str | Action | Overlap):
            return "" if slot is None else str(slot)
    except AttributeError:  # an action whose kind is no Kind has no text
        pass
    what = f"row {rank + 1}, cell {cell + 1}: the plugin returned {_described(slot)}"
    raise ScheduleError(f"{name}: {what}; wanted: an action such as '0F0', or None where the rank idles")


def _described(value: object) -> str:
    shown = repr(value)
    return f"{shown[:60]}{'...' if len(shown) > 60 else ''} ({type(value).__name__})"


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _place_of(error: BaseException) -> str:
    """Return the file and line in which a plugin failed; nothing if it could not even be called."""
    frames = extract_tb(error.__traceback__)[1:]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
