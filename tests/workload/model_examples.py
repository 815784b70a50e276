"""Models that several tests use, small enough to count by hand, or published."""

from __future__ import annotations

from typing import Any

from clustersim.scenario.model import ModelSpec

GPT: dict[str, Any] = {
    "num_layers": 4, "hidden_size": 48, "num_attention_heads": 4, "vocab_size": 96, "seq_length": 32,
}  # fmt: skip
MLA = {"q_lora_rank": 12, "kv_lora_rank": 8, "qk_nope_head_dim": 6, "qk_rope_head_dim": 4, "v_head_dim": 8}


def gpt(**changes: Any) -> ModelSpec:
    """Return a plain GPT."""
    return ModelSpec(**GPT | changes)


def megatron(num_layers: int, hidden_size: int, num_attention_heads: int) -> ModelSpec:
    """Return a GPT as Megatron's papers have it."""
    return gpt(
        num_layers=num_layers,
        hidden_size=hidden_size,
        num_attention_heads=num_attention_heads,
        vocab_size=51200,
        seq_length=2048,
    )


GPT_22B, GPT_175B = megatron(48, 6144, 64), megatron(96, 12288, 96)
EXPERTS = gpt(
    gated_mlp=True, moe={"num_experts": 8, "top_k": 2, "ffn_hidden_size": 64, "num_shared_experts": 2}, num_mtp_layers=1
)
LATENT = gpt(gated_mlp=True, mla=MLA, moe={"num_experts": 4, "top_k": 2, "first_dense_layers": 1})
GROUPED = gpt(gated_mlp=True, num_query_groups=2, tied_embeddings=False, sliding_window=8, full_attention_every=2)
ALL = {"gpt": gpt(), "experts": EXPERTS, "latent": LATENT, "grouped": GROUPED}
