"""Peaks of memory read off programs, without running them: a rank's ops have their order, whatever they take."""

from __future__ import annotations

from clustersim.ops import Job, Program


def program_peaks(job: Job) -> dict[int, int]:
    """Return the peak of each pp_rank of a job, the largest over its replicas. [bytes]

    It is what a run of the job gives, where no policy orders the ops while they run.
    """
    peaks: dict[int, int] = {}
    by_program: dict[int, int] = {}  # replicas that are equal share their programs
    for pipeline, static in zip(job.pipelines, job.static_bytes, strict=True):
        for pp_rank, (program, held) in enumerate(zip(pipeline.programs, static, strict=True)):
            if id(program) not in by_program:
                by_program[id(program)] = _activations_peak(program)
            allocated = sum(held) - held.framework_bytes + by_program[id(program)]
            reserved = -(-allocated * job.fragmentation.numerator // job.fragmentation.denominator)
            peaks[pp_rank] = max(peaks.get(pp_rank, 0), allocated + reserved + held.framework_bytes)
    return peaks


def _activations_peak(program: Program) -> int:
    live = peak = 0
    for taken, changed in zip(program.start_bytes, program.end_bytes, strict=True):
        live += taken
        peak = max(peak, live)
        live += changed
    return peak
