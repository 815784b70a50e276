"""Where a sweep runs, if not on this machine alone: functions for `clustersim sweep --executor`. Copy and change them.

    pip install 'dask[distributed]'
    clustersim sweep bubble-by-batch -o results.db --executor dask_executor:local_cluster --jobs 4

Any function without parameters will do that returns a `concurrent.futures.Executor` or a context that yields one, as
will such a class. Workers need clustersim installed, and nothing else: a task brings its points along and gives back
their rows, and only the process that began the sweep writes the store. `--jobs` says how many tasks run at once, mostly
as many as there are workers; each gets one more, so that it never waits for the next.

MPI needs no function of its own (https://mpi4py.readthedocs.io/en/stable/mpi4py.futures.html):

    mpiexec -n 9 python -m mpi4py.futures -m clustersim sweep bubble-by-batch -o results.db \\
        --executor mpi4py.futures:MPIPoolExecutor --jobs 8

Where machines don't reach one another, give each a part, and merge the stores (`--shard 1/4` ... `4/4`,
`clustersim merge`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

NUM_WORKERS = 4


@contextmanager
def local_cluster() -> Iterator[Executor]:
    """Yield the executor of a dask cluster on this machine, for trying out: the store is the same as any other's."""
    from dask.distributed import Client, LocalCluster

    # no dashboard, and one thread a worker: a simulation keeps a processor busy by itself
    local = LocalCluster(n_workers=NUM_WORKERS, threads_per_worker=1, dashboard_address=None)
    with local as cluster, Client(cluster) as client:
        yield client.get_executor()


@contextmanager
def running_cluster() -> Iterator[Executor]:
    """Yield the executor of the dask cluster whose scheduler is at DASK_SCHEDULER_ADDRESS (tcp://host:8786)."""
    from dask.distributed import Client

    with Client(os.environ["DASK_SCHEDULER_ADDRESS"]) as client:
        yield client.get_executor()
