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
    from clustersim.economics import cost_and_energy
    from clustersim.errors import ClustersimError
    from clustersim.planning.cheapest import cheapest_cluster
    from clustersim.planning.fewest import fewest_gpus
    from clustersim.planning.largest import largest_model, largest_of_models
    from clustersim.planning.plan import plan
    from clustersim.planning.point import Runner
    from clustersim.planning.scaling import scaling
    from clustersim.planning.sensitivity import sensitivity
    from clustersim.planning.sweep import sweep
    from clustersim.report.excerpt import Excerpt
    from clustersim.report.frames import table
    from clustersim.result import Result
    from clustersim.scenario.load import load_scenario
    from clustersim.scenario.spec import Scenario
    from clustersim.simulation import simulate
    from clustersim.trace import Trace

    __version__: str

__all__ = [
    "ClustersimError",
    "Excerpt",
    "Result",
    "Runner",
    "Scenario",
    "Trace",
    "cheapest_cluster",
    "cost_and_energy",
    "fewest_gpus",
    "largest_model",
    "largest_of_models",
    "load_scenario",
    "plan",
    "scaling",
    "sensitivity",
    "simulate",
    "sweep",
    "table",
    "what_if",
]

_MODULES = {
    "ClustersimError": "clustersim.errors",
    "Excerpt": "clustersim.report.excerpt",
    "Result": "clustersim.result",
    "Runner": "clustersim.planning.point",
    "Scenario": "clustersim.scenario.spec",
    "Trace": "clustersim.trace",
    "cheapest_cluster": "clustersim.planning.cheapest",
    "cost_and_energy": "clustersim.economics",
    "fewest_gpus": "clustersim.planning.fewest",
    "largest_model": "clustersim.planning.largest",
    "largest_of_models": "clustersim.planning.largest",
    "load_scenario": "clustersim.scenario.load",
    "scaling": "clustersim.planning.scaling",
    "sensitivity": "clustersim.planning.sensitivity",
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
