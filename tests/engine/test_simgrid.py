"""Flows on 240 random networks, run by SimGrid itself: when each ends, and its rate after every start.

SimGrid is a package of the system (``apt-get install python3-simgrid``), hence a process of the system's Python.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from drawn_networks import FAMILIES, MS, Network, draw_network

from clustersim.analysis.invariants import check_flows
from clustersim.engine.flows import run_flows
from clustersim.trace import Floats, FlowTrace

PYTHON = "/usr/bin/python3"
ORACLE = Path(__file__).with_name("simgrid_oracle.py")
TOLERANCE = 1e-6  # relative
FIRST_LOOK_PS, SECOND_LOOK_PS = MS // 10, 2 * MS // 10  # after each start; others start a millisecond later or more


def why_no_simgrid() -> str | None:
    """Return why SimGrid cannot be asked; None where it can."""
    try:
        tried = subprocess.run([PYTHON, "-c", "import simgrid"], capture_output=True, text=True, timeout=60)
    except OSError as error:
        return str(error)
    return None if tried.returncode == 0 else tried.stderr.strip().rpartition("\n")[2]


def looks_ps(network: Network) -> list[int]:
    """Return when to look at what is left of each flow: twice after each start."""
    starts = sorted({flow.start_ps for flow in network.flows})
    return [start + after for start in starts for after in (FIRST_LOOK_PS, SECOND_LOOK_PS)]


def told(network: Network) -> dict[str, Any]:
    """Return what the oracle reads."""
    ways = {True: "up", False: "down"}
    routes = [
        (f"n{source}", f"n{destination}", [(wire, ways[as_written]) for wire, as_written in hops])
        for (source, destination), hops in network.routes.items()
    ]
    flows = [
        (f"n{flow.source}", f"n{flow.destination}", flow.size_bytes, flow.start_ps / 1e12) for flow in network.flows
    ]
    look_at_s = [time_ps / 1e12 for time_ps in looks_ps(network)]
    return {"wires": network.wires, "routes": routes, "flows": flows, "look_at_s": look_at_s}


def ask(python: str, networks: Sequence[Network]) -> list[dict[str, Any]]:
    """Return what SimGrid says of each network; one process runs them all."""
    asked = json.dumps([told(network) for network in networks])
    answer = subprocess.run([python, ORACLE], input=asked, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    replies: list[dict[str, Any]] = json.loads(answer.stdout)
    return replies


def drained_bytes(trace: FlowTrace, time_ps: int) -> Floats:
    """Return what each flow has drained by a time."""
    rates = trace.rates
    until_ps = np.minimum(rates.until_ps(trace.transfers.end_ps), time_ps)
    lasted_s = np.maximum(until_ps - rates.start_ps, 0) / 1e12
    return np.bincount(rates.flow, rates.bytes_per_s * lasted_s, minlength=len(trace.transfers.end_ps))


def errors_of_ends(trace: FlowTrace, simgrid: dict[str, Any]) -> list[float]:
    """Return by how much each flow lasts longer or shorter here, relative to how long it lasts."""
    lasted_s = np.array(simgrid["ends_s"]) - trace.transfers.queued_ps / 1e12
    return (np.abs(trace.transfers.end_ps / 1e12 - simgrid["ends_s"]) / lasted_s).tolist()


def errors_of_rates(trace: FlowTrace, network: Network, simgrid: dict[str, Any]) -> list[float]:
    """Return the relative errors of the rates after each start, of all flows that still drain at the second look."""
    errors, looks = [], looks_ps(network)
    transfers = trace.transfers
    for (first_ps, second_ps), (before, after) in zip(
        zip(looks[::2], looks[1::2], strict=True),
        zip(simgrid["left_bytes"][::2], simgrid["left_bytes"][1::2], strict=True),
        strict=True,
    ):
        here = np.flatnonzero((transfers.queued_ps < second_ps) & (transfers.end_ps > second_ps))
        assert [str(number) for number in here] == sorted(after, key=int)
        ours = drained_bytes(trace, second_ps) - drained_bytes(trace, first_ps)
        for number, left in after.items():
            theirs = before[number] - left
            errors.append(abs(ours[int(number)] - theirs) / theirs)
    return errors


@pytest.fixture(scope="module")
def simgrid_python() -> str:
    why = why_no_simgrid()
    if why is not None:
        # The gate sets this where SimGrid is installed: there, nothing of this file is skipped.
        refuse = pytest.fail if os.environ.get("CLUSTERSIM_HAS_SIMGRID") else pytest.skip
        refuse(f"needs SimGrid for {PYTHON} (apt-get install python3-simgrid): {why}")
    return PYTHON


def test_simgrid_agrees_on_random_networks(simgrid_python: str) -> None:
    random = Random("SimGrid")
    networks = [draw_network(family, random) for family in FAMILIES for _ in range(60)]
    num_ends = num_rates = num_moves = 0
    for number, (network, simgrid) in enumerate(zip(networks, ask(simgrid_python, networks), strict=True)):
        trace = run_flows(network.flows, network.cluster())
        check_flows(trace)
        ends, rates = errors_of_ends(trace, simgrid), errors_of_rates(trace, network, simgrid)
        assert max(ends + rates) < TOLERANCE, f"network {number}, a {network.family}: {network}"
        num_ends, num_rates, num_moves = num_ends + len(ends), num_rates + len(rates), num_moves + len(trace.rates)
    assert num_ends > 4000
    assert num_rates > 10_000
    assert num_moves > 4 * num_ends  # flows do share: each has several rates in its life


def test_bandwidths_a_hundred_thousandth_off_are_seen(simgrid_python: str) -> None:
    network = draw_network("tree", Random("one wire"))
    (simgrid,) = ask(simgrid_python, [network])
    wires = tuple((*ends, bytes_per_s * 100_001 // 100_000) for *ends, bytes_per_s in network.wires)
    trace = run_flows(network.flows, replace(network, wires=wires).cluster())
    assert min(errors_of_ends(trace, simgrid)) > TOLERANCE
    assert min(errors_of_rates(trace, network, simgrid)) > TOLERANCE
