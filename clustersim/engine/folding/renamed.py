"""What some groups have noted, as what others have that do the same: the first of each class, or all of its members."""

from __future__ import annotations

import numpy as np

from clustersim.engine.folding.uses import Lists
from clustersim.engine.noted_groups import NotedCollectives, NotedPhases
from clustersim.ops import Job
from clustersim.sorting import kinds_of
from clustersim.trace import Ints

Kind = tuple[str, int, int]  # operation, size [bytes], repeats


def kinds_of_plans(job: Job) -> dict[int, Kind]:
    """Return the kind of collective that each plan is for, by the plan as an object."""
    return {id(plan): kind for group in job.groups for kind, plan in group.plans.items()}


def renamed(
    collectives: NotedCollectives, phases: NotedPhases, rows: Ints, group: Ints, before: Job, after: Job
) -> tuple[NotedCollectives, NotedPhases]:
    """Return collectives as those of other groups, with their phases.

    Parameters
    ----------
    collectives, phases
        What was noted in the job `before`.
    rows, group
        Which collectives, and of which groups in the job `after` they are to be; by group, and by their order in it.
    before, after
        The jobs.
    """
    kinds, num_plans = kinds_of_plans(before), len(collectives.plans)
    pairs, plan = kinds_of(group * num_plans + collectives.plan[rows])
    plans = [
        after.groups[own].plans[kinds[id(collectives.plans[known])]]
        for own, known in (divmod(pair, num_plans) for pair in pairs.tolist())
    ]
    lists = Lists(np.bincount(phases.collective, minlength=len(collectives.group)))
    found = Lists(lists.lengths[rows])
    places = lists.first[rows[found.owner]] + found.position
    most = int(found.lengths.max(initial=0))
    pairs, kind = kinds_of(plan[found.owner] * most + found.position)
    return (
        NotedCollectives(
            plans,
            group,
            collectives.order[rows],
            plan,
            collectives.queued_ps[rows],
            collectives.start_ps[rows],
            collectives.end_ps[rows],
        ),
        NotedPhases(
            [plans[own].phases[place] for own, place in (divmod(pair, most) for pair in pairs.tolist())],
            found.owner,
            kind,
            phases.start_ps[places],
            phases.end_ps[places],
        ),
    )
