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

from clustersim.engine.shared_link import Flow
from clustersim.engine.sharing import MaxMin

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


class Churn:
    """So many flows between GPUs drawn at random, of which one leaves and one comes in turn."""

    def __init__(self, capacities: dict[int, Fraction], num_flows: int) -> None:
        self._random, self.network = Random(0), MaxMin(capacities)
        routes = self._routes(num_flows)
        self.alive: list[tuple[Flow, Route]] = [(self.network.add(links), links) for links in routes]
        self.network.settle()

    def _routes(self, num_routes: int) -> list[Route]:
        return [route(*self._random.sample(range(NUM_GPUS), 2)) for _ in range(num_routes)]

    def change(self, num_changes: int) -> tuple[float, float]:
        """Return the seconds that a departure or arrival takes, and how many flows get another rate or bottleneck."""
        network, alive, num_moved = self.network, self.alive, 0
        places = [self._random.randrange(len(alive)) for _ in range(num_changes // 2)]
        routes = self._routes(num_changes // 2)
        started = time.perf_counter()
        for place, links in zip(places, routes, strict=True):
            network.remove(alive[place][0])
            num_moved += len(network.settle())
            alive[place] = network.add(links), links
            num_moved += len(network.settle())
        return (time.perf_counter() - started) / num_changes, num_moved / num_changes


@dataclass(frozen=True)
class Measured:
    """What a change costs among so many flows."""

    incremental_s: float
    anew_s: float
    num_moved: float  # flows whose rate or bottleneck moved, per change
    largest_difference: float  # relative, of the rates in the end


def measure(num_flows: int, oversubscription: int, num_changes: int, times: int = 1) -> Measured:
    """Return the cost of an arrival or departure: the median of so many times `num_changes`."""
    capacities = tree(oversubscription)
    churn = Churn(capacities, num_flows)
    costs = [churn.change(num_changes) for _ in range(times)]
    as_array = np.array([float(capacity) for capacity in capacities.values()])
    routes = [links for _, links in churn.alive]
    rates = solved_anew(as_array, routes)
    anew_s = statistics.median(_seconds(lambda: solved_anew(as_array, routes)) for _ in range(3))
    exact = np.array([float(churn.network.rate(flow)) for flow, _ in churn.alive])
    difference = float(np.abs(rates / exact - 1).max())
    incremental_s, num_moved = (statistics.median(column) for column in zip(*costs, strict=True))
    return Measured(incremental_s, anew_s, num_moved, difference)


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
            measured = measure(num_flows, oversubscription, num_changes=1_000, times=5)
            cells = [num_flows, oversubscription, f"{measured.num_moved:.1f}", f"{1e6 * measured.incremental_s:.1f}"]
            cells += [f"{1e6 * measured.anew_s:.0f}", f"{measured.anew_s / measured.incremental_s:.0f}x"]
            print("".join(f"{cell:>13}" for cell in [*cells, f"{measured.largest_difference:.1e}"]), flush=True)
    print_long_churn(num_flows=10_000, oversubscription=2, num_changes=200_000)


def print_long_churn(num_flows: int, oversubscription: int, num_changes: int) -> None:
    """Print what a change costs at the beginning and at the end of many, and how large the numbers of links are."""
    churn = Churn(tree(oversubscription), num_flows)
    window = num_changes // 10
    costs, bits = [], []
    for _ in range(0, num_changes, window):
        costs.append(statistics.median(churn.change(window // 10)[0] for _ in range(10)))
        bits.append(max(link.unit.bit_length() for link in churn.network.links.values()))
    print(f"{num_changes:,} changes of {num_flows:,} flows, {oversubscription}:1; in the first and last tenth of them:")
    print(f"a change {1e6 * costs[0]:.1f} and {1e6 * costs[-1]:.1f} us, largest unit {bits[0]} and {bits[-1]} bits")


if __name__ == "__main__":
    main()
