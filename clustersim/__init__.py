"""Discrete-event simulation of pipeline-parallel training on clusters that you do not own.

Names are loaded when they are first used, so that ``import clustersim`` costs nothing.

Examples
--------
>>> import clustersim as cs
>>> issubclass(cs.ClustersimError, Exception)
True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clustersim.changed_costs import what_if
    from clustersim.errors import ClustersimError
    from clustersim.planning.plan import plan
    from clustersim.planning.sweep import sweep
    from clustersim.report.frames import table
    from clustersim.result import Result
    from clustersim.scenario.load import load_scenario
    from clustersim.scenario.spec import Scenario
    from clustersim.simulation import simulate
    from clustersim.trace import Trace

    __version__: str

__all__ = [
    "ClustersimError",
    "Result",
    "Scenario",
    "Trace",
    "load_scenario",
    "plan",
    "simulate",
    "sweep",
    "table",
    "what_if",
]

_MODULES = {
    "ClustersimError": "clustersim.errors",
    "Result": "clustersim.result",
    "Scenario": "clustersim.scenario.spec",
    "Trace": "clustersim.trace",
    "load_scenario": "clustersim.scenario.load",
    "plan": "clustersim.planning.plan",
    "simulate": "clustersim.simulation",
    "sweep": "clustersim.planning.sweep",
    "table": "clustersim.report.frames",
    "what_if": "clustersim.changed_costs",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("clustersim")
    if name not in _MODULES:
        raise AttributeError(f"module 'clustersim' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
