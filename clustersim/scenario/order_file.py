"""The file that a scenario names under ``schedule.csv``: an order in PyTorch's CSV form."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from clustersim.errors import Fault, OrderError, Position, ScenarioError, ScheduleError
from clustersim.scenario.batch import deal_samples
from clustersim.scenario.document import decode, read_bytes
from clustersim.scenario.node import Node, locate
from clustersim.scenario.schedule_choice import ScheduleChoice

if TYPE_CHECKING:
    from clustersim.ops import Schedule
    from clustersim.scenario.spec import Scenario


@dataclass(frozen=True, slots=True)
class OrderFile:
    """A file as it was read, and the order in it."""

    schedule: Schedule
    sha256: str


def read_order(choice: ScheduleChoice, folder: FilePath, position: Position | None = None) -> OrderFile:
    """Return the order in the CSV file of `choice`.

    Parameters
    ----------
    choice
        A choice that names a CSV file.
    folder
        Folder from which a relative path starts.
    position
        Where the scenario names the file.

    Raises
    ------
    ScenarioError
        No such file, or mistakes in it; all of them, with their rows and cells.
    """
    from clustersim.schedules.torch_csv import MAX_BYTES, schedule_from_csv  # few scenarios bring an order

    name = str(choice.csv)
    path = folder / name
    data = read_bytes(path, name, Fault("schedule.csv", name, position), MAX_BYTES)
    try:
        schedule = schedule_from_csv(decode(data, str(path)).text, choice.label, choice.num_chains, str(path))
    except OrderError as error:
        raise ScenarioError(error.faults) from None
    return OrderFile(schedule, hashlib.sha256(data).hexdigest())


def order_faults(order: OrderFile, scenario: Scenario, root: Node) -> list[Fault]:
    """Return what keeps an order from being run in `scenario`: another number of ranks, chunks or micro-batches.

    `root` is the scenario's document.
    """
    from clustersim.ops import Shape
    from clustersim.schedules.brought import require_shape

    parallelism = scenario.parallelism
    shares = deal_samples(scenario.batch, parallelism.dp)
    for num_microbatches in dict.fromkeys(share.num_microbatches for share in shares):
        try:
            require_shape(order.schedule, Shape(parallelism.pp, num_microbatches, parallelism.vpp))
        except ScheduleError as error:
            return [Fault("schedule.csv", str(error), locate(root, ("schedule", "csv")).nearest)]
    return []
