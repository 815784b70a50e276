"""What a GPU's memory holds that is no tensor: the framework's process and communicators, and what fragmentation costs.

With explicit stage costs that is nothing unless the scenario says so: then a rank's memory is what was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from clustersim.ops import StageCosts
from clustersim.scenario.frameworks import Framework, load_framework
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.spec import Scenario


def framework_of(scenario: Scenario) -> Framework:
    """Return the framework that a scenario names, or the one that shards as it says."""
    return load_framework(scenario.runtime.memory.framework_name(scenario.parallelism.zero_stage))


def framework_bytes(scenario: Scenario) -> int:
    """Return what the framework takes of each GPU beside its allocator: its process, and a communicator a group."""
    given = scenario.runtime.memory
    framework = framework_of(scenario) if scenario.model else None
    context, communicator = given.context, given.communicator
    if context is None:
        context = framework.context if framework else 0
    if communicator is None:
        communicator = framework.communicator if framework else 0
    return context + communicator * num_communicators(scenario.parallelism)


def num_communicators(parallelism: Parallelism) -> int:
    """Return in how many groups each GPU is.

    Notes
    -----
    Gradients are reduced over dp and cp together, in one group. Groups of all GPUs, which only initialise, are left
    out.

    Examples
    --------
    >>> num_communicators(Parallelism(tp=2, pp=2, dp=2)), num_communicators(Parallelism())
    (3, 0)
    """
    p = parallelism
    return sum(size > 1 for size in (p.tp, p.pp, p.dp * p.cp, p.cp, p.ep))


def fragmentation_of(scenario: Scenario) -> Fraction:
    """Return what the framework's allocator reserves beyond what is allocated, as a share of that."""
    given = scenario.runtime.memory
    share = given.fragmentation
    if share is None:
        share = framework_of(scenario).fragmentation if scenario.model else 0.0
    return Fraction(str(share))


def logits_shares(costs: Sequence[StageCosts]) -> tuple[Fraction, ...]:
    """Return by stage which part of a micro-batch's activation its logits are."""
    return tuple(
        Fraction(cost.logits_bytes, cost.activation_bytes) if cost.logits_bytes else Fraction(0) for cost in costs
    )
