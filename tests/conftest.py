"""The laws that every run keeps are checked on every run of every test, whether the test asks for it or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from clustersim.analysis.invariants import check_flows, check_invariants
from clustersim.engine import flows, run

# No doctests: the first is for the system's Python, which has SimGrid; the others share one name as modules.
collect_ignore_glob = ["engine/simgrid_oracle.py", "conftest.py", "*/conftest.py"]


# A busy machine must fail no test: examples have no deadline, and drawing them may be slow.
settings.register_profile("clustersim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clustersim")


@pytest.fixture(autouse=True)
def check_every_trace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    def checked(record: Callable[..., Any], check: Callable[[Any], None]) -> Callable[..., Any]:
        def record_and_check(*args: Any) -> Any:
            trace = record(*args)
            check(trace)
            return trace

        return record_and_check

    if request.path.parent.name == "benchmarks":  # what is timed there is the engine alone
        return
    # Where the engine makes its traces, so that no way to run one leads past it.
    monkeypatch.setattr(run, "record", checked(run.record, check_invariants))
    monkeypatch.setattr(flows, "_trace", checked(flows._trace, check_flows))
