"""What the engine tests share: run a schedule on private links, without a scenario file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from clustersim.engine.run import run
from clustersim.ops import Job, Schedule, Shape, StageCosts, StaticBytes
from clustersim.scenario.fabrics import FullMesh
from clustersim.schedules.table import build_schedule
from clustersim.topology.table import build_cluster
from clustersim.trace import Trace
from clustersim.workload.lowering import lower
from clustersim.workload.step_rows import StepOptions


def equal_costs(num_stages: int, forward: int, input_grad: int, weight_grad: int, **others: int) -> list[StageCosts]:
    """Return the same costs for every stage."""
    overlapped = forward + input_grad + weight_grad
    return [StageCosts(forward, input_grad, weight_grad, overlapped, **others)] * num_stages


def run_schedule(
    schedule: Schedule,
    costs: Sequence[StageCosts],
    latency_ps: int = 0,
    bandwidth: str | None = None,
    options: StepOptions | None = None,
    last_fraction: Fraction = Fraction(1),
    engine: str | None = None,
) -> Trace:
    """Return the trace of a schedule on a full mesh, where every pair of ranks has its own link."""
    num_ranks = len(schedule.orders)
    options = options or StepOptions()
    link = {"latency": f"{latency_ps} ps"} | ({"bandwidth": bandwidth} if bandwidth else {})
    cluster = build_cluster(FullMesh.model_validate({"fabric": "full-mesh", "gpus": max(2, num_ranks), "link": link}))
    pipeline = lower(schedule, costs, last_fraction, options)
    ranks = tuple(range(num_ranks))
    no_memory = (StaticBytes(0, 0, 0),) * num_ranks
    job = Job((pipeline,), (ranks,), (ranks,), options.blocking, options.num_steps, (no_memory,))
    return run(job, cluster, engine=engine)


def makespan(
    name: str,
    shape: Shape,
    times: tuple[int, int, int],
    latency_ps: int = 0,
    blocking: bool = False,
) -> int:
    """Return the makespan of a named schedule with F, I and W per rank as given; a chunk takes 1/v of each. [ps]"""
    schedule = build_schedule(name, shape)
    forward, input_grad, weight_grad = (time // shape.num_chunks for time in times)
    costs = equal_costs(schedule.num_stages, forward, input_grad, weight_grad)
    return run_schedule(schedule, costs, latency_ps, options=StepOptions(blocking=blocking)).makespan_ps
