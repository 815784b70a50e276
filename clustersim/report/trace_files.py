"""A run as a file that trace viewers open: which format a name asks for."""

from __future__ import annotations

from pathlib import Path

from clustersim.errors import Fault, InputError
from clustersim.report.chrome_trace import write_chrome
from clustersim.report.excerpt import WHOLE, Excerpt, keep
from clustersim.report.kineto_trace import write_kineto
from clustersim.report.perfetto_trace import write_perfetto
from clustersim.report.timeline import timeline_of
from clustersim.trace import Trace

_WRITERS = {".json.gz": write_chrome, ".json": write_chrome, ".pftrace": write_perfetto}
"""Endings of names, the longer of two that both fit first."""


def check_trace_name(path: str) -> None:
    """Raise InputError if the name of a trace file asks for no format that there is."""
    _ending(path)


def write_trace(trace: Trace, path: Path, name: str = "", excerpt: Excerpt = WHOLE) -> None:
    """Write a run, or a part of it, to `path` for Perfetto or chrome://tracing, as its name ends; `name` is the job's.

    Raises
    ------
    InputError
        The name ends otherwise, or the run has no such part.
    """
    _WRITERS[_ending(str(path))](timeline_of(trace, name, excerpt), path)


def write_kineto_folder(trace: Trace, folder: Path, name: str = "", excerpt: Excerpt = WHOLE) -> list[Path]:
    """Return the files of PyTorch's profiler, a rank a file, written to `folder`, which is made if it is not there.

    Raises
    ------
    InputError
        `folder` is a file, or can't be made, or the run has no such part.
    """
    try:
        return write_kineto(keep(trace, excerpt), name, folder)
    except (FileExistsError, NotADirectoryError):
        raise InputError(Fault(str(folder), "not a folder; a profile is a file for each rank")) from None


def _ending(path: str) -> str:
    for ending in _WRITERS:
        if path.lower().endswith(ending):
            return ending
    what = f"a trace is written as one of {', '.join(_WRITERS)}; got {Path(path).name!r}"
    raise InputError(Fault(path, what, hint="name it so, such as trace.json.gz or trace.pftrace"))
