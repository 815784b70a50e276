"""Which layers of a Hugging Face model have experts, and which a sliding window."""

from __future__ import annotations

from clustersim.scenario.importers.draft import Draft, Found
from clustersim.scenario.importers.hf_config import Config
from clustersim.scenario.importers.hf_families import Family

_FULL = "full_attention"
_SLIDING = "sliding_attention"


def put_window(draft: Draft, config: Config, family: Family) -> None:
    """Set the sliding window, and every how many layers there is none."""
    window = config.number("sliding_window")
    switch = config.flag("use_sliding_window")
    if window is None or not family.has_window or (switch and not switch.value):
        return
    listed, pattern = config.items("layer_types"), config.number("sliding_window_pattern")
    every = pattern or Found(family.full_attention_every, "sliding_window", window.position)
    if listed:
        is_full = [kind == _FULL for kind in listed.value]
        if all(is_full):
            return
        every = Found(_period(is_full), listed.written, listed.position)
        if not all(kind in (_FULL, _SLIDING) for kind in listed.value):
            config.fault(listed, f"must hold '{_FULL}' and '{_SLIDING}' alone")
        elif every.value == 0:
            config.fault(listed, "full attention does not come back every so many layers, the last of them")
    elif switch and config.number("max_window_layers", least=0):
        config.fault(switch, "a window in some layers only, which are not listed", "give `layer_types`")
    draft.put(("model", "sliding_window"), window)
    draft.put(("model", "full_attention_every"), every)


def _period(is_full: list[bool]) -> int | None:
    """Return every how many layers there is one with full attention; None if there is none, 0 if they come irregularly.

    Examples
    --------
    >>> _period([False, True, False, True, False]), _period([False, False]), _period([True, False])
    (2, None, 0)
    """
    if not any(is_full):
        return None
    period = is_full.index(True) + 1
    regular = all(full == ((layer + 1) % period == 0) for layer, full in enumerate(is_full))
    return period if regular and period > 1 else 0


def put_experts(draft: Draft, config: Config, family: Family) -> None:
    """Set the experts, if there are any."""
    experts = config.number("n_routed_experts", "num_local_experts", "num_experts", least=0)
    if experts is None or experts.value == 0:
        return
    width = config.number("moe_intermediate_size")
    draft.put(("model", "moe", "num_experts"), experts)
    draft.put(("model", "moe", "top_k"), config.needed("num_experts_per_tok", "experts_per_token"))
    draft.put(("model", "moe", "ffn_hidden_size"), width)
    shared = config.number("n_shared_experts", "num_shared_experts", least=0)
    shared_width = config.number("shared_expert_intermediate_size", least=0)
    if shared is None and shared_width and shared_width.value:
        draft.put(("model", "moe", "num_shared_experts"), Found(1, shared_width.written, shared_width.position))
        draft.put(("model", "moe", "shared_ffn_hidden_size"), shared_width)
        if family.shared_expert_gate:
            draft.put_plain(("model", "moe", "shared_expert_gate"), True)
    draft.put(("model", "moe", "num_shared_experts"), shared)
    if family.router_bias:
        draft.put_plain(("model", "moe", "router_bias"), True)
    _put_places(draft, config)


def _put_places(draft: Draft, config: Config) -> None:
    """Set which layers have experts: Qwen and Llama 4 count a period's last layer, DeepSeek its first."""
    step = config.number("decoder_sparse_step", "interleave_moe_layer_step")
    frequency = config.number("moe_layer_freq")
    first = config.number("first_k_dense_replace", least=0)
    dense = config.items("mlp_only_layers")
    if dense and dense.value:
        if sorted(dense.value) != list(range(len(dense.value))):
            config.fault(dense, "layers without experts that are not the first ones")
        first = Found(len(dense.value), dense.written, dense.position)
    if step and step.value > 1:
        first, frequency = Found(step.value - 1, step.written, step.position), step
    elif first and frequency:
        # the first multiple of the period that is not among the dense layers
        first = Found(-(-first.value // frequency.value) * frequency.value, first.written, first.position)
    draft.put(("model", "moe", "first_dense_layers"), first)
    draft.put(("model", "moe", "every"), frequency)
