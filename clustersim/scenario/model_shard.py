"""Which sizes of a model the axes of a job can't divide."""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.scenario.findings import Finding
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.parallelism import Parallelism


def model_shard_findings(model: ModelSpec, parallelism: Parallelism) -> Iterator[Finding]:
    """Yield what does not divide: which sizes of `model` its axes cannot split evenly.

    The vocabulary is padded, and keys and values of fewer groups than tp are repeated, if tp is a multiple of them.
    """
    p, groups = parallelism, model.kv_heads
    for size, what in ((model.num_attention_heads, "num_attention_heads"), (model.ffn_size, "ffn_hidden_size")):
        if size % p.tp:
            yield Finding(("parallelism", "tp"), f"{p.tp} does not divide the model's {what} {size}")
    if groups % p.tp and p.tp % groups:
        what = f"{p.tp} is neither a divisor nor a multiple of the model's num_query_groups {groups}"
        yield Finding(("parallelism", "tp"), what)
    pieces = p.cp * (p.tp if p.sequence_parallel else 1)
    if model.seq_length % pieces:
        axis = "cp" if model.seq_length % p.cp else "sequence_parallel"
        yield Finding(
            ("parallelism", axis), f"the model's seq_length {model.seq_length} can't be cut into {pieces} pieces"
        )
    if model.moe is None:
        if p.ep > 1:
            yield Finding(("parallelism", "ep"), f"{p.ep}, but the model has no experts")
    elif model.moe.num_experts % p.ep:
        yield Finding(("parallelism", "ep"), f"{p.ep} does not divide the model's {model.moe.num_experts} experts")
    elif model.expert_ffn_size % p.expert_tp:
        what = f"{p.expert_tp} does not divide the width of the model's experts, {model.expert_ffn_size}"
        yield Finding(("parallelism", "tp" if p.etp is None else "etp"), what)
