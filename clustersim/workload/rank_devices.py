"""The devices of a job: whose speed the times of a model follow from, on each rank."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from clustersim.errors import Fault, ScenarioError
from clustersim.scenario.devices import Device, is_device_file, load_device
from clustersim.scenario.fabrics import HostedFabric
from clustersim.scenario.spec import Scenario
from clustersim.topology.cluster import Cluster


def usual_device(scenario: Scenario) -> Device:
    """Return the device that the scenario's topology names.

    Raises
    ------
    ScenarioError
        It names none.
    """
    name = scenario.cluster.topology.device
    if name is None:
        what = "it names no device, from whose speed the times of a model follow"
        raise ScenarioError(Fault("cluster.topology", what))
    return _named(name)


def named_devices(scenario: Scenario) -> list[Device]:
    """Return the devices that the scenario's topology names, those of hosts that are set apart too.

    Nodes of a graph's file may name others, which are not among them.

    Raises
    ------
    ScenarioError
        It names none.
    """
    fabric = scenario.cluster.topology
    hosts = fabric.hosts if isinstance(fabric, HostedFabric) else ()
    names = dict.fromkeys(host.device for host in hosts if host.device is not None)
    return [usual_device(scenario), *(_named(name) for name in names)]


def _named(name: str) -> Device:
    return load_device(name) if is_device_file(name) else _of_catalogue(name)


@lru_cache(maxsize=64)
def _of_catalogue(name: str) -> Device:
    return load_device(name)


class RankDevices:
    """The devices by which the costs of ranks are told apart.

    Parameters
    ----------
    scenario, cluster
        The job, and where it runs.
    device
        What stands for the device that the topology names, where a calibration or a study changes it; None: that one.
    """

    def __init__(self, scenario: Scenario, cluster: Cluster, device: Device | None = None) -> None:
        usual = scenario.cluster.topology.device
        names = cluster.devices if scenario.model else ()
        self._usual = device
        self._name_by_gpu = names if any(name != usual for name in names) else ()
        others = dict.fromkeys(name for name in self._name_by_gpu if name is not None and name != usual)
        self._by_name = {name: _named(name) for name in others}

    def of(self, gpus: Sequence[int]) -> tuple[Device | None, ...]:
        """Return the device of each GPU; for the one that the topology names what stands for it, or None."""
        if not self._name_by_gpu:
            return (self._usual,) * len(gpus)
        return tuple(self._by_name.get(self._name_by_gpu[gpu] or "", self._usual) for gpu in gpus)
