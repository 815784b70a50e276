"""Random small scenarios for folding: fabrics, schedules, axes, slow hosts, shared and FIFO links."""

from __future__ import annotations

from random import Random
from typing import Any

_SCHEDULES = ("1f1b", "1f1b", "gpipe", "zb-h1", "interleaved-1f1b", "zb-v", "dualpipe", "pipedream-2bw", "chimera")
_NEEDS_MANY = ("dualpipe", "pipedream-2bw", "chimera")  # micro-batches, and an even number of ranks
_CAN_BLOCK = ("1f1b", "gpipe", "interleaved-1f1b")


def drawn_scenario(seed: int) -> dict[str, Any]:
    """Return a scenario of up to 256 GPUs."""
    draw = Random(seed)
    axes = {"tp": draw.choice([1, 1, 2, 4]), "pp": draw.choice([1, 2, 3, 4]), "dp": draw.choice([1, 2, 4, 8])}
    axes["cp"] = draw.choice([1, 1, 1, 2])
    schedule = draw.choice(_SCHEDULES)
    if schedule in _NEEDS_MANY:
        axes["pp"] = 2
    scenario: dict[str, Any] = {
        "version": 1,
        "stage_costs": _costs(draw, axes),
        "cluster": {"topology": _topology(draw, axes["tp"] * axes["pp"] * axes["dp"] * axes["cp"])},
        "parallelism": {**axes, "zero_stage": draw.choice([0, 1, 2])},
        "batch": {"num_microbatches": 4 if schedule in _NEEDS_MANY else draw.choice([2, 4, 6])},
        "schedule": schedule,
        "steps": draw.choice([1, 1, 2]),
        "runtime": {
            "overlap": {"grad_reduce": draw.random() < 0.5, "param_gather": draw.random() < 0.5},
            "optimizer_barrier": draw.random() < 0.7,
        },
    }
    if schedule == "interleaved-1f1b":
        scenario["parallelism"]["vpp"] = 2
    if schedule in _CAN_BLOCK and draw.random() < 0.3:
        scenario["runtime"]["p2p"] = "blocking"
    if draw.random() < 0.15:
        scenario["cluster"]["placement"] = {"name": "scattered", "seed": seed}
    if draw.random() < 0.15:
        scenario["parallelism"]["order"] = draw.choice(["tp-cp-ep-pp-dp", "pp-tp-cp-ep-dp", "dp-tp-cp-ep-pp"])
    if draw.random() < 0.15:  # some replicas have a short last micro-batch
        size = axes["dp"] * 8 - axes["dp"] // 2
        scenario["batch"] = {"global_batch_size": size, "micro_batch_size": 2, "remainder": "short"}
    return scenario


def _costs(draw: Random, axes: dict[str, int]) -> dict[str, Any]:
    costs: dict[str, Any] = {name: f"{draw.randrange(3, 9)} ms" for name in ("forward", "input_grad", "weight_grad")}
    costs |= {"message": draw.choice(["0 B", "20 MB", "33 MB"]), "gradients": draw.choice(["0 B", "61 MB"])}
    costs |= {"weights": "70 MB", "activation": "1 MB", "optimizer_step": "1 ms", "exchanges": []}
    for axis, collective in (("tp", "all-reduce"), ("cp", "all-gather")):
        if axes[axis] > 1 and draw.random() < 0.7:
            costs["exchanges"].append({"axis": axis, "op": "forward", "collective": collective, "size": "5 MB"})
    return costs


def _topology(draw: Random, gpus: int) -> dict[str, Any]:
    link = {"bandwidth": draw.choice(["10 GB/s", "7 GB/s"]), "latency": draw.choice(["1 us", "0 us"])}
    if draw.random() < 0.2:
        link["sharing"] = draw.choice(["fair", "fifo"])
    fabric = draw.choice(["leaf-spine"] * 3 + ["fat-tree", "rail-fat-tree", "single-node", "full-mesh", "ring"])
    if fabric in ("single-node", "full-mesh", "ring"):
        return {"fabric": fabric, "gpus": gpus, "scaleup" if fabric == "single-node" else "link": link}
    a_node = draw.choice([size for size in (1, 2, 4, 8) if gpus % size == 0])
    topology: dict[str, Any] = {
        "fabric": fabric,
        "nodes": gpus // a_node,
        "gpus_per_node": a_node,
        "nics_per_node": draw.choice([a_node, a_node, 1]),
        "scaleup": {"bandwidth": "100 GB/s", "latency": "500 ns"},
        "nic": link,
    }
    if fabric == "leaf-spine":
        topology |= {"nodes_per_leaf": draw.choice([1, 2, 4]), "oversubscription": draw.choice([1.0, 2.0, 3.0])}
    if fabric == "fat-tree":
        topology["radix"] = draw.choice([8, 16])
    if draw.random() < 0.15:
        topology["routing"] = "ecmp"
    if draw.random() < 0.4:
        node = f"node{draw.randrange(gpus // a_node)}"
        topology["hosts"] = [{"match": node, "slowdown": 1.5}]
        if draw.random() < 0.3:
            topology["hosts"].append({"match": node, "nic": {"bandwidth": "5 GB/s"}})
    return topology
