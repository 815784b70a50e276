"""Names that other tools give to keys of ours, where they mean the same.

A name stands in for the last part of its key: ``parallelism.tensor_model_parallel_size`` is ``parallelism.tp``.
Names that mean nearly the same (torchtitan's ``local_batch_size`` is a replica's whole batch, ``moe_layer_freq`` counts
from the first layer) are left out on purpose. A model's longest sequence stands for ``seq_length``, as in `import hf`.
"""

from __future__ import annotations

from clustersim.errors import Fault
from clustersim.scenario.node import Entry, Node, Path, dotted

ALIASES: dict[str, tuple[str, ...]] = {
    "model.num_layers": ("num_hidden_layers", "n_layer", "n_layers"),
    "model.hidden_size": ("n_embd", "d_model"),
    "model.num_attention_heads": ("n_head", "n_heads"),
    "model.num_query_groups": ("num_key_value_heads", "n_kv_heads", "num_kv_heads"),
    "model.head_dim": ("kv_channels",),
    "model.ffn_hidden_size": ("intermediate_size", "n_inner", "ffn_dim"),
    "model.gated_mlp": ("swiglu",),
    "model.vocab_size": ("padded_vocab_size",),
    "model.seq_length": ("seq_len", "sequence_length", "max_position_embeddings", "n_positions"),
    "model.tied_embeddings": ("tie_word_embeddings",),
    "model.num_mtp_layers": ("mtp_num_layers", "num_nextn_predict_layers"),
    "model.embedding_norm": ("embed_layernorm",),
    "model.qk_norm": ("qk_layernorm",),
    "model.qkv_bias": ("add_qkv_bias",),
    "model.moe.num_experts": ("num_local_experts", "n_routed_experts", "num_moe_experts"),
    "model.moe.top_k": ("num_experts_per_tok", "moe_router_topk"),
    "model.moe.ffn_hidden_size": ("moe_intermediate_size", "moe_ffn_hidden_size"),
    "model.moe.num_shared_experts": ("n_shared_experts",),
    "model.moe.shared_ffn_hidden_size": (
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
    ),
    "model.moe.first_dense_layers": ("first_k_dense_replace",),
    "model.moe.shared_expert_gate": ("moe_shared_expert_gate",),
    "model.mla.qk_nope_head_dim": ("qk_head_dim",),
    "model.mla.qk_rope_head_dim": ("qk_pos_emb_head_dim",),
    "parallelism.tp": ("tensor_model_parallel_size", "tensor_parallel_size", "tensor_parallel_degree"),
    "parallelism.pp": ("pipeline_model_parallel_size", "pipeline_parallel_size", "pipeline_parallel_degree"),
    "parallelism.vpp": ("virtual_pipeline_model_parallel_size", "num_virtual_stages_per_pipeline_rank"),
    "parallelism.dp": ("data_parallel_size",),
    "parallelism.cp": ("context_parallel_size", "context_parallel_degree"),
    "parallelism.ep": ("expert_model_parallel_size", "expert_parallel_degree"),
    "parallelism.etp": ("expert_tensor_parallel_size", "expert_tensor_parallel_degree"),
    "batch.global_batch_size": ("train_batch_size",),
    "batch.micro_batch_size": (
        "train_micro_batch_size_per_gpu",
        "per_device_train_batch_size",
        "pipeline_parallel_microbatch_size",
    ),
    "batch.num_microbatches": ("gradient_accumulation_steps",),
    "schedule.group_size": ("microbatch_group_size_per_vp_stage", "microbatch_group_size_per_virtual_pipeline_stage"),
    "training.recompute": ("recompute_granularity",),
    "training.recompute_num_layers": ("activations_checkpoint_num_layers",),
    "training.recompute_method": ("activations_checkpoint_method",),
    "training.flash_attention": ("use_flash_attn",),
    "runtime.overlap.grad_reduce": ("overlap_grad_reduce",),
    "runtime.overlap.param_gather": ("overlap_param_gather",),
    "runtime.overlap.tp": ("tp_comm_overlap",),
}

# parent path -> other name -> key; the table above, turned round
_KEY_BY_NAME: dict[Path, dict[str, str]] = {}
for _key, _names in ALIASES.items():
    *_parent, _last = _key.split(".")
    _KEY_BY_NAME.setdefault(tuple(_parent), {}).update(dict.fromkeys(_names, _last))


def canonical(path: Path) -> Path:
    """Return `path` with other tools' names replaced by ours.

    Examples
    --------
    >>> canonical(("parallelism", "tensor_model_parallel_size"))
    ('parallelism', 'tp')
    """
    return tuple(_KEY_BY_NAME.get(path[:index], {}).get(str(step), step) for index, step in enumerate(path))


def aliases_of(parent: Path) -> tuple[str, ...]:
    """Return the other names that are accepted in the mapping at `parent`."""
    return tuple(_KEY_BY_NAME.get(parent, ()))


def with_canonical_names(root: Node, path: Path = ()) -> tuple[Node, list[Fault]]:
    """Return `root` with other tools' names replaced by ours, and a fault for each value that is given twice.

    Every entry keeps the name as it was written.
    """
    if not isinstance(root.value, dict):
        return root, []
    names = _KEY_BY_NAME.get(path, {})
    entries: dict[str, Entry] = {}
    faults: list[Fault] = []
    for written, entry in root.entries.items():
        key = names.get(written, written)
        if key in entries:
            what = f"the same value as '{entries[key].written}', given twice"
            faults.append(Fault(dotted((*path, written)), what, entry.position, "keep one of the two"))
            continue
        node, inner = with_canonical_names(entry.node, (*path, key))
        entries[key] = Entry(entry.written, entry.position, node)
        faults += inner
    return Node(entries, root.position), faults
