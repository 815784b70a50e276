"""Ways out where no layout of a plan is legal, each of which is known to give one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import gcd

from clustersim.planning.layouts import KEYS, Space, frames
from clustersim.scenario.parallelism import Parallelism

_NEVER_ILLEGAL = ("recompute", "zero_stage")
_LISTS = ("tp", "pp", "vpp", "dp", "cp", "ep", "micro_batch_size", "schedules")
_UNSEARCHED = ("etp", "split")


def ways_out(space: Space) -> str:
    """Return what makes a layout legal, where a space has none, and the rule that all keep to.

    Examples
    --------
    >>> from clustersim.scenario.model import ModelSpec
    >>> gpt = ModelSpec(num_layers=2, hidden_size=8, num_attention_heads=2, vocab_size=16, seq_length=8)
    >>> ways_out(Space(gpt, 4, 4, {"tp": 4})).split("; ")[0]
    'leave out parallelism.tp'
    """
    relaxed = dict(_relaxed(space))
    single = [key for key, other in relaxed.items() if _has_any(other)]
    ways = [f"leave out {' or '.join(single)}"] if single else []
    if len(relaxed) > 1 and not single and _has_any(_without_all(space)):
        ways.append(f"leave out {' and '.join(relaxed)}")
    fewer = (number for number in range(space.num_gpus - 1, 0, -1) if _may_be_shared(space, number))
    most = next((number for number in fewer if _has_any(replace(space, num_gpus=number))), None)
    ways += [] if most is None else [f"use {most} GPUs, which have one"]
    rule = (
        f"tp * cp * pp * dp are the GPUs, where dp divides the batch of {space.global_batch_size}, tp the "
        f"{space.model.num_attention_heads} heads, and pp is at most the {space.model.num_layers} layers"
    )
    return "; or ".join(ways or ["change the batch or the model"]) + f"; {rule}"


def _has_any(space: Space) -> bool:
    return any(True for _ in frames(space))


def _relaxed(space: Space) -> Iterator[tuple[str, Space]]:
    """Yield what the scenario says that may stand in the way, by its key, and the space without it."""
    for name in space.fixed:
        if name not in _NEVER_ILLEGAL:
            yield KEYS[name], replace(space, fixed={key: value for key, value in space.fixed.items() if key != name})
    for name in _LISTS:
        if getattr(space.spec, name) is not None:
            yield f"plan.{name}", replace(space, spec=space.spec.model_copy(update={name: None}))
    for name in _UNSEARCHED:
        usual = getattr(Parallelism(), name)
        if getattr(space.parallelism, name) != usual:
            yield f"parallelism.{name}", replace(space, parallelism=space.parallelism.model_copy(update={name: usual}))


def _without_all(space: Space) -> Space:
    spec = space.spec.model_copy(update=dict.fromkeys(_LISTS))
    fixed = {name: value for name, value in space.fixed.items() if name in _NEVER_ILLEGAL}
    return replace(space, fixed=fixed, spec=spec, parallelism=Parallelism())


def _may_be_shared(space: Space, number: int) -> bool:
    """Return whether a number of GPUs is one of heads, sequence, batch and layers at all: most are not."""
    for divided in (space.model.num_attention_heads, space.model.seq_length, space.global_batch_size):
        while (common := gcd(number, divided)) > 1:
            number //= common
    return number <= space.model.num_layers
