"""NCCL's dump of a machine (``NCCL_TOPO_DUMP_FILE``): PCIe tree, NVLinks and NICs, with the speeds that it knows.

References
----------
NCCL, ``src/graph/xml.cc`` and ``src/graph/topo.cc``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

from clustersim.errors import Fault, TopologyError
from clustersim.topology.drawn_graph import DrawnEdge, DrawnGraph, DrawnNode
from clustersim.topology.importers.asked import Asked
from clustersim.topology.importers.xml_tree import Element, read_xml

BYTES_PER_S_OF_LANE = {
    Fraction(speed): Fraction(hundred_mbps * 10**8, 8)
    for speed, hundred_mbps in (("2.5", 15), ("5", 30), ("8", 60), ("16", 120), ("32", 240), ("64", 480))
}
"""What NCCL counts for a PCIe lane of so many GT/s (``kvDictPciGen``): encoding and packet headers are taken off."""

_SPEED = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) GT/s(?: PCIe)?", re.ASCII)
_GPU_CLASS, _SWITCH_CLASS = "0x03", "0x068000"
_CHILDREN = {
    "system": ("cpu",),
    "cpu": ("pci", "nic"),
    "pci": ("pci", "nic", "gpu", "pcilink"),
    "gpu": ("nvlink", "c2c"),
    "nic": ("net", "gin", "rma"),
}


def import_nccl(file: str, text: str, asked: Asked) -> DrawnGraph:
    """Return the graph of the hosts in a dump.

    Options asked for: ``link-bandwidth`` (one NVLink, per direction), ``pcie-bandwidth`` (where the dump has no speed,
    as in virtual machines) and ``socket-bandwidth`` (between the CPUs of a host), each if there is such a link.

    Raises
    ------
    TopologyError
        No dump, elements or values in it that it can't have, or options that are missing.

    Notes
    -----
    A host's NVLink switches act as one. NVLink-C2C takes the place of PCIe between a GPU and its CPU. ``gin`` and
    ``rma`` repeat a ``net``, and ``pcilink`` a way that the tree has.
    """
    root = read_xml(file, text)
    if root.tag != "system" or root.attributes.get("version") != "1":
        hint = "run a job with NCCL_TOPO_DUMP_FILE=file.xml; the graphs of NCCL_GRAPH_DUMP_FILE are another thing"
        raise TopologyError(root.fault('a topology dump is <system version="1">', hint))
    faults = list(_misplaced(root))
    if faults:
        raise TopologyError(faults)
    machine = _Machine(asked, root)
    for cpu in root.children:
        machine.add_cpu(cpu)
    return machine.graph()


def _misplaced(element: Element) -> Iterator[Fault]:
    allowed = _CHILDREN.get(element.tag, ())
    for child in element.children:
        if child.tag not in allowed:
            yield child.fault(f"not known inside <{element.tag}>; allowed: {', '.join(allowed) or 'nothing'}")
        yield from _misplaced(child)


class _Machine:
    """The graph of a dump in the making."""

    def __init__(self, asked: Asked, root: Element) -> None:
        self.asked, self.root = asked, root
        hashes = dict.fromkeys(cpu.attributes.get("host_hash", "") for cpu in root.children)
        self.hosts = {host_hash: f"host{number}" for number, host_hash in enumerate(hashes)}
        self.nodes: dict[str, DrawnNode] = {}
        self.edges: list[DrawnEdge] = []
        self.faults: list[Fault] = []
        self.gpu_by_bus: dict[str, str] = {}
        self.cpus: dict[str, list[str]] = {}
        self.nvlinks: list[tuple[str, str, Element]] = []  # GPU, host, <nvlink>

    def add_cpu(self, cpu: Element) -> None:
        host = self.hosts[cpu.attributes.get("host_hash", "")]
        # A virtual machine may not know its NUMA nodes, and says -1.
        numa = cpu.attributes.get("numaid", "")
        name = self._add(cpu, host, "cpu" if numa == "-1" else f"cpu{self._number(cpu, 'numaid')}", "cpu")
        self.cpus.setdefault(host, []).append(name)
        for pci in cpu.all("pci"):
            self._add_pci(pci, host, name, name)
        for index, nic in enumerate(cpu.all("nic")):
            hub = self._add(nic, host, f"{name.rpartition('/')[2]}-nic{index}", "nic")
            self.edges.append(self.asked.edge(hub, name, None))  # NCCL takes it as local to the CPU
            self._add_nets(nic, host, hub)

    def _add_pci(self, pci: Element, host: str, parent: str, cpu: str) -> None:
        bus = pci.attributes.get("busid", "")
        if not bus:
            self.faults.append(pci.fault("has no busid"))
        gpus, nics = list(pci.all("gpu")), list(pci.all("nic"))
        if pci.attributes.get("class", "").startswith(_GPU_CLASS) and not gpus:
            hint = "dump the topology of a running job with NCCL_TOPO_DUMP_FILE"
            self.faults.append(
                pci.fault("a GPU's device without <gpu>: this is a file for NCCL, not a dump of it", hint)
            )
        kind = "gpu" if gpus else "nic" if nics else "pcie"
        own = f"gpu{self._number(gpus[0], 'dev')}" if gpus else f"{kind}-{bus}"
        name = self._add(pci, host, own, kind)
        c2c = next((c2c for gpu in gpus for c2c in gpu.all("c2c")), None)
        if c2c:
            self.edges.append(self._c2c(c2c, name, cpu))
        if not c2c or parent != cpu:
            self.edges.append(self.asked.edge(name, parent, self._pcie_bytes_per_s(pci)))
        if len(gpus) + len(nics) > 1:
            self.faults.append(pci.fault("holds several devices; only one is known how to read"))
        for gpu in gpus[:1]:
            if f"{host}/{bus}" in self.gpu_by_bus:
                self.faults.append(pci.fault(f"the busid {bus!r} is that of {self.gpu_by_bus[f'{host}/{bus}']}, too"))
            self.gpu_by_bus[f"{host}/{bus}"] = name
            self.nvlinks += ((name, host, nvlink) for nvlink in gpu.all("nvlink"))
        for nic in nics:
            self._add_nets(nic, host, name)
        for child in pci.all("pci"):
            self._add_pci(child, host, name, cpu)

    def _add_nets(self, nic: Element, host: str, hub: str) -> None:
        for net in nic.all("net"):
            if "dev" not in net.attributes:
                continue  # NCCL, too, passes over what has no device number
            own = net.attributes.get("name", "")
            taken = not own or any(self._full(host, own) == name for name in self.nodes)
            name = self._add(net, host, f"{own or 'net'}:{self._number(net, 'dev')}" if taken else own, "net")
            self.edges.append(self.asked.edge(name, hub, Fraction(self._number(net, "speed", 1) * 10**6, 8)))

    def _c2c(self, c2c: Element, gpu: str, cpu: str) -> DrawnEdge:
        megabytes_per_s = self._number(c2c, "bw", 1) * self._number(c2c, "count", 1)
        return self.asked.edge(gpu, cpu, Fraction(megabytes_per_s * 10**6))

    def _pcie_bytes_per_s(self, pci: Element) -> Fraction:
        speed = _SPEED.fullmatch(pci.attributes.get("link_speed", ""))
        lane = BYTES_PER_S_OF_LANE.get(Fraction(speed[1])) if speed else None
        width = pci.attributes.get("link_width", "")
        if lane and width.isdecimal() and 0 < int(width) <= 32:
            return lane * int(width)
        return self.asked.bandwidth("pcie-bandwidth", f"PCIe at {pci.attributes.get('busid', '')}")

    def _add(self, element: Element, host: str, own_name: str, kind: str) -> str:
        name = self._full(host, own_name)
        if name in self.nodes:
            self.faults.append(element.fault(f"{name} stands in the dump twice"))
        self.nodes[name] = DrawnNode(name, {"kind": kind, "host": host})
        return name

    def _full(self, host: str, own_name: str) -> str:
        """Return a node's name among those of all hosts of the dump."""
        return own_name if len(self.hosts) == 1 else f"{host}/{own_name}"

    def _number(self, element: Element, key: str, smallest: int = 0) -> int:
        text = element.attributes.get(key, "")
        if text.isdecimal() and len(text) < 10 and int(text) >= smallest:
            return int(text)
        self.faults.append(element.fault(f"{key}: got {text!r}; a whole number from {smallest} is needed"))
        return smallest

    def _join_gpus(self) -> None:
        """Add the NVLinks: to the host's switch, or to the other GPU, which must count as many."""
        if not self.nvlinks:
            return
        nvlink = self.asked.bandwidth("link-bandwidth", "an NVLink")
        to_switch: dict[tuple[str, str], int] = {}
        direct: dict[tuple[str, str], tuple[int, Element]] = {}
        for gpu, host, element in self.nvlinks:
            count = self._number(element, "count", 1)
            other = self.gpu_by_bus.get(f"{host}/{element.attributes.get('target', '')}")
            if element.attributes.get("tclass", "").startswith(_SWITCH_CLASS):
                to_switch[gpu, host] = to_switch.get((gpu, host), 0) + count
            elif other is None or other == gpu:
                target = element.attributes.get("target", "")
                self.faults.append(
                    element.fault(f"target {target!r} is no other GPU of the dump, and no NVLink switch")
                )
            else:
                direct[gpu, other] = count, element
        for (gpu, host), count in to_switch.items():
            switch = self._full(host, "nvswitch")
            self.nodes.setdefault(switch, DrawnNode(switch, {"kind": "nvswitch", "host": host}))
            self.edges.append(self.asked.edge(gpu, switch, nvlink * count))
        for (gpu, other), (count, element) in direct.items():
            back = direct.get((other, gpu), (0, element))[0]
            if back != count:
                self.faults.append(element.fault(f"{count} links from {gpu} to {other}, and {back} back"))
            elif gpu < other:
                self.edges.append(self.asked.edge(gpu, other, nvlink * count))

    def graph(self) -> DrawnGraph:
        self._join_gpus()
        for cpus in self.cpus.values():
            for first, second in combinations(cpus, 2):
                between = self.asked.bandwidth("socket-bandwidth", "the link between two CPUs")
                self.edges.append(self.asked.edge(first, second, between))
        if not self.gpu_by_bus:
            self.faults.append(self.root.fault("there is no <gpu> in the dump"))
        if self.faults:
            raise TopologyError(self.faults)
        self.asked.raise_if_missing()
        gpus = sorted(self.gpu_by_bus.values(), key=_host_and_number)
        # Of ways of equally few hops a route takes that over the first node: NVLink switches come before bridges.
        others = sorted(
            (name for name in self.nodes if self.nodes[name].attributes["kind"] != "gpu"),
            key=lambda name: self.nodes[name].attributes["kind"] != "nvswitch",
        )
        return DrawnGraph(tuple(self.nodes[name] for name in (*gpus, *others)), tuple(self.edges))


def _host_and_number(gpu: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"[0-9]+", gpu))
