"""Prints the engine's speed against the simulator that one writes first with SimPy: medians, and ratios pair by pair.

Run it from the checkout: ``python tests/benchmarks/engine.py``. `engine` is the simulation itself, as `naive` is; what
comes before and after it is printed beside.
"""

from __future__ import annotations

import gc
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from naive import naive_makespan

from clustersim.analysis.bubble import measure_bubble, rank_times
from clustersim.analysis.memory import measure_memory
from clustersim.analysis.waits import find_waits
from clustersim.engine.run import Engine
from clustersim.limits import Limits
from clustersim.ops import Job, Schedule, Shape, StageCosts, StaticBytes
from clustersim.scenario.fabrics import FullMesh
from clustersim.schedules.table import build_schedule
from clustersim.topology.table import build_cluster
from clustersim.workload.lowering import lower

SHAPES = ((8, 64), (64, 64), (64, 512))
FORWARD_PS, BACKWARD_PS, HOLD_PS, LATENCY_PS = 10**9, 2 * 10**9, 5_000, 1_000
MESSAGE_BYTES = 5  # at 1 GB/s, a nanosecond each
PARTS = ("lowering", "set-up", "trace", "analysis")


@dataclass(frozen=True)
class Measured:
    """One run of one simulator."""

    num_ops: int
    num_events: int
    makespan_ps: int
    simulation_s: float
    other_parts_s: dict[str, float] = field(default_factory=dict)


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
    engine = Engine(job, cluster)
    prepared = time.perf_counter()
    engine.run_to_end(Limits())
    simulated = time.perf_counter()
    trace = engine.trace()
    ended = time.perf_counter()
    waits = find_waits(trace)
    measure_bubble(trace, waits, rank_times(trace, waits))
    measure_memory(trace)
    analysed = time.perf_counter()
    num_ops = sum(map(len, schedule.orders))
    parts = {
        "lowering": lowered - started,
        "set-up": prepared - begun,
        "trace": ended - simulated,
        "analysis": analysed - ended,
    }
    return Measured(num_ops, trace.num_events, trace.makespan_ps, simulated - prepared, parts)


def naive_run(p: int, m: int) -> Measured:
    """Return what the naive simulator takes for the same."""
    schedule = _schedule(p, m)
    started = time.perf_counter()
    makespan_ps, num_events = naive_makespan(schedule, FORWARD_PS, BACKWARD_PS, HOLD_PS, LATENCY_PS)
    return Measured(sum(map(len, schedule.orders)), num_events, makespan_ps, time.perf_counter() - started)


def main(num_pairs: int = 7) -> None:
    """Print a line a shape."""
    print(f"{platform.python_implementation()} {platform.python_version()} on {platform.machine()}")
    print(f"medians of {num_pairs} pairs [ms]; `all` is `engine` with lowering, set-up, trace and analysis\n")
    titles = ("p x m", "ops", "events/op", "naive's", "engine", "naive", "ratio", "all", "ratio", *PARTS)
    print("".join(f"{title:>10}" for title in titles))
    for p, m in SHAPES:
        pairs = [(quietly(measured_run, p, m), quietly(naive_run, p, m)) for _ in range(num_pairs)]
        ours, theirs = pairs[0]
        cells = [f"{p} x {m}", ours.num_ops, f"{ours.num_events / ours.num_ops:.4f}"]
        cells += [f"{theirs.num_events / theirs.num_ops:.2f}", *_times(pairs, lambda run: run.simulation_s)]
        cells += _times(pairs, lambda run: run.simulation_s + sum(run.other_parts_s.values()))[::2]
        cells += [f"{1e3 * statistics.median(run.other_parts_s[part] for run, _ in pairs):.1f}" for part in PARTS]
        print("".join(f"{cell:>10}" for cell in cells))


def quietly(simulator: Callable[[int, int], Measured], p: int, m: int) -> Measured:
    """Return a run without the garbage collector, which neither simulator needs."""
    gc.collect()
    gc.disable()
    try:
        return simulator(p, m)
    finally:
        gc.enable()


def _times(pairs: list[tuple[Measured, Measured]], time_of: Callable[[Measured], float]) -> list[str]:
    """Return our median, the naive one's, and the median of the ratios."""
    ours, naive = (statistics.median(time_of(pair[side]) for pair in pairs) for side in (0, 1))
    ratio = statistics.median(time_of(theirs) / time_of(mine) for mine, theirs in pairs)
    return [f"{1e3 * ours:.1f}", f"{1e3 * naive:.1f}", f"{ratio:.1f}x"]


if __name__ == "__main__":
    main()
