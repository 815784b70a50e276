"""Hands the points of a sweep to an executor, and gives their rows back as they are done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import AbstractContextManager
from itertools import count
from typing import Any

from clustersim.planning.pool import ExecutorError
from clustersim.planning.row import PlacedRow
from clustersim.planning.work import Base, Done, Task, failed_row, packed, run_task

Point = tuple[int, Mapping[str, Any]]
"""The position of a point, and its value on each axis."""

Open = Callable[[], AbstractContextManager[Executor]]
"""Opens an executor; once more where one broke."""

_TASK_S = 0.2  # what a task should take: long against handing it over, short against what a kill may lose
_MAX_POINTS_IN_TASK = 100
_TASKS_PER_JOB = 2  # one that runs, and one that waits for it


def dispatched(base: Base, points: Iterable[Point], open_executor: Open, jobs: int) -> Iterator[list[PlacedRow]]:
    """Yield rows of all points, in the order in which they are done.

    A worker that dies takes its executor with it. Then points that were at work are run once more, each alone; the one
    that ends another worker so is a failed row, and the others go on.

    Parameters
    ----------
    base
        What the points have in common.
    points
        What is to be run.
    open_executor
        Makes the executor.
    jobs
        How many tasks it runs at once.
    """
    dispatcher = _Dispatcher(base, points, jobs)
    while dispatcher.num_left:
        try:
            with open_executor() as executor:
                yield from dispatcher.rows(executor)
        except BrokenExecutor:
            dispatcher.suspect_all()


class _Dispatcher:
    def __init__(self, base: Base, points: Iterable[Point], jobs: int) -> None:
        self._base = packed(base)
        self._waiting: deque[Point] = deque(points)
        self._suspects: deque[Point] = deque()
        self._at_work: dict[Future[Done], tuple[Point, ...]] = {}
        self._jobs = jobs
        self._numbers = count()
        self._point_s = 0.0  # what a point takes, of late
        self._has_rows = False
        self._has_broken = False
        self._accused = ""  # what was said when the first suspect, alone, ended a worker

    @property
    def num_left(self) -> int:
        return len(self._waiting) + len(self._suspects) + sum(map(len, self._at_work.values()))

    def rows(self, executor: Executor) -> Iterator[list[PlacedRow]]:
        """Yield rows until all points are done; BrokenExecutor says that the rest needs another executor."""
        if self._has_broken:
            self._check(executor)
        if self._accused:
            yield [self._convicted()]
        while self._suspects:
            yield self._alone(executor, self._suspects[0])
        while self._waiting or self._at_work:
            while self._waiting and len(self._at_work) < _TASKS_PER_JOB * self._jobs:
                self._submit(executor, self._next_points())
            done, _ = wait(self._at_work, return_when=FIRST_COMPLETED)
            found, broken = self._collected(done)
            if found:
                yield found
            if broken is not None:
                raise broken
            while self._suspects:
                yield self._alone(executor, self._suspects[0])

    def suspect_all(self) -> None:
        """Take note that the executor broke, and that what was at work may have ended a worker."""
        self._has_broken = True
        for points in self._at_work.values():
            self._suspects.extend(points)
        self._at_work.clear()

    def _next_points(self) -> tuple[Point, ...]:
        """Return the points of the next task: as many as take its time, and few at the end, for all to have some."""
        size = min(_MAX_POINTS_IN_TASK, int(_TASK_S / self._point_s)) if self._point_s else 1
        fair = -(-len(self._waiting) // (_TASKS_PER_JOB * self._jobs))
        return tuple(self._waiting.popleft() for _ in range(max(1, min(size, fair))))

    def _submit(self, executor: Executor, points: tuple[Point, ...]) -> None:
        try:
            future = executor.submit(run_task, Task(next(self._numbers), self._base, points))
        except BrokenExecutor:
            self._waiting.extendleft(reversed(points))
            raise
        self._at_work[future] = points

    def _collected(self, futures: Iterable[Future[Done]]) -> tuple[list[PlacedRow], BrokenExecutor | None]:
        """Return the rows of tasks, and what broke the executor; a task that the executor lost has suspects."""
        found: list[PlacedRow] = []
        broken = None
        for future in futures:
            try:
                done = future.result()
            except BrokenExecutor as error:
                broken = error
                continue
            except Exception:
                self._suspects.extend(self._at_work.pop(future))
                continue
            del self._at_work[future]
            self._point_s = done.time_s / len(done.rows)
            found += done.rows
        self._has_rows = self._has_rows or bool(found)
        return found, broken

    def _alone(self, executor: Executor, point: Point) -> list[PlacedRow]:
        """Return the row of a suspect, run while no other point is begun; a failed row if it is lost once more."""
        future = executor.submit(run_task, Task(next(self._numbers), self._base, (point,)))
        try:
            rows = list(future.result().rows)
        except BrokenExecutor as error:
            if not self._at_work:  # else another one may have done it, and this one is run alone once more
                self._accused = str(error) or type(error).__name__
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            if not self._has_rows:
                raise ExecutorError(f"the executor can't run a point: {said}") from error
            rows = [(point[0], failed_row(point[1], f"the executor lost it twice: {said}"))]
        self._has_rows = True
        self._suspects.popleft()
        return rows

    def _check(self, executor: Executor) -> None:
        """Raise ExecutorError if workers can't even do a task without points: then no point is to blame."""
        try:
            executor.submit(run_task, Task(next(self._numbers), self._base, ())).result()
        except BrokenExecutor as error:
            what = f"workers end before they run anything: {error}"
            hint = 'a script that starts processes needs `if __name__ == "__main__":`'
            raise ExecutorError(f"{what}; {hint}") from error

    def _convicted(self) -> PlacedRow:
        """Return the failed row of the suspect that ended a worker once more, while others can still run."""
        position, values = self._suspects.popleft()
        reason, self._accused = f"it ended its worker twice: {self._accused}", ""
        return position, failed_row(values, reason)
