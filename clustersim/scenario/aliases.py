"""Names that other tools give to keys of ours, where they mean the same.

A name stands in for the last part of its key: ``parallelism.tensor_model_parallel_size`` is ``parallelism.tp``.
Names that mean nearly the same (torchtitan's ``local_batch_size`` is a replica's whole batch) are left out on purpose.
"""

from __future__ import annotations

from clustersim.errors import Fault
from clustersim.scenario.node import Entry, Node, Path, dotted

ALIASES: dict[str, tuple[str, ...]] = {
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
