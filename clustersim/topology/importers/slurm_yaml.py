"""Slurm's ``topology.yaml``: a list of topologies, each a tree, blocks, rings or tori.

References
----------
Slurm, ``man topology.yaml``; topology/torus3d is new in 26.05.
"""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.errors import Fault, Position, ScenarioError, TopologyError, nearest
from clustersim.scenario.node import Node
from clustersim.scenario.read_yaml import read_yaml
from clustersim.scenario.text import Text
from clustersim.topology.importers.slurm_units import Shape, SlurmTopology, Unit, hosts_of_list

# shape -> key of the list of its units, key of a unit's name
_UNITS: dict[Shape, tuple[str, str]] = {
    "tree": ("switches", "switch"),
    "block": ("blocks", "block"),
    "ring": ("rings", "ring"),
    "torus3d": ("toruses", "name"),
}


def read_slurm_yaml(file: str, text: str, chosen: str | None) -> SlurmTopology:
    """Return one topology of a ``topology.yaml``: that called `chosen`, or else the cluster's default, or the only one.

    Raises
    ------
    TopologyError
        No list of topologies, none or several to choose from, or one that says nothing of the network.
    """
    try:
        root = read_yaml(Text(file, text))
    except ScenarioError as error:
        raise TopologyError(error.faults) from None
    node = _chosen(root, _by_name(root), chosen)
    shapes = [shape for shape in _UNITS if shape in node.entries]
    if len(shapes) != 1:
        why = "several of" if shapes else "none of"
        rule = "it has one" if shapes else "it says nothing of the network"
        raise _error(node, f"'{_text(node, 'topology')}' has {why} {', '.join(_UNITS)}: {rule}")
    listed, name_key = _UNITS[shapes[0]]
    units = _value(node.entries[shapes[0]].node, listed)
    if not units.items:
        raise _error(units, f"{listed}: must be a list of one item at least")
    return SlurmTopology(shapes[0], tuple(_read_units(units.items, name_key)))


def _by_name(root: Node) -> dict[str, Node]:
    named: dict[str, Node] = {}
    for node in root.items:
        name = _text(node, "topology")
        if name in named:
            raise _error(node.entries["topology"].node, f"the topology '{name}' stands in the file twice")
        named[name] = node
    if not named:
        raise _error(root, "a topology.yaml is a list of topologies")
    return named


def _read_units(nodes: Sequence[Node], name_key: str) -> list[Unit]:
    """Return the units that `nodes` describe; TopologyError has the first mistake of each."""
    units: list[Unit] = []
    faults: list[Fault] = []
    for node in nodes:
        try:
            units.append(_unit(node, name_key))
        except TopologyError as error:
            faults += error.faults
    if faults:
        raise TopologyError(faults)
    return units


def _chosen(root: Node, named: dict[str, Node], chosen: str | None) -> Node:
    if chosen is not None:
        if chosen not in named:
            hint = nearest(chosen, list(named)) or f"there are {', '.join(named)}"
            raise TopologyError(Fault("--topology", f"there is no topology '{chosen}' in the file", hint=hint))
        return named[chosen]
    defaults = [node for node in named.values() if _is_default(node)]
    if not defaults and len(named) > 1:
        raise _error(root, f"several topologies and no cluster_default; choose one of {', '.join(named)} by --topology")
    return (defaults or list(named.values()))[0]


def _is_default(node: Node) -> bool:
    entry = node.entries.get("cluster_default")
    return entry is not None and str(entry.node.value).lower() in ("true", "yes", "on")  # as Slurm's own reader has it


def _unit(node: Node, name_key: str) -> Unit:
    dims = node.entries.get("dims")
    sizes = tuple(_size(dims.node, axis) for axis in ("x", "y", "z")) if dims else ()
    hosts, switches = (_hosts(node, key) for key in ("nodes", "children"))
    return Unit(_text(node, name_key), _position(node), hosts, switches, sizes)


def _hosts(node: Node, key: str) -> tuple[str, ...]:
    if key not in node.entries:
        return ()
    return hosts_of_list(_text(node, key), _position(node.entries[key].node))


def _size(dims: Node, axis: str) -> int:
    value = _value(dims, axis)
    if type(value.value) is not int or not 0 < value.value <= 1000:
        raise _error(value, f"{axis}: got {value.value!r}; a size is a whole number from 1 to 1000")
    return value.value


def _text(node: Node, key: str) -> str:
    value = _value(node, key)
    if type(value.value) not in (str, int) or value.value == "":
        raise _error(value, f"{key}: must be text")
    return str(value.value)


def _value(node: Node, key: str) -> Node:
    if key not in node.entries:
        raise _error(node, f"the key '{key}' is missing; given: {_shown(list(node.entries))}")
    return node.entries[key].node


def _shown(keys: Sequence[str]) -> str:
    return ", ".join(keys) or "none"


def _position(node: Node) -> Position:
    return node.position or Position("", 1, 1)


def _error(node: Node, what: str) -> TopologyError:
    return TopologyError(Fault("", what, node.position))
