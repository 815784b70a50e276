"""A sweep of small points, and ways to run it that a test process must be able to pass to others."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import clustersim as cs
from clustersim.planning.work import Done, Task, begin_worker, run_task
from clustersim.scenario.load import scenario_from_mapping

DEADLY_SEED = 7
AXES = {"schedule": ["gpipe", "1f1b"], "batch.num_microbatches": [0, 1, 2, 4], "seed": [1, 2, 3]}
"""24 points, of which 6 are refused."""


def scenario(**sections: Any) -> cs.Scenario:
    mapping: dict[str, Any] = {
        "version": 1,
        "name": "small",
        "stage_costs": {"forward": "1 ms", "input_grad": "1 ms", "weight_grad": "1 ms"},
        "cluster": {"topology": {"fabric": "full-mesh", "gpus": 2}},
        "parallelism": {"pp": 2},
        "batch": {"num_microbatches": 2},
        "schedule": "1f1b",
    }
    return scenario_from_mapping(mapping | sections)


def deadly_task(task: Task) -> Done:
    """Do a task, unless a point of it ends its worker: then first leave a note in the file that the name names."""
    if any(values["seed"] == DEADLY_SEED for _, values in task.points):
        with Path(pickle.loads(task.base.data).scenario.name).open("a") as file:
            file.write(f"{len(task.points)} points\n")
        os.kill(os.getpid(), 9)
    return run_task(task)


@contextmanager
def forked() -> Iterator[Executor]:
    """Yield two processes that are there at once, as they are forked from one that has imported all."""
    context = get_context("fork")
    with ProcessPoolExecutor(2, context, begin_forked, context.Pipe(duplex=False)) as pool:
        yield pool


def begin_forked(theirs: Connection, ours: Connection) -> None:
    """Prepare a worker that was forked, and with it got the end of the lifeline that is not its own."""
    ours.close()
    begin_worker(theirs)


def sweep_and_tell(store: str, sender: Connection) -> None:
    """Run the sweep into a store, telling of each row, as a process that is to be killed."""
    cs.sweep(scenario(), AXES, store=store, jobs=2, executor=forked, on_row=lambda _row: sender.send_bytes(b"."))
