"""Slow GPUs: the same programs with longer compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from clustersim.ops import Pipeline, Program
from clustersim.workload.opcost import FULL, scaled


def slowed(pipeline: Pipeline, slowdowns: Sequence[Fraction]) -> Pipeline:
    """Return `pipeline` with the compute of each pp_rank taking ``slowdowns[pp_rank]`` times as long, rounded up."""
    if all(slowdown == 1 for slowdown in slowdowns):
        return pipeline
    programs = tuple(map(_slowed, pipeline.programs, slowdowns))
    return replace(pipeline, programs=programs)


def _slowed(program: Program, slowdown: Fraction) -> Program:
    if slowdown == FULL:
        return program
    return replace(program, durations_ps=tuple(scaled(duration, slowdown) for duration in program.durations_ps))
