"""What makes a result reproducible and honest: versions, hashes, assumptions, and what to beware of."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from clustersim.result import CommunicationSummary, MemorySummary
from clustersim.scenario.batch import deal_samples
from clustersim.scenario.devices import load_device
from clustersim.scenario.fabrics import HostedFabric, Topology
from clustersim.scenario.frameworks import load_framework
from clustersim.scenario.profile import parts_in
from clustersim.scenario.spec import Scenario
from clustersim.scenario.units import PS_PER_S, format_time
from clustersim.sums import total
from clustersim.topology.cluster import Cluster
from clustersim.topology.link_roles import link_kinds
from clustersim.trace import AXES, AXIS_WORDS, Ints, Trace

_PACKAGES = ("simpy", "networkx", "numpy", "pydantic", "PyYAML", "click", "rich")
_GIB = 2**30


_version = cache(version)  # what is installed is read once: it takes as long as a small run


def provenance_of(scenario: Scenario, trace: Trace, constraints: list[str], started_s: float) -> dict[str, Any]:
    """Return what a reader needs in order to get the same result again."""
    origin = scenario.loaded_from
    return {
        "clustersim": _version("clustersim"),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "scenario": {"path": origin.path if origin else None, "sha256": origin.sha256 if origin else None},
        "topology": {
            "name": origin.topology_name if origin else scenario.cluster.topology.fabric,
            "sha256": origin.topology_sha256 if origin else None,
        },
        "profile": {"path": scenario.profile.file, "sha256": scenario.profile.sha256} if scenario.profile else None,
        "schedule": {
            "name": scenario.schedule.label,
            "sha256": origin.order.sha256 if origin and origin.order else None,
        },
        "seed": scenario.seed,
        "wall_time_s": round(time.perf_counter() - started_s, 6),
        "events": trace.num_events,
        "engine": trace.engine,
        "folding": folding_of(trace),
        "constraints": constraints,
    }


def constraints_of(scenario: Scenario, trace: Trace) -> list[str]:
    """Return the assumptions that shaped the result, one sentence each."""
    runtime, parallelism = scenario.runtime, scenario.parallelism
    barrier = "ranks meet at a barrier before" if runtime.optimizer_barrier else "no barrier before"
    if scenario.schedule.rules.is_continuous:
        barrier = f"{scenario.schedule.label} never flushes: no barrier, whatever the scenario says, before"
    constraints = [
        *_costs(scenario),
        *_host_gap(scenario),
        f"point-to-point is {runtime.p2p}; {barrier} the optimizer step",
        *_sharing(trace),
        folding_note(trace),
    ]
    if scenario.schedule.rules.is_continuous:
        constraints.append(
            "all steps are one stream, which fills and drains the pipeline once; with 3 steps or more "
            "steady_step_time_s is its pace in between"
        )
    if scenario.schedule.rules.is_bidirectional and trace.ranks.gradients_bytes.any():
        constraints.append(
            "the two copies of a stage under a bidirectional schedule reduce no gradients between them: that is not "
            "simulated, and the step time is a lower bound"
        )
    silent = [axis for axis in ("tp", "cp", "ep") if getattr(parallelism, axis) > 1 and axis not in _axes(trace)]
    if silent:
        named = " and ".join(silent)
        constraints.append(
            f"the costs hold what {named} groups exchange, as they list no exchanges; it is not simulated"
        )
    if len(trace.sample.collectives):
        constraints.append(
            "a collective is one activity: its streams all go at one rate, by the algorithm that is fastest on an idle "
            "fabric; ops compute first, then exchange"
        )
    return constraints


def folding_of(trace: Trace) -> dict[str, Any]:
    """Return how many GPUs and replicas were simulated, and why so many."""
    folded = trace.folded
    return {
        "gpus": len(trace.ranks),
        "simulated_gpus": len(trace.ranks if folded is None or folded.is_all_simulated else trace.sample.ranks),
        "replicas": folded.num_replicas if folded else len(set(trace.ranks.replica.tolist())),
        "replica_classes": folded.num_classes if folded else None,
        "replica_classes_by_program": folded.num_programs if folded else None,
        "unfolded_because": trace.unfolded_because or None,
    }


def folding_note(trace: Trace) -> str:
    """Return the same in a sentence."""
    num_gpus, folded = len(trace.ranks), trace.folded
    why = f" ({trace.unfolded_because})" if trace.unfolded_because else ""
    all_simulated = f"every GPU is simulated: {num_gpus} of them, no folding{why}"
    if folded is None:
        return all_simulated
    classes = (
        f"the {folded.num_replicas} replicas are of {folded.num_classes} "
        f"{'class' if folded.num_classes == 1 else 'classes'}, {folded.num_programs} by what they "
        "run and how fast, the others by the links and groups that they meet"
    )
    if folded.is_all_simulated:
        return f"{all_simulated}; {classes}; those of one class did the same at the same time, and are analysed once"
    return (
        f"{len(trace.sample.ranks)} of {num_gpus} GPUs are simulated: {classes}; an equitable partition certifies that "
        "those of one class do the same at the same time"
    )


def _axes(trace: Trace) -> set[str]:
    """Return the axes on which there were collectives."""
    return {AXES[number] for number in set(trace.sample.collectives.axis.tolist())}


def _costs(scenario: Scenario) -> Iterator[str]:
    """Yield where the costs of stages come from: given, or derived from a model."""
    if scenario.model is None:
        yield "stage costs are as given in the scenario, the same for every full micro-batch"
        return
    measured = scenario.measured_rows()
    derived = [part for part in parts_in(scenario.model) if part not in measured]
    if measured:
        rest = f"those of {', '.join(derived)} are derived" if derived else "none is derived"
        source = f" ({scenario.profile.file})" if scenario.profile and scenario.profile.file else ""
        yield f"times of {', '.join(measured)} are measured{source}; {rest}"
    if derived:
        yield from _derivations(scenario.cluster.topology)
    framework = load_framework(scenario.runtime.memory.framework_name(scenario.parallelism.zero_stage))
    yield (
        f"memory beside the model's tensors is {framework.name}'s, with {framework.fragmentation:.0%} of fragmentation "
        "(assumed), where `runtime.memory` says nothing else; torch.cuda.max_memory_allocated is to be held against "
        "allocated_peak_bytes, nvidia-smi against peak_bytes"
    )
    yield (
        "MFU and HFU count full attention, with causal attention beside it, and take the peak of the number format of "
        "the linear layers"
    )


def _derivations(topology: Topology) -> Iterator[str]:
    """Yield how times are derived, and for each device where its efficiencies come from."""
    others = topology.hosts if isinstance(topology, HostedFabric) else ()
    names = dict.fromkeys([topology.device, *(host.device for host in others)])
    known = {name: load_device(name).kernels for name in names if name}
    yield (
        f"stage costs are derived from the model: operators one after the other on {' and '.join(known)}, each the "
        "longer of its FLOP and its bytes, at the shares of the device's peaks in its file"
        + "".join(f" ({kernels.source})" for kernels in known.values() if kernels)
    )


def _host_gap(scenario: Scenario) -> Iterator[str]:
    """Yield what the host takes beside each op, if that is anything."""
    device, given = scenario.cluster.topology.device, scenario.runtime.host_gap
    kernels = load_device(device).kernels if device and scenario.model else None
    gap_ps, source = given, "given as runtime.host_gap"
    if gap_ps is None:
        gap_ps, source = (kernels.host_gap if kernels else 0), f"as in the file of {device}"
    if gap_ps:
        yield (
            f"each forward and backward op holds {format_time(gap_ps)} of the host's beside its kernels ({source}), "
            "counted as compute"
        )


def _sharing(trace: Trace) -> Iterator[str]:
    """Yield how the links that carried something were shared."""
    num_fair = int(trace.links.is_fair.sum())
    if num_fair:
        yield (
            f"{num_fair} links were shared by max-min fairness: a message waits the latencies of its route, then "
            "drains at one rate on all its links"
        )
    if num_fair < len(trace.links):
        yield (
            f"{len(trace.links) - num_fair} links were FIFO, or had unlimited bandwidth: a message holds each link of "
            "its route in turn, latency follows and occupies nothing"
        )


def warnings_of(
    scenario: Scenario,
    cluster: Cluster,
    trace: Trace,
    memory: MemorySummary,
    communication: CommunicationSummary,
    compute_ps: Ints,
) -> Iterator[str]:
    """Yield what a reader should beware of; ``compute_ps`` is how long each rank computed."""
    batch, parallelism = scenario.batch, scenario.parallelism
    short = [share for share in deal_samples(batch, parallelism.dp) if share.last_fraction != 1]
    if short:
        samples = sorted({int(share.last_fraction * batch.micro_batch_size) for share in short})
        sizes = " or ".join(map(str, samples))
        yield (
            f"the last micro-batch of {len(short)} of {parallelism.dp} replicas is short: "
            f"{sizes} of {batch.micro_batch_size} samples"
        )
    if parallelism.dp * parallelism.cp > 1 and not any(rank.gradients_bytes for rank in memory.ranks):
        yield "stage costs give no gradients: nothing is reduced over dp, and the step time is a lower bound"
    yield from _collisions(communication)
    if communication.contended_links:
        links = trace.links
        held_ups = {"queued for": total(links.queued_ps), "were slowed by": total(links.slowed_ps)}
        told = " and ".join(f"{what} {held_ps / PS_PER_S:.3g} s" for what, held_ps in held_ups.items() if held_ps)
        yield (
            f"{communication.contended_links} links were contended: summed over all messages of the run, they {told}, "
            f"most at {links.name[int((links.queued_ps + links.slowed_ps).argmax())]}"
        )
    yield from _overruled(cluster, trace.links.number[trace.links.is_fair])
    yield from _stragglers(cluster, trace, compute_ps)
    if scenario.parallelism.zero_stage == 3 and scenario.stage_costs is not None:
        yield "zero_stage 3 is run as 2: weights are gathered once a step, not before every op"
    unused = len(cluster.gpus) - parallelism.num_gpus
    if unused:
        yield f"{unused} of the topology's {len(cluster.gpus)} GPUs are not used by this layout"
    if memory.fits is False and memory.capacity_bytes is not None:
        over_gib, capacity_gib = (memory.peak_bytes - memory.capacity_bytes) / _GIB, memory.capacity_bytes / _GIB
        yield f"does not fit in memory: {over_gib:.2f} GiB over the capacity of {capacity_gib:.2f} GiB"


def _overruled(cluster: Cluster, fair: Ints) -> Iterator[str]:
    """Yield how many of the links that were shared fairly are written otherwise."""
    _, first, kind, count = np.unique(
        link_kinds(cluster, fair), return_index=True, return_inverse=True, return_counts=True
    )
    is_fifo = np.array([cluster.link(number).sharing == "fifo" for number in fair[first].tolist()], dtype=np.bool_)
    if is_fifo.any():
        name = cluster.link(int(fair[np.argmax(is_fifo[kind.reshape(-1)])])).name
        yield (
            f"{int(count[is_fifo].sum())} links written `sharing: fifo` were shared fairly, as others on the same "
            f"routes are; the first is {name}"
        )


def _stragglers(cluster: Cluster, trace: Trace, compute_ps: Ints) -> Iterator[str]:
    """Yield which GPUs compute slowly, and how much longer the slowest of their ranks is at work."""
    slowdowns = ((row, cluster.slowdown(gpu)) for row, gpu in enumerate(trace.ranks.gpu.tolist()))
    slow = {row: float(slowdown) for row, slowdown in slowdowns if slowdown != 1}
    if not slow:
        return
    extra_s = {row: compute_ps[row] * (1 - 1 / slowdown) / PS_PER_S for row, slowdown in slow.items()}
    worst = max(extra_s, key=lambda row: extra_s[row])
    gpu = int(trace.ranks.gpu[worst])
    host = cluster.nodes[cluster.gpus[gpu]].get("host", cluster.gpus[gpu])
    yield (
        f"{len(slow)} of {len(trace.ranks)} GPUs compute slowly, up to {max(slow.values()):g} times as long: rank "
        f"{int(trace.ranks.rank[worst])} on {host} is {_time(extra_s[worst] / trace.num_steps)} a step longer at work, "
        "and others wait for it"
    )


def _time(time_s: float) -> str:
    return f"{1000 * time_s:.3g} ms" if time_s < 1 else f"{time_s:.3g} s"


_WORTH_SAYING = 0.01  # share of the traffic's own time


def _collisions(communication: CommunicationSummary) -> Iterator[str]:
    """Yield who was slowed down by whom, where that is a part of its own time worth saying."""
    for entry in communication.collisions:
        busy_s = communication.by_axis[entry.axis].busy_s
        if entry.axis != entry.by and busy_s and entry.lost_s / busy_s >= _WORTH_SAYING:
            words = AXIS_WORDS[entry.axis]
            yield (
                f"{words} {'were' if words.endswith('s') else 'was'} slowed down by {AXIS_WORDS[entry.by]}: lost "
                f"{_time(entry.lost_s)} of {_time(busy_s)} a GPU and step to it, most at {entry.link}"
            )
