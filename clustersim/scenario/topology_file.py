"""The topology that a scenario or a command names: a gallery name, a path, or the topology itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from clustersim.errors import Fault, ScenarioError, TopologyError, nearest
from clustersim.scenario.devices import device_names, is_device_file, load_device, unknown_device
from clustersim.scenario.document import READERS, read_document
from clustersim.scenario.fabrics import MAX_GPUS, Fabric, GraphFile, HostedFabric, Topology
from clustersim.scenario.faults import faults_of
from clustersim.scenario.gallery import gallery_file, gallery_names
from clustersim.scenario.node import Node, Path, Place, child, locate, plain, with_child
from clustersim.scenario.override import OptionPosition
from clustersim.scenario.placement import Placement, scaled_for

SIZES = ("nodes", "gpus", "dims")
"""Keys that decide how large a topology is; a gallery topology has them as ``cluster.gpus`` asks."""
TOPOLOGY: TypeAdapter[Any] = TypeAdapter(Topology, config=ConfigDict(defer_build=True))


@dataclass(frozen=True, slots=True)
class TopologySource:
    """Where a topology was read."""

    name: str
    root: Node
    sha256: str  # of the file as it was read
    folder: FilePath  # from which its own paths start
    is_gallery: bool

    def sha256_of(self, root: Node) -> str:
        """Return the hash of the file, or of the values of `root` if they were changed after reading."""
        return self.sha256 if root is self.root else sha256_of_values(root)


def sha256_of_values(root: Node) -> str:
    """Return the hash of a document's values as canonical JSON."""
    return hashlib.sha256(json.dumps(plain(root), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_topology(name: Node, folder: FilePath, where: str = "cluster.topology") -> TopologySource:
    """Return the topology file that the text `name` stands for.

    Parameters
    ----------
    name
        A gallery name, or the path of a file with one of the known suffixes.
    folder
        Folder from which a relative path starts.
    where
        Dotted key of `name`, for messages.
    """
    text = str(name.value)
    fault = Fault(where, text, name.position)
    if "://" in text:
        raise ScenarioError(Fault(where, f"'{text}' is a URL; a topology is a gallery name or a file", name.position))
    is_path = FilePath(text).suffix.lower() in READERS
    path = folder / text if is_path else gallery_file("topologies", text)
    if path is None:
        names = gallery_names("topologies")
        hint = nearest(text, names) or f"gallery: {', '.join(names)}; or a path that ends in {', '.join(READERS)}"
        raise ScenarioError(Fault(where, f"no topology is called '{text}'", name.position, hint))
    document = read_document(path, fault=fault)
    return TopologySource(text, document.root, document.sha256, path.parent, not is_path)


def validated_topology(
    root: Node, source: TopologySource | None, folder: FilePath, gpus: object, placement: object = None
) -> Fabric:
    """Return the fabric that `root` describes, its files looked up and a gallery topology scaled to `gpus`.

    Paths start at the file in which they stand, or else at `folder`. `placement` is what the scenario says of it: hosts
    that it names or leaves out are there beside the others.

    Raises
    ------
    ValidationError
        Mistakes in `root`.
    """
    fabric: Fabric = TOPOLOGY.validate_python(plain(_with_device_paths(root, folder)))
    sized_by_option = any(
        isinstance(entry.position, OptionPosition) for key, entry in root.entries.items() if key in SIZES
    )
    if source and source.is_gallery and type(gpus) is int and 0 < gpus <= MAX_GPUS and not sized_by_option:
        fabric = scaled_for(fabric, gpus, _placement(placement))
    return fabric.resolved(source.folder if source else folder)


def _with_device_paths(root: Node, folder: FilePath) -> Node:
    """Return a topology's document with whole paths of the device files that it names."""
    for path in _device_paths(root):
        root = _with_device_path(root, path, folder)
    return root


def _with_device_path(node: Node, path: Path, folder: FilePath) -> Node:
    if not path:
        file = FilePath(node.position.file) if node.position else folder
        base = file.parent if file.is_file() else folder
        return replace(node, value=str((base / str(node.value)).absolute()))
    entry = child(node, path[0])
    assert entry is not None
    return with_child(node, path[0], replace(entry, node=_with_device_path(entry.node, path[1:], folder)))


def _device_paths(root: Node) -> list[Path]:
    """Return where a topology's document names a device file."""
    return [path for path, name in _devices(root) if isinstance(name, str) and is_device_file(name)]


def _devices(topology: Node) -> list[tuple[Path, object]]:
    """Return where a topology's document names a device, and what stands there."""
    hosts = topology.entries["hosts"].node.items if "hosts" in topology.entries else ()
    holders: list[tuple[Path, Node]] = [((), topology), *((("hosts", index), host) for index, host in enumerate(hosts))]
    given = ((path, child(holder, "device")) for path, holder in holders)
    return [((*path, "device"), entry.node.value) for path, entry in given if entry]


def _placement(value: object) -> Placement:
    """Return a placement from what a scenario says; that of a scenario that says nothing if it has mistakes."""
    try:
        return Placement() if value is None else Placement.model_validate(value)
    except ValidationError:
        return Placement()


def load_topology(name: str | FilePath, gpus: int | None = None) -> Fabric:
    """Return the topology called `name`: in the gallery, or in a file.

    Parameters
    ----------
    name
        Gallery name, or path from the current folder.
    gpus
        Size to which a gallery topology is built; absent: as it stands.

    Raises
    ------
    TopologyError
        No such topology, or one with mistakes; all of them.
    """
    try:
        source = read_topology(Node(str(name)), FilePath(), "topology")
    except ScenarioError as error:
        raise TopologyError(error.faults) from None
    try:
        fabric = validated_topology(source.root, source, source.folder, gpus)
    except ValidationError as error:
        faults = [*missing_faults(None, source.root), *faults_of(error, Topology, source.root)]
        raise TopologyError(faults) from None
    faults = missing_faults(fabric, source.root)
    if faults:
        raise TopologyError(faults)
    return fabric


def missing_faults(fabric: Fabric | None, root: Node, topology: Node | None = None, path: Path = ()) -> list[Fault]:
    """Return the faults of a ``device`` that the catalogue lacks, and of a graph ``file`` that is not there.

    Parameters
    ----------
    fabric
        What the topology describes, its files looked up; None if it has mistakes.
    root
        The document.
    topology
        The topology in it; absent: the document itself.
    path
        Where in the document it stands.
    """
    faults: list[Fault] = []
    for key, name in _devices(topology or root):
        place = locate(root, (*path, *key))
        if isinstance(name, str) and is_device_file(name):
            faults += _device_file_faults(fabric, key, name, place)
        elif isinstance(name, str) and name not in device_names():
            faults.append(unknown_device(name, place))
    if isinstance(fabric, GraphFile) and not FilePath(fabric.file).is_file():
        file = (topology or root).entries["file"].node.value
        place = locate(root, (*path, "file"))
        faults.append(Fault(place.written, f"'{file}': no such file", place.nearest))
    return faults


def _device_file_faults(fabric: Fabric | None, key: Path, name: str, place: Place) -> Sequence[Fault]:
    """Return what is wrong with the device file that stands at `key` as `name`; its path is in the fabric."""
    if fabric is None:
        return ()
    hosts = fabric.hosts if isinstance(fabric, HostedFabric) else ()
    path = fabric.device if len(key) == 1 else hosts[int(key[1])].device
    if not FilePath(str(path)).is_file():
        return (Fault(place.written, f"'{name}': no such file", place.nearest),)
    try:
        load_device(str(path))
    except ScenarioError as error:
        return error.faults
    return ()
