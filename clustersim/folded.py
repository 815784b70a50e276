"""What a folded trace is made from: one replica of each class, and how many each of its rows stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from clustersim.trace import Ints, Links, Trace


@dataclass(frozen=True, slots=True)
class Copies:
    """How many each row of a folded trace stands for, and where those are."""

    ranks: Ints  # GPUs, for each row of Ranks
    groups: Ints  # groups, for each of Trace.groups
    group_gpus: tuple[tuple[int, ...], ...]  # all members of each group
    streams: tuple[dict[int, int], ...]  # of each way: by row of Links, the streams of all flows that one stands for
    links: Links  # of the whole
    at_links: Callable[[Ints, Ints, Ints], Ints]
    """What rows of Flows lost at rows of Links, each for all that one stands for, summed by links of the whole. [ps]"""


class Folded(NamedTuple):
    """The trace that a folded one was made from."""

    sample: Trace  # one replica of each class
    whole: Callable[[], Trace]  # makes the trace of all GPUs as one that was never folded, once
    rank: Ints  # row of its Ranks that each row of the whole's Ranks is like
    num_replicas: int  # of the whole
    num_programs: int  # classes of replicas that programs, devices and slow hosts alone tell apart
    num_classes: int  # of replicas, with what they meet on links and in groups
    is_all_simulated: bool  # the others were simulated, too, and did what the first of their class did
