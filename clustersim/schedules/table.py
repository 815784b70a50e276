"""Every schedule by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clustersim.errors import ScheduleError, nearest
from clustersim.ops import Schedule, Shape, StageCosts
from clustersim.schedules.chimera import chimera, chimera_shape
from clustersim.schedules.dualpipe import dualpipe, dualpipe_shape
from clustersim.schedules.dualpipev import dualpipev, dualpipev_shape
from clustersim.schedules.gpipe import gpipe
from clustersim.schedules.hanayo import hanayo
from clustersim.schedules.interleaved import interleaved_one_f_one_b
from clustersim.schedules.interleaved_zb import interleaved_zb
from clustersim.schedules.looped_bfs import looped_bfs
from clustersim.schedules.one_f_one_b import one_f_one_b
from clustersim.schedules.pipedream import pipedream, pipedream_2bw
from clustersim.schedules.v_half import v_half
from clustersim.schedules.v_min import v_min
from clustersim.schedules.zb_auto import zb_auto
from clustersim.schedules.zb_h1 import zb_h1
from clustersim.schedules.zb_h2 import zb_h2
from clustersim.schedules.zb_v import zb_v

Family = Callable[[Shape, Sequence[StageCosts] | None], Schedule]

SCHEDULES: dict[str, Family] = {
    "gpipe": gpipe,
    "1f1b": one_f_one_b,
    "interleaved-1f1b": interleaved_one_f_one_b,
    "looped-bfs": looped_bfs,
    "zb-h1": zb_h1,
    "zb-h2": zb_h2,
    "interleaved-zb": interleaved_zb,
    "zb-auto": zb_auto,
    "zb-v": zb_v,
    "v-half": v_half,
    "v-min": v_min,
    "dualpipe": dualpipe,
    "dualpipev": dualpipev,
    "chimera": chimera,
    "hanayo": hanayo,
    "pipedream": pipedream,
    "pipedream-2bw": pipedream_2bw,
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


_PARTICULAR: dict[str, Callable[[Shape], Shape]] = {
    "dualpipe": dualpipe_shape,
    "dualpipev": dualpipev_shape,
    "chimera": chimera_shape,
}
"""What schedules that refuse some numbers of ranks and micro-batches ask of a shape."""


def takes_shape(name: str, shape: Shape) -> bool:
    """Return whether a schedule takes so many ranks and micro-batches, whose chunks are right and not in groups.

    Examples
    --------
    >>> takes_shape("dualpipe", Shape(4, 8)), takes_shape("dualpipe", Shape(4, 7))
    (True, False)
    """
    if name not in _PARTICULAR:
        return True
    try:
        _PARTICULAR[name](shape)
    except ScheduleError:
        return False
    return True
