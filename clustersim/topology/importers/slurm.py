"""Slurm's ``topology.conf`` and ``topology.yaml``: hosts under switches, in blocks, on rings or in tori.

Slurm knows hosts and which are near one another; it knows no GPUs, no NICs and no bandwidths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from pathlib import PurePath

from clustersim.errors import Fault, TopologyError
from clustersim.topology.drawn_graph import DrawnEdge, DrawnGraph, DrawnNode
from clustersim.topology.importers.asked import Asked
from clustersim.topology.importers.slurm_conf import read_slurm_conf
from clustersim.topology.importers.slurm_units import Shape, SlurmTopology, Unit, check_units
from clustersim.topology.importers.slurm_yaml import read_slurm_yaml

_NETWORK = "network"


def import_slurm(file: str, text: str, asked: Asked) -> DrawnGraph:
    """Return the graph of a cluster; a file that ends in .yaml or .yml is a ``topology.yaml``.

    Options asked for: ``gpus-per-node``; ``scaleup-bandwidth`` (between a GPU and the switch in its host, or of its
    block), ``link-bandwidth`` (between a host and its switch, or the next host of a ring or torus) and
    ``switch-bandwidth`` (between two switches, all wires together), each if there is such a link; ``topology``,
    one of several in a ``topology.yaml``, may be left out.

    Raises
    ------
    TopologyError
        Mistakes in the file, with their positions, or options that are missing.

    Notes
    -----
    A block is taken as hosts whose GPUs share a scale-up switch (an NVLink domain), and blocks as joined by one switch
    that is never a bottleneck: the file says no more.
    """
    is_yaml = PurePath(file).suffix.lower() in (".yaml", ".yml")
    topology = read_slurm_yaml(file, text, asked.text("topology")) if is_yaml else read_slurm_conf(file, text)
    check_units(topology.units)
    hosts = [(host, unit) for unit in topology.units for host in unit.hosts]
    edges = [*_host_edges(topology, asked), *_NETWORKS[topology.shape](topology, asked)]
    asked.raise_if_missing()
    gpus = [_gpu(host, index) for host, _ in hosts for index in range(asked.count("gpus-per-node", "GPUs"))]
    drawn = {gpu: DrawnNode(gpu, {"kind": "gpu", "host": gpu.rpartition("/")[0]}) for gpu in gpus}
    for edge in edges:
        for end in (edge.source, edge.target):
            drawn.setdefault(end, DrawnNode(end, {"kind": "nic" if end.endswith("/nic") else "switch"}))
    return DrawnGraph(tuple(drawn.values()), tuple(edges))


def _gpu(host: str, index: int) -> str:
    return f"{host}/gpu{index}"


def _host_edges(topology: SlurmTopology, asked: Asked) -> Iterator[DrawnEdge]:
    """Yield what is inside hosts and blocks: GPUs to their scale-up switch, and to the host's NIC."""
    num_gpus = asked.count("gpus-per-node", "GPUs in a host")
    is_block = topology.shape == "block"
    for unit in topology.units:
        for host in unit.hosts:
            for index in range(num_gpus):
                if num_gpus > 1 or is_block:
                    scaleup = asked.bandwidth("scaleup-bandwidth", "the links between the GPUs of a host or block")
                    yield asked.edge(_gpu(host, index), f"{unit.name if is_block else host}/switch", scaleup)
                yield asked.edge(_gpu(host, index), f"{host}/nic", None)


def _tree(topology: SlurmTopology, asked: Asked) -> Iterator[DrawnEdge]:
    for unit in topology.units:
        for host in unit.hosts:
            yield asked.edge(f"{host}/nic", unit.name, asked.bandwidth("link-bandwidth", "a host's link to its switch"))
        for switch in unit.switches:
            yield asked.edge(switch, unit.name, asked.bandwidth("switch-bandwidth", "the link between two switches"))


def _blocks(topology: SlurmTopology, asked: Asked) -> Iterator[DrawnEdge]:
    if len(topology.units) > 1:
        link = asked.bandwidth("link-bandwidth", "a host's link to the network between blocks")
        yield from (asked.edge(f"{host}/nic", _NETWORK, link) for unit in topology.units for host in unit.hosts)


def _rings(topology: SlurmTopology, asked: Asked) -> Iterator[DrawnEdge]:
    for unit in topology.units:
        yield from _grid(unit, (len(unit.hosts),), asked)


def _tori(topology: SlurmTopology, asked: Asked) -> Iterator[DrawnEdge]:
    for unit in topology.units:
        if len(unit.dims) != 3 or prod(unit.dims) != len(unit.hosts):
            what = f"'{unit.name}' has {len(unit.hosts)} hosts; dims x * y * z = {prod(unit.dims)} are needed"
            raise TopologyError(Fault("", what, unit.position))
        yield from _grid(unit, unit.dims, asked)


def _grid(unit: Unit, dims: tuple[int, ...], asked: Asked) -> Iterator[DrawnEdge]:
    """Yield the wires of a torus: from each host to the next along each dimension, hosts running along the first."""
    link = asked.bandwidth("link-bandwidth", "the link between two hosts that are neighbours")
    stride = 1
    for size in dims:
        for number, host in enumerate(unit.hosts):
            place = number // stride % size
            # Two hosts along a line have one wire, and a host has none to itself.
            if size > 2 or place < size - 1:
                following = number + (stride if place < size - 1 else -place * stride)
                yield asked.edge(f"{host}/nic", f"{unit.hosts[following]}/nic", link)
        stride *= size


_NETWORKS: dict[Shape, Callable[[SlurmTopology, Asked], Iterator[DrawnEdge]]] = {
    "tree": _tree,
    "block": _blocks,
    "ring": _rings,
    "torus3d": _tori,
}
