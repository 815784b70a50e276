"""How the GPUs that share a pipeline stage split its layers."""

from __future__ import annotations

from dataclasses import dataclass

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
