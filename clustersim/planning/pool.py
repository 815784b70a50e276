"""Processes of our own for a sweep, and executors that a user brings."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.context import BaseContext

from clustersim.errors import ClustersimError
from clustersim.planning.work import begin_worker

Factory = Callable[[], Executor | AbstractContextManager[Executor]]
"""Makes an executor, or a context that opens and closes one: a class such as ThreadPoolExecutor, or any function."""


def num_processors() -> int:
    """Return how many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class ExecutorError(ClustersimError):
    """An executor that runs nothing."""


@contextmanager
def processes(jobs: int) -> Iterator[Executor]:
    """Yield a pool of processes; on the way out after an error they end at once, whatever they do."""
    context = _context()
    theirs, ours = context.Pipe(duplex=False)
    with theirs, ours:
        pool = ProcessPoolExecutor(jobs, context, begin_worker, (theirs,))
        try:
            yield pool
        except BaseException:
            ours.close()
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()


@contextmanager
def brought(factory: Factory) -> Iterator[Executor]:
    """Yield the executor that a user's function makes; after an error it does not wait for its tasks."""
    made = factory()
    if not isinstance(made, Executor | AbstractContextManager):
        what = f"it makes {type(made).__name__}, no concurrent.futures.Executor and no context that yields one"
        raise ExecutorError(f"the executor can't be used: {what}")
    if not isinstance(made, Executor):
        with made as executor:
            yield executor
        return
    try:
        yield made
    except BaseException:
        made.shutdown(wait=False)
        raise
    made.shutdown()


def _context() -> BaseContext:
    """Return how processes are started: from a clean process that has imported what they need, where that is possible.

    Never by forking this one: it may have threads, and the store's file open.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["clustersim.planning.work"])
    return context
