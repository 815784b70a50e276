"""How the GPUs that share a pipeline stage split its layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clustersim.scenario.findings import Finding
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.parallelism import Parallelism


@dataclass(frozen=True, slots=True)
class Shard:
    """The axes that split a layer; without any it is whole."""

    tp: int = 1
    cp: int = 1
    ep: int = 1
    etp: int = 1  # tensor parallelism of the experts
    sequence_parallel: bool = False

    @property
    def sequence_tp(self) -> int:
        """Into how many pieces tp cuts what lies between its regions: norms, dropouts, the residual stream."""
        return self.tp if self.sequence_parallel else 1

    def tokens(self, num_tokens: int) -> int:
        """Return the tokens of a tensor-parallel group, of `num_tokens` in a micro-batch."""
        return divided(num_tokens, self.cp)

    def sequence_tokens(self, num_tokens: int) -> int:
        """Return the tokens of one GPU outside the tensor-parallel regions."""
        return divided(self.tokens(num_tokens), self.sequence_tp)

    def routed_rows(self, num_tokens: int, top_k: int) -> int:
        """Return the rows that one GPU's experts get together, routing being even.

        Notes
        -----
        A stage has tp * cp * dp GPUs and dp micro-batches, hence top_k * dp * `num_tokens` rows; etp GPUs share a row.
        How many experts a GPU has (ep) does not matter.
        """
        return divided(top_k * num_tokens * self.etp, self.tp * self.cp)


WHOLE = Shard()


def shard_of(parallelism: Parallelism) -> Shard:
    """Return how `parallelism` splits a layer."""
    p = parallelism
    return Shard(p.tp, p.cp, p.ep, p.expert_tp, p.sequence_parallel)


def divided(value: int, parts: int) -> int:
    """Return the largest of `parts` even shares of `value`.

    Examples
    --------
    >>> divided(8, 4), divided(2, 4)
    (2, 1)
    """
    return -(-value // parts)


def shard_findings(model: ModelSpec, parallelism: Parallelism) -> Iterator[Finding]:
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
