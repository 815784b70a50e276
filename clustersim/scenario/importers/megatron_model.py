"""The model that Megatron's flags describe."""

from __future__ import annotations

import re

from clustersim.scenario.importers.draft import Draft, Found
from clustersim.scenario.importers.megatron_flags import Flags
from clustersim.scenario.node import Path

_DIVISIBLE_BY = 128  # --make-vocab-size-divisible-by
_LATENT_DEFAULTS = {"kv_lora_rank": 32, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128}
_LATENT = {
    "q_lora_rank": "q-lora-rank",
    "kv_lora_rank": "kv-lora-rank",
    "qk_nope_head_dim": "qk-head-dim",
    "qk_rope_head_dim": "qk-pos-emb-head-dim",
    "v_head_dim": "v-head-dim",
}
_POSITIONS = ("learned_absolute", "rope", "mrope", "yarn", "relative", "none", "absolute", "alibi", "rotary")
_PATTERN = re.compile(r"\(?\[0\]\*([0-9]{1,6})\+\[1\]\*([0-9]{1,6})\)?")


def put_model(draft: Draft, flags: Flags, vocab_size: int | None) -> None:
    """Set the model that `flags` describe; absent flags have Megatron's defaults."""
    hidden = flags.needed("hidden-size")
    draft.put(_key("num_layers"), flags.needed("num-layers"))
    draft.put(_key("hidden_size"), hidden)
    draft.put(_key("num_attention_heads"), flags.needed("num-attention-heads"))
    draft.put(_key("ffn_hidden_size"), flags.number("ffn-hidden-size") or _swiglu_width(flags, hidden))
    draft.put(_key("gated_mlp"), flags.switch("swiglu"))
    draft.put(_key("seq_length"), flags.needed("seq-length", "encoder-seq-length"))
    _put_vocabulary(draft, flags, vocab_size)
    draft.put_plain(_key("tied_embeddings"), not flags.has("untie-embeddings-and-output-weights"))
    if flags.has("multi-latent-attention"):
        _put_latent_attention(draft, flags)
    else:
        _put_attention(draft, flags)
    _put_experts(draft, flags)
    _put_style(draft, flags)
    draft.put(_key("num_mtp_layers"), flags.number("mtp-num-layers"))


def _swiglu_width(flags: Flags, hidden: Found | None) -> Found | None:
    """Return the width that Megatron gives a gated MLP: two thirds of 4 h, a multiple of 64."""
    if not flags.has("swiglu") or hidden is None:
        return None
    return Found(4 * hidden.value * 2 // 3 // 64 * 64, hidden.written, hidden.position)


def _put_vocabulary(draft: Draft, flags: Flags, vocab_size: int | None) -> None:
    padded = flags.number("padded-vocab-size", "pad-vocab-size-to")
    given = Found(vocab_size, "--vocab-size", None) if vocab_size else flags.number("vocab-size")
    if padded:
        draft.put(_key("vocab_size"), padded)
    elif given is None:
        flags.fault(
            Found(None, "--vocab-size", None), "is not among the flags: the tokenizer tells it", "give --vocab-size"
        )
    else:
        divisor = flags.number("make-vocab-size-divisible-by")
        multiple = (divisor.value if divisor else _DIVISIBLE_BY) * flags.size("tensor-model-parallel-size")
        size = -(-given.value // multiple) * multiple
        if size != given.value:
            draft.notes.append(f"vocab_size {given.value} is padded to {size}, a multiple of {multiple}.")
        draft.put(_key("vocab_size"), Found(size, given.written, given.position))


def _put_attention(draft: Draft, flags: Flags) -> None:
    if flags.has("group-query-attention"):
        draft.put(
            _key("num_query_groups"), flags.number("num-query-groups") or flags.switch("group-query-attention", 1)
        )
    draft.put(_key("head_dim"), flags.number("kv-channels"))
    draft.put(_key("qk_norm"), flags.switch("qk-layernorm"))
    window = flags.text("window-size")
    if window:
        flags.fault(window, "sliding windows are not imported", "give `model.sliding_window` in the scenario")


def _put_latent_attention(draft: Draft, flags: Flags) -> None:
    for key, name in _LATENT.items():
        found = flags.number(name)
        draft.put(("model", "mla", key), found)
        if found is None and key in _LATENT_DEFAULTS:
            draft.put_plain(("model", "mla", key), _LATENT_DEFAULTS[key])


def _put_experts(draft: Draft, flags: Flags) -> None:
    experts = flags.number("num-experts")
    if experts is None:
        return
    draft.put(("model", "moe", "num_experts"), experts)
    draft.put(("model", "moe", "top_k"), flags.number("moe-router-topk") or Found(2, "--moe-router-topk", None))
    width, shared = flags.number("moe-ffn-hidden-size"), flags.number("moe-shared-expert-intermediate-size")
    draft.put(("model", "moe", "ffn_hidden_size"), width)
    if shared:
        draft.put(("model", "moe", "num_shared_experts"), Found(1, shared.written, shared.position))
        draft.put(("model", "moe", "shared_ffn_hidden_size"), shared)
    draft.put(("model", "moe", "shared_expert_gate"), flags.switch("moe-shared-expert-gate"))
    draft.put(("model", "moe", "router_bias"), flags.switch("moe-router-enable-expert-bias"))
    _put_places(draft, flags)


def _put_places(draft: Draft, flags: Flags) -> None:
    """Set which layers have experts: every so many, or ``([0]*3+[1]*58)``."""
    frequency = flags.text("moe-layer-freq")
    if frequency is None:
        return
    text = frequency.value.replace(" ", "")
    pattern = _PATTERN.fullmatch(text)
    if pattern:
        layers = flags.number("num-layers")
        first = Found(int(pattern[1]), frequency.written, frequency.position)
        if layers and int(pattern[1]) + int(pattern[2]) != layers.value:
            flags.fault(frequency, f"{text} has not as many layers as --num-layers {layers.value}")
        draft.put(("model", "moe", "first_dense_layers"), first)
    elif text.isascii() and text.isdecimal() and int(text) > 0:
        draft.put(("model", "moe", "every"), Found(int(text), frequency.written, frequency.position))
    else:
        what = f"got {text!r}; a whole number, or ([0]*n+[1]*m), is read"
        flags.fault(frequency, what, "give `model.moe.first_dense_layers` and `every` in the scenario")


def _put_style(draft: Draft, flags: Flags) -> None:
    draft.put(_key("embedding_norm"), flags.switch("embed-layernorm"))
    norm = flags.text("normalization", ("LayerNorm", "RMSNorm"))
    draft.put_plain(_key("norm"), norm.value.lower() if norm else "layernorm")
    draft.put_plain(_key("linear_bias"), not flags.has("disable-bias-linear"))
    if flags.has("add-qkv-bias"):
        draft.put(_key("qkv_bias"), flags.switch("add-qkv-bias"))
    kind = flags.text("position-embedding-type", _POSITIONS)
    learned = kind is None or kind.value in ("learned_absolute", "absolute")
    if learned and not flags.has("use-rotary-position-embeddings") and not flags.has("multi-latent-attention"):
        draft.put(_key("learned_positions"), flags.number("max-position-embeddings"))
    else:
        draft.put_plain(_key("learned_positions"), 0)
    off = [flags.is_off(name) for name in ("hidden-dropout", "attention-dropout")]
    draft.put_plain(_key("dropout"), not all(off))


def _key(name: str) -> Path:
    return "model", name
