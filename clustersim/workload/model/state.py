"""What a GPU holds for the whole run: weights, gradients and optimizer state."""

from __future__ import annotations

from clustersim.ops import StaticBytes
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.precision import PrecisionName
from clustersim.workload.model.parameters import Parameters
from clustersim.workload.model.precision import PRECISIONS
from clustersim.workload.model.shard import divided


def state_bytes(parameters: Parameters, precision: PrecisionName, parallelism: Parallelism) -> StaticBytes:
    """Return the bytes that a GPU holds for its share `parameters` of a stage.

    ZeRO 1 divides the optimizer state, 2 the gradients too, 3 the weights too: those of dense layers by dp * cp, those
    of routed experts by tp * cp * dp / (ep * etp).

    Parameters
    ----------
    parameters
        Of the stage, as ``tp``, ``ep`` and ``etp`` leave them to one GPU.

    References
    ----------
    Rajbhandari et al., "ZeRO", SC 2020, section 5.

    Examples
    --------
    >>> state_bytes(Parameters(matrices=1000), "bf16", Parallelism(dp=4, zero_stage=1))[:3]
    (2000, 4000, 3000)
    """
    sizes, p = PRECISIONS[precision], parallelism
    dense_copies = p.dp * p.cp
    expert_copies = max(1, p.tp * p.cp * p.dp // (p.ep * p.expert_tp))

    def held(bytes_each: int, from_stage: int) -> int:
        if p.zero_stage < from_stage:
            return parameters.total * bytes_each
        dense = divided(parameters.dense * bytes_each, dense_copies)
        return dense + divided(parameters.experts * bytes_each, expert_copies)

    return StaticBytes(held(sizes.weight_bytes, 3), held(sizes.gradient_bytes, 2), held(sizes.optimizer_bytes, 1))


def optimizer_step_bytes(parameters: Parameters, precision: PrecisionName, parallelism: Parallelism) -> int:
    """Return the bytes that a GPU moves in Adam's step: gradients read, state read and written, weights written.

    With ZeRO a GPU steps its own share. [bytes]

    Examples
    --------
    >>> optimizer_step_bytes(Parameters(matrices=1000), "bf16", Parallelism())
    30000
    """
    sizes = PRECISIONS[precision]
    each = sizes.gradient_bytes + 2 * (sizes.optimizer_bytes + sizes.step_bytes) + sizes.weight_bytes
    return each * state_bytes(parameters, precision, parallelism).optimizer_bytes // sizes.optimizer_bytes
