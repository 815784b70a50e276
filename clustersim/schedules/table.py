"""Every schedule by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clustersim.errors import ScheduleError, nearest
from clustersim.ops import Schedule, Shape, StageCosts
from clustersim.schedules.gpipe import gpipe
from clustersim.schedules.interleaved import interleaved_one_f_one_b
from clustersim.schedules.one_f_one_b import one_f_one_b
from clustersim.schedules.zb_h1 import zb_h1

Family = Callable[[Shape, Sequence[StageCosts] | None], Schedule]

SCHEDULES: dict[str, Family] = {
    "gpipe": gpipe,
    "1f1b": one_f_one_b,
    "interleaved-1f1b": interleaved_one_f_one_b,
    "zb-h1": zb_h1,
}


def build_schedule(name: str, shape: Shape, costs: Sequence[StageCosts] | None = None) -> Schedule:
    """Return the schedule called `name` for `shape`.

    Raises
    ------
    ScheduleError
        The name is unknown, or the schedule refuses the shape (the message names the rule).
    """
    if name not in SCHEDULES:
        hint = nearest(name, list(SCHEDULES)) or f"allowed: {', '.join(SCHEDULES)}"
        raise ScheduleError(f"unknown schedule '{name}'; {hint}")
    return SCHEDULES[name](shape, costs)
