"""Slurm's ``topology.conf``: a unit a line, as ``SwitchName=s1 Nodes=n[0-3]``.

References
----------
Slurm, ``man topology.conf``: topology/tree, topology/block and topology/ring.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from clustersim.errors import Fault, Position, TopologyError, nearest
from clustersim.topology.importers.slurm_units import Shape, SlurmTopology, Unit, hosts_of_list

_ASSIGNMENT = re.compile(r"\S+")
_SHAPES: dict[str, Shape] = {"switchname": "tree", "blockname": "block", "ringname": "ring"}
_SPELLING = {
    key.lower(): key for key in ("SwitchName", "Switches", "Nodes", "LinkSpeed", "BlockName", "BlockSizes", "RingName")
}
_WITHOUT_A_NAME = ("blocksizes",)  # how Slurm groups blocks when it plans; no wires

Line = dict[str, tuple[str, Position]]


def read_slurm_conf(file: str, text: str) -> SlurmTopology:
    """Return the topology of a ``topology.conf``.

    Raises
    ------
    TopologyError
        Keys that there are not, lines without a name, or units of several shapes.
    """
    faults: list[Fault] = []
    units: list[Unit] = []
    shapes: dict[Shape, Position] = {}
    for line in _lines(file, text, faults):
        names = [key for key in _SHAPES if key in line]
        if len(names) != 1:
            if not all(key in _WITHOUT_A_NAME for key in line):
                first = next(iter(line.values()))[1]
                faults.append(Fault("", "a line has one of SwitchName, BlockName and RingName", first))
            continue
        name, position = line[names[0]]
        if not name:
            faults.append(Fault("", f"{_SPELLING[names[0]]} has no name after it", position))
        shapes.setdefault(_SHAPES[names[0]], position)
        try:
            hosts, switches = (hosts_of_list(*line[key]) if key in line else () for key in ("nodes", "switches"))
            units.append(Unit(name, position, hosts, switches))
        except TopologyError as error:
            faults += error.faults
    if len(shapes) > 1:
        faults.append(Fault("", f"units of several shapes: {', '.join(shapes)}", list(shapes.values())[1]))
    if not shapes and not faults:
        what = "there is no SwitchName, BlockName or RingName in the file"
        faults.append(Fault("", what, Position(file, 1, 1)))
    if faults:
        raise TopologyError(faults)
    return SlurmTopology(next(iter(shapes)), tuple(units))


def _lines(file: str, text: str, faults: list[Fault]) -> Iterator[Line]:
    """Yield the assignments of each line, the keys in lower case; a backslash at its end goes on with the next."""
    continued: Line = {}
    for number, written in enumerate(text.splitlines(), start=1):
        line = written.partition("#")[0].rstrip()
        goes_on = line.endswith("\\")
        for match in _ASSIGNMENT.finditer(line.removesuffix("\\")):
            key, equals, value = match[0].partition("=")
            position = Position(file, number, match.start() + 1, written[:200])
            if not equals or key.lower() not in _SPELLING:
                hint = nearest(key, list(_SPELLING.values()))
                faults.append(Fault("", f"got {match[0]!r}; keys are {', '.join(_SPELLING.values())}", position, hint))
            elif key.lower() in continued:
                faults.append(Fault("", f"{_SPELLING[key.lower()]} stands twice in one line", position))
            else:
                continued[key.lower()] = value, position
        if continued and not goes_on:
            yield continued
            continued = {}
    if continued:
        yield continued
