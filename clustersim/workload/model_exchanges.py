"""What the groups of a stage exchange for one micro-batch, layer by layer, beside what its ops compute.

References
----------
Korthikanti et al., MLSys 2023, section 4.2.2 (where tensor and sequence parallelism communicate). Shoeybi et al.,
"Megatron-LM", arXiv:1909.08053, section 3 (two all-reduces a layer and direction). Lepikhin et al., "GShard", ICLR 2021
(two all-to-alls a layer of experts and direction). Megatron Core, MoEAlltoAllTokenDispatcher (rows are gathered over
etp after the first all-to-all, and scattered before the second).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from clustersim.ops import Exchange, Kind
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.spec import Overlap
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.shard import divided, shard_of
from clustersim.workload.model.stage import ModelPart, stage_parameters

Exchanging = Callable[[str], ModelPart]
"""Gives what of a stage exchanges over an axis: all of it, but for what measured times hold already."""


def exchanges_of(
    model: ModelSpec, exchanging: Exchanging, microbatch: MicroBatch, parallelism: Parallelism
) -> Iterator[Exchange]:
    """Yield what the groups of a stage that split its layers exchange."""
    if parallelism.tp > 1:
        yield from _tensor_parallel(model, exchanging("tp"), microbatch, parallelism)
    if parallelism.cp > 1:
        yield from _context_parallel(model, microbatch, parallelism, _layers(exchanging("cp")).total())
    if parallelism.ep > 1:
        yield from _expert_parallel(model, microbatch, parallelism, _layers(exchanging("ep"))[True])
    if parallelism.expert_tp > 1:
        yield from _expert_tensor_parallel(model, microbatch, parallelism, _layers(exchanging("etp"))[True])


def exchanges_of_modules(
    model: ModelSpec, exchanging: Exchanging, microbatch: MicroBatch, parallelism: Parallelism
) -> Iterator[Exchange]:
    """Yield what the recomputed modules of a stage's layers exchange; the modules not named here exchange nothing."""
    modules = microbatch.recomputed_modules
    if parallelism.tp > 1:
        layers = _layers(exchanging("tp"))
        has_shared = _has_shared_experts(model) and not {"moe", "shared_experts"}.isdisjoint(modules)
        regions = ("mlp" in modules) * layers[False] + has_shared * layers[True]
        yield from _tensor_parallel_calls(model, microbatch, parallelism, Kind.F, regions)
    if "moe" in modules and parallelism.ep > 1:
        yield from _expert_parallel(model, microbatch, parallelism, _layers(exchanging("ep"))[True])
    if "moe" in modules and parallelism.expert_tp > 1:
        yield from _expert_tensor_parallel(model, microbatch, parallelism, _layers(exchanging("etp"))[True])


def _layers(part: ModelPart) -> Counter[bool]:
    """Return how many layers of a stage have no experts, and how many have."""
    return Counter(kind.has_experts for kind in part.layers)


def fully_sharded(
    model: ModelSpec, part: ModelPart, microbatch: MicroBatch, parallelism: Parallelism, overlap: Overlap
) -> Iterator[Exchange]:
    """ZeRO 3: layer by layer, weights are gathered for a forward and a backward, and gradients scattered after it.

    The first gather and the last scatter of an op have nothing to run beside.
    """
    num_layers = max(1, len(part.kinds))
    total = stage_parameters(model, part, shard_of(parallelism)).total
    size_bytes = microbatch.sizes.weight_bytes * total // num_layers
    calls = (
        (Kind.F, "all-gather", overlap.fsdp_forward),
        (Kind.I, "all-gather", overlap.fsdp_backward),
        (Kind.W, "reduce-scatter", True),
    )
    for kind, operation, is_beside in calls:
        num_beside = num_layers - 1 if is_beside else 0
        if num_beside:
            yield Exchange("dp", kind, operation, size_bytes, num_beside, is_beside=True)
        yield Exchange("dp", kind, operation, size_bytes, num_layers - num_beside, is_beside=False)


def _tensor_parallel(
    model: ModelSpec, part: ModelPart, microbatch: MicroBatch, parallelism: Parallelism
) -> Iterator[Exchange]:
    layers = _layers(part)
    # An attention block and an MLP each; experts exchange over ep and etp instead, but for those that all tokens go to.
    regions = 2 * layers[False] + (1 + _has_shared_experts(model)) * layers[True]
    ends = {Kind.F: part.has_embedding + 0, Kind.I: part.has_output + len(part.mtp_kinds)}
    for kind, extra in ends.items():
        yield from _tensor_parallel_calls(model, microbatch, parallelism, kind, regions + extra)


def _has_shared_experts(model: ModelSpec) -> bool:
    return model.moe is not None and model.moe.num_shared_experts > 0


def _tensor_parallel_calls(
    model: ModelSpec, microbatch: MicroBatch, parallelism: Parallelism, kind: Kind, num_regions: int
) -> Iterator[Exchange]:
    tokens = shard_of(parallelism).tokens(microbatch.num_samples * model.seq_length)
    size_bytes = microbatch.sizes.activation_bytes * tokens * model.hidden_size
    operations = ("all-gather", "reduce-scatter") if parallelism.sequence_parallel else ("all-reduce",)
    yield from _calls("tp", kind, operations, size_bytes, num_regions)


def _context_parallel(
    model: ModelSpec, microbatch: MicroBatch, parallelism: Parallelism, num_layers: int
) -> Iterator[Exchange]:
    groups = -(-model.kv_heads // parallelism.tp)
    values = groups * (model.head_size + model.value_size)
    size_bytes = microbatch.sizes.activation_bytes * microbatch.num_samples * model.seq_length * values
    yield from _calls("cp", Kind.F, ("all-gather",), size_bytes, num_layers)
    yield from _calls("cp", Kind.I, ("all-gather", "reduce-scatter"), size_bytes, num_layers)


def _expert_parallel(
    model: ModelSpec, microbatch: MicroBatch, parallelism: Parallelism, num_layers: int
) -> Iterator[Exchange]:
    if model.moe is None:
        return
    rows = divided(_routed_rows(model, microbatch, parallelism), parallelism.expert_tp)  # before etp gathers them
    size_bytes = microbatch.sizes.activation_bytes * rows * model.hidden_size
    for kind in (Kind.F, Kind.I):
        yield from _calls("ep", kind, ("all-to-all",), size_bytes, 2 * num_layers)


def _routed_rows(model: ModelSpec, microbatch: MicroBatch, parallelism: Parallelism) -> int:
    """Return the rows that one GPU's experts get together."""
    num_tokens = microbatch.num_samples * model.seq_length
    return shard_of(parallelism).routed_rows(num_tokens, model.moe.top_k) if model.moe else 0


def _expert_tensor_parallel(
    model: ModelSpec, microbatch: MicroBatch, parallelism: Parallelism, num_layers: int
) -> Iterator[Exchange]:
    """Experts that are split among GPUs gather the rows of all of them, and scatter the sums of what they make of them.

    Without sequence parallelism every GPU has the tokens already, and sums what its share of the experts made of each.
    """
    if model.moe is None:
        return
    rows = _routed_rows(model, microbatch, parallelism)
    row_bytes = microbatch.sizes.activation_bytes * model.hidden_size
    for kind in (Kind.F, Kind.I):
        if parallelism.sequence_parallel:
            yield from _calls("etp", kind, ("all-gather", "reduce-scatter"), row_bytes * rows, num_layers)
        else:
            yield from _calls("etp", kind, ("all-reduce",), row_bytes * divided(rows, model.moe.top_k), num_layers)


def _calls(axis: str, kind: Kind, operations: tuple[str, ...], size_bytes: int, num_calls: int) -> Iterator[Exchange]:
    if num_calls:
        for operation in operations:
            yield Exchange(axis, kind, operation, size_bytes, num_calls)
