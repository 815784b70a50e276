"""What Slurm's topology files have in common: named units that hold hosts or other units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from clustersim.errors import Fault, Position, TopologyError
from clustersim.scenario.hostlist import expand_hostlist

Shape = Literal["tree", "block", "ring", "torus3d"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A switch, a block, a ring or a torus: its hosts, or the switches below it.

    Parameters
    ----------
    dims
        Sizes of a torus, x first; hosts run along x first.
    """

    name: str
    position: Position
    hosts: tuple[str, ...] = ()
    switches: tuple[str, ...] = ()
    dims: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SlurmTopology:
    """Units of one shape, in file order."""

    shape: Shape
    units: tuple[Unit, ...]


def hosts_of_list(text: str, position: Position) -> tuple[str, ...]:
    """Return the names in a host list that stands at `position`."""
    try:
        return expand_hostlist(text)
    except ValueError as error:
        raise TopologyError(Fault("", str(error), position)) from None


def check_units(units: Sequence[Unit]) -> None:
    """Raise TopologyError for names that stand twice or that nothing has, and for switches below themselves."""
    faults: list[Fault] = []
    known: dict[str, Unit] = {}
    holder: dict[tuple[str, str], str] = {}
    for unit in units:
        if unit.name in known:
            faults.append(Fault("", f"'{unit.name}' is defined twice", unit.position))
        known[unit.name] = unit
        if not unit.hosts and not unit.switches:
            faults.append(Fault("", f"'{unit.name}' has neither hosts nor switches", unit.position))
        for kind, names in (("host", unit.hosts), ("switch", unit.switches)):
            for name in names:
                if (kind, name) in holder:
                    what = f"the {kind} '{name}' is in '{unit.name}' and already in '{holder[kind, name]}'"
                    faults.append(Fault("", what, unit.position))
                holder[kind, name] = unit.name
    for unit in units:
        missing = [name for name in unit.switches if name not in known]
        faults += [
            Fault("", f"'{unit.name}' has a switch '{name}' that there is not", unit.position) for name in missing
        ]
    faults += [
        Fault("", f"'{unit.name}' is below itself", unit.position) for unit in units if _is_below_itself(unit, holder)
    ]
    if faults:
        raise TopologyError(faults)


def _is_below_itself(unit: Unit, holder: dict[tuple[str, str], str]) -> bool:
    seen = {unit.name: None}
    above = holder.get(("switch", unit.name))
    while above is not None and above not in seen:
        seen[above] = None
        above = holder.get(("switch", above))
    return above == unit.name
