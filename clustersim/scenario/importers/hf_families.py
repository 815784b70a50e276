"""What the code of a model family fixes, so that its config.json does not say it.

References
----------
Hugging Face transformers, ``models/*/configuration_*.py`` (defaults) and ``modeling_*.py`` (norms and biases).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """A family of models; what is not given is as in Llama."""

    gated_mlp: bool = True
    norm: Literal["layernorm", "rmsnorm"] = "rmsnorm"
    linear_bias: bool = False
    qkv_bias: bool = False
    norms_per_layer: int = 2
    learned_positions: bool = False
    extra_positions: int = 0
    tied_embeddings: bool = False  # where the file does not say
    embedding_norm: bool = False
    qk_norm: bool = False
    attention_sinks: bool = False
    router_bias: bool = False
    shared_expert_gate: bool = False
    full_attention_every: int | None = None  # where a window is given, and layers are not listed
    has_window: bool = True  # whether a window that is given is used


LLAMA = Family(has_window=False)
_WINDOWED = Family()
_GPT = Family(
    gated_mlp=False,
    norm="layernorm",
    linear_bias=True,
    qkv_bias=True,
    learned_positions=True,
    tied_embeddings=True,
    has_window=False,
)
_FALCON = replace(_GPT, linear_bias=False, qkv_bias=False, learned_positions=False)
_DEEPSEEK_V3 = replace(LLAMA, router_bias=True)

FAMILIES: dict[str, Family] = {
    "llama": LLAMA,
    "mistral": _WINDOWED,
    "mixtral": _WINDOWED,
    "phi3": _WINDOWED,
    "qwen2": replace(_WINDOWED, qkv_bias=True),
    "qwen2_moe": replace(_WINDOWED, qkv_bias=True, shared_expert_gate=True),
    "qwen3": replace(_WINDOWED, qk_norm=True),
    "qwen3_moe": replace(_WINDOWED, qk_norm=True),
    "deepseek_v2": LLAMA,
    "deepseek_v3": _DEEPSEEK_V3,
    "kimi_k2": _DEEPSEEK_V3,
    "gpt_oss": replace(
        _WINDOWED, linear_bias=True, qkv_bias=True, attention_sinks=True, router_bias=True, full_attention_every=2
    ),
    "gemma": replace(LLAMA, tied_embeddings=True),
    "gemma2": replace(_WINDOWED, tied_embeddings=True, norms_per_layer=4, full_attention_every=2),
    "gemma3_text": replace(_WINDOWED, tied_embeddings=True, norms_per_layer=4, qk_norm=True, full_attention_every=6),
    "nemotron": replace(LLAMA, gated_mlp=False, norm="layernorm"),
    "gpt2": _GPT,
    "gpt_bigcode": _GPT,
    "opt": replace(_GPT, extra_positions=2),
    "gpt_neox": replace(_GPT, learned_positions=False, tied_embeddings=False),
    "bloom": replace(_GPT, learned_positions=False, embedding_norm=True),
    "falcon": _FALCON,
    "RefinedWeb": _FALCON,
    "RefinedWebModel": _FALCON,
    # its layer norms have no biases, as RMS norms have none
    "mpt": replace(_FALCON, norm="rmsnorm"),
}
"""By ``model_type``."""
