"""Prints what an arrival or departure costs among many flows, against solving all rates anew with numpy.

Run it from the checkout: ``python tests/benchmarks/sharing.py``. The fabric is a tree of three levels over 16,384 GPUs
of 50 GB/s: 32 GPUs under a leaf, 32 leaves under a pod; flows are between GPUs drawn at random.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from random import Random

import numpy as np
from numpy.typing import NDArray

from clustersim.engine.sharing import Flow, MaxMin

NUM_GPUS, GPUS_PER_LEAF, LEAVES_PER_POD = 16_384, 32, 32
GPU_BYTES_PER_S = 50 * 10**9
NUM_LEAVES, NUM_PODS = NUM_GPUS // GPUS_PER_LEAF, NUM_GPUS // GPUS_PER_LEAF // LEAVES_PER_POD
Route = tuple[int, ...]


def tree(oversubscription: int) -> dict[int, Fraction]:
    """Return the capacity of each link; level by level, link 2w up and 2w + 1 down on wire w. [bytes/s]"""
    leaf_bytes_per_s = Fraction(GPU_BYTES_PER_S * GPUS_PER_LEAF, oversubscription)
    levels = [(NUM_GPUS, Fraction(GPU_BYTES_PER_S)), (NUM_LEAVES, leaf_bytes_per_s)]
    levels.append((NUM_PODS, leaf_bytes_per_s * LEAVES_PER_POD))
    capacities = [capacity for num_wires, capacity in levels for _ in range(2 * num_wires)]
    return dict(enumerate(capacities))


def route(source: int, destination: int) -> Route:
    """Return the links from one GPU to another."""
    up, down = [], []
    first, here, there = 0, source, destination
    for num_wires, children in ((NUM_GPUS, GPUS_PER_LEAF), (NUM_LEAVES, LEAVES_PER_POD), (NUM_PODS, NUM_PODS)):
        if here == there:
            break
        up.append(2 * (first + here))
        down.append(2 * (first + there) + 1)
        first, here, there = first + num_wires, here // children, there // children
    return (*up, *reversed(down))


def solved_anew(capacities: NDArray[np.float64], routes: list[Route]) -> NDArray[np.float64]:
    """Return all rates by progressive filling over arrays, as one writes it first."""
    hops = np.array([len(links) for links in routes])
    flow, link = np.repeat(np.arange(len(routes)), hops), np.array([link for links in routes for link in links])
    left, rates = capacities.copy(), np.zeros(len(routes))
    rising = np.ones(len(routes), dtype=bool)
    while rising.any():
        open_hops = rising[flow]
        count = np.bincount(link[open_hops], minlength=len(left))
        share = np.where(count > 0, left / np.maximum(count, 1), np.inf)
        lowest = share.min()
        stops = np.zeros(len(routes), dtype=bool)
        stops[flow[open_hops & (share[link] <= lowest * (1 + 1e-12))]] = True
        rates[stops] = lowest
        left -= lowest * np.bincount(link[stops[flow]], minlength=len(left))
        rising &= ~stops
    return rates


@dataclass(frozen=True)
class Measured:
    """What a change costs among so many flows."""

    num_flows: int
    incremental_s: float
    anew_s: float
    num_moved: float  # flows whose rate moved, per change
    largest_difference: float  # relative, of the rates in the end


def measure(num_flows: int, oversubscription: int, num_changes: int) -> Measured:
    """Return the cost of an arrival or departure, which take turns."""
    random, capacities = Random(0), tree(oversubscription)
    network = MaxMin(capacities)
    alive: list[tuple[Flow, Route]] = []

    def arrive() -> None:
        links = route(*random.sample(range(NUM_GPUS), 2))
        alive.append((network.add(links), links))

    for _ in range(num_flows):
        arrive()
    network.settle()
    num_moved, started = 0, time.perf_counter()
    for change in range(num_changes):
        if change % 2:
            arrive()
        else:
            place = random.randrange(num_flows)
            alive[place], alive[-1] = alive[-1], alive[place]
            network.remove(alive.pop()[0])
        num_moved += len(network.settle())
    incremental_s = (time.perf_counter() - started) / num_changes
    as_array = np.array([float(capacity) for capacity in capacities.values()])
    routes = [links for _, links in alive]
    rates = solved_anew(as_array, routes)
    anew_s = statistics.median(_seconds(lambda: solved_anew(as_array, routes)) for _ in range(3))
    exact = np.array([float(network.rate(flow)) for flow, _ in alive])
    difference = float(np.abs(rates / exact - 1).max())
    return Measured(num_flows, incremental_s, anew_s, num_moved / num_changes, difference)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Print a line for each number of flows, on a fabric that blocks nothing and on one with half the bandwidth."""
    titles = ("flows", "oversub.", "moved", "change [us]", "anew [us]", "ratio", "difference")
    print("".join(f"{title:>13}" for title in titles))
    gc.disable()
    for oversubscription in (1, 2):
        for num_flows in (100, 1_000, 10_000):
            measured = measure(num_flows, oversubscription, num_changes=500)
            cells = [num_flows, oversubscription, f"{measured.num_moved:.1f}", f"{1e6 * measured.incremental_s:.1f}"]
            cells += [f"{1e6 * measured.anew_s:.0f}", f"{measured.anew_s / measured.incremental_s:.0f}x"]
            print("".join(f"{cell:>13}" for cell in [*cells, f"{measured.largest_difference:.1e}"]), flush=True)


if __name__ == "__main__":
    main()
