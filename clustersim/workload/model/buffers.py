"""Buffers for communication that a training framework allocates once and keeps.

References
----------
Megatron Core, ``GlobalMemoryBuffer`` (one gathered activation, with sequence parallelism) and distributed data parallel
(buckets); PyTorch FSDP2 (the weights of a layer in use and of the next, and the gradients of one).
"""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.scenario.model import ModelSpec
from clustersim.scenario.parallelism import Parallelism
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.parameters import embedding_parameters, layer_parameters
from clustersim.workload.model.precision import PRECISIONS
from clustersim.workload.model.shard import Shard, divided, shard_of
from clustersim.workload.model.stage import ModelPart, message_bytes


def buffer_bytes(
    model: ModelSpec, part: ModelPart, microbatch: MicroBatch, parallelism: Parallelism, bucket_bytes: int
) -> int:
    """Return what one GPU of a stage allocates to communicate with. [bytes]

    Between stages one activation and one gradient on their way in; within tp, with sequence parallelism, one gathered
    activation; within cp the keys and values of a layer, gathered; over dp with ZeRO 2 one bucket of gradients, and
    with ZeRO 3 the weights of the two largest neighbours and the gradients of one.

    Parameters
    ----------
    bucket_bytes
        Gradients that are reduced at once.

    Notes
    -----
    Gradients that ZeRO 0 and 1 reduce are the ones that a GPU holds anyhow. What experts receive is counted among the
    activations.

    Examples
    --------
    >>> from clustersim.workload.model.stage import parts_of
    >>> gpt = ModelSpec(num_layers=2, hidden_size=8, num_attention_heads=1, vocab_size=16, seq_length=10)
    >>> buffer_bytes(gpt, parts_of(gpt, (1, 1))[0], MicroBatch(), Parallelism(pp=2), 100)
    320
    """
    shard, p = shard_of(parallelism), parallelism
    total = 0
    if p.pp > 1:
        total += 2 * message_bytes(model, microbatch, shard)
    if p.tp > 1 and p.sequence_parallel:
        tokens = shard.tokens(microbatch.num_samples * model.seq_length)
        total += microbatch.sizes.activation_bytes * tokens * model.hidden_size
    if p.cp > 1:
        values = divided(model.kv_heads, p.tp) * (model.head_size + model.value_size)
        total += microbatch.sizes.activation_bytes * microbatch.num_samples * model.seq_length * values
    if p.dp * p.cp > 1 and p.zero_stage >= 2:
        sizes = PRECISIONS[microbatch.precision]
        largest = max(_units(model, part, shard), default=0)
        each = 2 * sizes.weight_bytes + sizes.gradient_bytes
        total += bucket_bytes if p.zero_stage == 2 else each * largest
    return total


def _units(model: ModelSpec, part: ModelPart, shard: Shard) -> Iterator[int]:
    """Yield the parameters of what is gathered at once: a layer, or an embedding."""
    for kind in set(part.kinds + part.mtp_kinds):
        yield layer_parameters(model, kind, shard).total
    if part.has_embedding or part.has_output:
        yield embedding_parameters(model, shard).total
