"""The matrix that ``nvidia-smi topo -m`` prints: which devices there are, and how each two are connected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clustersim.errors import Fault, Position, TopologyError

PCIE_CODES = ("PIX", "PXB", "PHB", "NODE", "SYS")
"""From near to far: over one PCIe bridge, several, a host bridge, a NUMA node's interconnect, between NUMA nodes."""

_TERMINAL_CODE = re.compile("\x1b\\[[0-9;]*[A-Za-z]")
_CELL = re.compile(r"\S+")
_GPU = re.compile(r"GPU[0-9]{1,4}", re.ASCII)
_NVLINKS = re.compile(r"NV([1-9][0-9]?)", re.ASCII)
_CPUS = re.compile(r"[0-9]+(?:[-,][0-9]+)*", re.ASCII)
_END_OF_HEADER = ("CPU", "NUMA", "GPU")  # "CPU Affinity", "NUMA Affinity", "GPU NUMA ID"
_OLD_NAMES = {"SOC": "SYS"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One code of the matrix."""

    code: str
    position: Position

    @property
    def num_nvlinks(self) -> int:
        """Number of NVLinks between the two devices."""
        match = _NVLINKS.fullmatch(self.code)
        return int(match[1]) if match else 0

    @property
    def pcie_level(self) -> int | None:
        """Place in `PCIE_CODES`; None for NVLinks, which hide it."""
        return PCIE_CODES.index(self.code) if self.code in PCIE_CODES else None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Devices, and a cell for each two: ``cells[row][column]``, the same both ways round."""

    devices: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    cpus: tuple[str, ...]  # "CPU Affinity" of each device, as printed; empty if there is none

    @property
    def gpus(self) -> tuple[int, ...]:
        """Places of the GPUs among the devices."""
        return tuple(place for place, name in enumerate(self.devices) if _GPU.fullmatch(name))

    def are_near_the_same_cpus(self, first: int, second: int) -> bool:
        """Return whether two devices have the same CPU affinity."""
        return self.cpus[first] == self.cpus[second] != ""

    def pairs(self) -> Iterator[tuple[int, int, Cell]]:
        """Yield each two devices once, with the cell in the row of the later one."""
        for row in range(len(self.devices)):
            for column in range(row):
                yield column, row, self.cells[row][column]


def read_matrix(file: str, text: str) -> Matrix:
    """Return the matrix in the output of ``nvidia-smi topo -m``.

    Raises
    ------
    TopologyError
        No matrix, a cell that is no code (two that ran together, for one), or cells that contradict one another.
    """
    lines = [_TERMINAL_CODE.sub("", line) for line in text.splitlines()]
    start = next((number for number, line in enumerate(lines) if _is_header(line)), None)
    if start is None:
        hint = "save the output of `nvidia-smi topo -m` as it is"
        what = "no line with the names of GPUs: this is no matrix of devices"
        raise TopologyError(Fault("", what, Position(file, 1, 1), hint))
    faults: list[Fault] = []
    devices = _header_names(file, start, lines[start], faults)
    rows = lines[start + 1 :][: len(devices)]
    cells = [_row(file, start + 1 + number, line, devices, number, faults) for number, line in enumerate(rows)]
    for name in devices[len(rows) :]:
        what = f"the row of {name} is missing: the matrix ends after {len(rows)} rows"
        faults.append(Fault("", what, Position(file, len(lines) + 1, 1)))
    faults += _surplus_rows(file, start + 1 + len(devices), lines)
    if not faults:
        faults += _contradictions(devices, cells)
    if faults:
        raise TopologyError(faults)
    cpus = (_CELL.findall(line)[len(devices) + 1 :][:1] for line in rows)
    return Matrix(devices, tuple(cells), tuple(cpu[0] if cpu and _CPUS.fullmatch(cpu[0]) else "" for cpu in cpus))


def _is_header(line: str) -> bool:
    names = line.split()
    return bool(names) and _GPU.fullmatch(names[0]) is not None and "X" not in names


def _header_names(file: str, line_index: int, line: str, faults: list[Fault]) -> tuple[str, ...]:
    """Return the devices that the header names; one that it names twice is added to `faults`."""
    names: dict[str, None] = {}
    for match in _CELL.finditer(line):
        if match[0] in _END_OF_HEADER:
            break
        if match[0] in names:
            place = Position(file, line_index + 1, match.start() + 1, line)
            faults.append(Fault("", f"the column of {match[0]} stands there twice", place))
        names[match[0]] = None
    return tuple(names)


def _surplus_rows(file: str, first: int, lines: Sequence[str]) -> Iterator[Fault]:
    """Yield the rows that go on where the matrix should end, at an empty line or the end of the file."""
    for index, line in enumerate(lines[first:], start=first):
        cells = _CELL.findall(line)
        if len(cells) < 2 or not _is_code(cells[1]):
            return
        place = Position(file, index + 1, line.index(cells[0]) + 1, line)
        yield Fault("", f"the row of {cells[0]} has no column", place)


def _is_code(text: str) -> bool:
    return text == "X" or text in PCIE_CODES or text in _OLD_NAMES or _NVLINKS.fullmatch(text) is not None


def _row(
    file: str, line_index: int, line: str, devices: Sequence[str], row: int, faults: list[Fault]
) -> tuple[Cell, ...]:
    """Return the codes of one row; what is wrong with it is added to `faults`."""
    found = [
        Cell(_OLD_NAMES.get(m[0], m[0]), Position(file, line_index + 1, m.start() + 1, line))
        for m in _CELL.finditer(line)
    ]
    name, codes = found[:1], tuple(found[1 : len(devices) + 1])
    if not name or name[0].code != devices[row]:
        got = repr(name[0].code) if name else "an empty line"
        place = name[0].position if name else Position(file, line_index + 1, 1, line)
        faults.append(Fault("", f"got {got}; the row of {devices[row]} is expected here", place))
        return codes
    wrong = [cell for cell in codes if cell.code != "X" and not cell.num_nvlinks and cell.pcie_level is None]
    if wrong:
        allowed = f"codes are X, NV1, NV2 ..., {', '.join(PCIE_CODES)}"
        what = f"row {devices[row]}: got {wrong[0].code!r}; {allowed}"
        faults.append(Fault("", what, wrong[0].position, "two cells may have run together"))
    elif len(found) > len(devices) + 1 and _is_code(found[len(devices) + 1].code):
        what = f"row {devices[row]}: got a code more than there are devices ({len(devices)})"
        faults.append(Fault("", what, found[len(devices) + 1].position))
    elif len(codes) < len(devices):
        what = f"row {devices[row]} has {len(codes)} codes; {len(devices)} are needed"
        faults.append(Fault("", what, name[0].position))
    return codes


def _contradictions(devices: Sequence[str], cells: Sequence[Sequence[Cell]]) -> Iterator[Fault]:
    for row, codes in enumerate(cells):
        for column, cell in enumerate(codes):
            if (cell.code == "X") != (row == column):
                what = "X stands for a device itself, and only for that"
                yield Fault("", f"row {devices[row]}, column {devices[column]}: got {cell.code}; {what}", cell.position)
            elif column < row and cell.code != cells[column][row].code:
                what = f"got {cell.code}; the other way round it is {cells[column][row].code}"
                yield Fault("", f"row {devices[row]}, column {devices[column]}: {what}", cell.position)
