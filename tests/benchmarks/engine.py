"""Prints the engine's speed against the simulator that one writes first with SimPy: medians, and ratios pair by pair.

Run it from the checkout: ``python tests/benchmarks/engine.py``. The engine's figure holds everything from lowered programs
to the finished trace; lowering and analysis are printed beside it.
"""

from __future__ import annotations

import gc
import platform
import statistics
import time
from dataclasses import dataclass

from naive import naive_makespan

from clustersim.analysis.bubble import measure_bubble, rank_times
from clustersim.analysis.memory import measure_memory
from clustersim.analysis.waits import find_waits
from clustersim.engine.run import run
from clustersim.ops import Job, Schedule, Shape, StageCosts, StaticBytes
from clustersim.scenario.fabrics import FullMesh
from clustersim.schedules.table import build_schedule
from clustersim.topology.table import build_cluster
from clustersim.workload.lowering import lower

SHAPES = ((8, 64), (64, 64), (64, 512))
FORWARD_PS, BACKWARD_PS, HOLD_PS, LATENCY_PS = 10**9, 2 * 10**9, 5_000, 1_000
MESSAGE_BYTES = 5  # at 1 GB/s, a nanosecond each


@dataclass(frozen=True)
class Measured:
    """One run of one simulator."""

    num_ops: int
    num_events: int
    makespan_ps: int
    wall_s: float
    lowering_s: float = 0.0
    analysis_s: float = 0.0


def _schedule(p: int, m: int) -> Schedule:
    return build_schedule("1f1b", Shape(p, m))


def measured_run(p: int, m: int) -> Measured:
    """Return what the engine takes for 1F1B on private links."""
    schedule = _schedule(p, m)
    link = {"bandwidth": "1 GB/s", "latency": f"{LATENCY_PS} ps"}
    cluster = build_cluster(FullMesh.model_validate({"fabric": "full-mesh", "gpus": p, "link": link}))
    half = BACKWARD_PS // 2
    costs = [StageCosts(FORWARD_PS, half, half, FORWARD_PS + BACKWARD_PS, message_bytes=MESSAGE_BYTES)] * p
    started = time.perf_counter()
    pipeline = lower(schedule, costs)
    lowered = time.perf_counter()
    ranks = tuple(range(p))
    job = Job((pipeline,), (ranks,), (ranks,), static_bytes=((StaticBytes(0, 0, 0),) * p,))
    begun = time.perf_counter()
    trace = run(job, cluster)
    ended = time.perf_counter()
    waits = find_waits(trace)
    measure_bubble(trace, waits, rank_times(trace, waits))
    measure_memory(trace)
    analysed = time.perf_counter()
    num_ops = sum(map(len, schedule.orders))
    return Measured(num_ops, trace.num_events, trace.makespan_ps, ended - begun, lowered - started, analysed - ended)


def naive_run(p: int, m: int) -> Measured:
    """Return what the naive simulator takes for the same."""
    schedule = _schedule(p, m)
    started = time.perf_counter()
    makespan_ps, num_events = naive_makespan(schedule, FORWARD_PS, BACKWARD_PS, HOLD_PS, LATENCY_PS)
    return Measured(sum(map(len, schedule.orders)), num_events, makespan_ps, time.perf_counter() - started)


def main(num_pairs: int = 7) -> None:
    """Print a line a shape."""
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, median of {num_pairs} pairs")
    print(f"{'p x m':>9} {'ops':>7} {'events/op':>9} {'naive':>6} {'engine':>9} {'naive':>9} {'ratio':>6} {'lowering':>9} {'analysis':>9}")
    for p, m in SHAPES:
        pairs = []
        for _ in range(num_pairs):
            gc.collect()
            pairs.append((measured_run(p, m), naive_run(p, m)))
        ours, theirs = pairs[0]
        engine_s, naive_s = (statistics.median(pair[side].wall_s for pair in pairs) for side in (0, 1))
        ratio = statistics.median(naive.wall_s / engine.wall_s for engine, naive in pairs)
        lowering_s = statistics.median(engine.lowering_s for engine, _ in pairs)
        analysis_s = statistics.median(engine.analysis_s for engine, _ in pairs)
        print(
            f"{f'{p} x {m}':>9} {ours.num_ops:>7} {ours.num_events / ours.num_ops:>9.4f} "
            f"{theirs.num_events / theirs.num_ops:>6.2f} {engine_s * 1e3:>6.1f} ms {naive_s * 1e3:>6.1f} ms {ratio:>5.1f}x "
            f"{lowering_s * 1e3:>6.1f} ms {analysis_s * 1e3:>6.1f} ms"
        )


if __name__ == "__main__":
    main()
