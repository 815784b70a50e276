"""Megatron's flags in a launch script: model, parallelism, batch, training and schedule of a job."""

from __future__ import annotations

from typing import Any, get_args

from clustersim.scenario.batch import Batch
from clustersim.scenario.importers.draft import Draft, Found, Imported
from clustersim.scenario.importers.launch_script import read_launch_script
from clustersim.scenario.importers.megatron_flags import Flags
from clustersim.scenario.importers.megatron_model import put_model
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.parallelism import Parallelism
from clustersim.scenario.training import RecomputeModule, Training

_AXES = {
    "tp": "tensor-model-parallel-size",
    "pp": "pipeline-model-parallel-size",
    "cp": "context-parallel-size",
    "ep": "expert-model-parallel-size",
    "etp": "expert-tensor-parallel-size",
}
_OVERLAPS = {"grad_reduce": "overlap-grad-reduce", "param_gather": "overlap-param-gather", "tp": "tp-comm-overlap"}
_MOST_OTHERS = 8


def import_megatron(file: str, text: str, vocab_size: int | None = None) -> Imported:
    """Return the job that a script's flags describe; a schedule is 1F1B, interleaved if there are virtual stages.

    Parameters
    ----------
    file
        What messages call the script.
    text
        What is in it.
    vocab_size
        Size of the vocabulary, before padding, if the flags leave it to the tokenizer.

    Raises
    ------
    ScenarioError
        Flags that are missing, values that only a shell could know or that no job can have; all of them.

    Notes
    -----
    Absent flags have Megatron's defaults. ``dp`` is told by ``--nnodes`` and ``--nproc-per-node``, or left out.
    """
    draft = Draft()
    flags = Flags(read_launch_script(file, text), draft)
    put_model(draft, flags, vocab_size)
    _put_parallelism(draft, flags)
    draft.put(("batch", "global_batch_size"), flags.number("global-batch-size"))
    draft.put(("batch", "micro_batch_size"), flags.needed("micro-batch-size"))
    _put_training(draft, flags)
    draft.raise_if_faulty()
    draft.check("model", ModelSpec)
    draft.check("parallelism", Parallelism)
    draft.check("training", Training)
    if draft.section("batch").get("global_batch_size"):
        draft.check("batch", Batch)
    draft.raise_if_faulty()
    split = _split(flags)
    draft.raise_if_faulty()
    parallelism = draft.section("parallelism") | ({"split": split} if split else {})
    sections: dict[str, Any] = {"model": draft.section("model"), "parallelism": parallelism}
    sections |= {"batch": draft.section("batch"), "schedule": _schedule(draft, flags)}
    sections |= {"training": draft.section("training"), "runtime": draft.section("runtime")}
    return Imported({name: section for name, section in sections.items() if section}, (*draft.notes, *_others(flags)))


def _put_parallelism(draft: Draft, flags: Flags) -> None:
    for axis, name in _AXES.items():
        draft.put(("parallelism", axis), flags.number(name))
    draft.put(("parallelism", "vpp"), _virtual_stages(flags))
    draft.put(("parallelism", "dp"), _replicas(draft, flags))
    draft.put(("parallelism", "sequence_parallel"), flags.switch("sequence-parallel"))
    sharded = flags.switch("use-distributed-optimizer", 1)
    for name in ("use-megatron-fsdp", "use-torch-fsdp2"):
        sharded = flags.switch(name, 3) or sharded
    stage = flags.text("zero-stage", ("0", "1", "2", "3"))
    if stage:
        sharded = Found(int(stage.value), stage.written, stage.position)
    draft.put(("parallelism", "zero_stage"), sharded)


def _virtual_stages(flags: Flags) -> Found | None:
    """Return the chunks of a rank: as given, or from the layers of each."""
    layers, in_chunk = flags.number("num-layers"), flags.number("num-layers-per-virtual-pipeline-stage")
    if not layers or not in_chunk:
        return flags.number("num-virtual-stages-per-pipeline-rank")
    chunks, rest = divmod(layers.value, flags.size(_AXES["pp"]) * in_chunk.value)
    if rest or not chunks:
        flags.fault(in_chunk, f"{layers.value} layers do not make whole chunks of {in_chunk.value} on every rank")
        return None
    return Found(chunks, in_chunk.written, in_chunk.position)


def _replicas(draft: Draft, flags: Flags) -> Found | None:
    """Return the number of replicas, if the number of GPUs is known."""
    nodes, gpus = flags.number_if_told("nnodes"), flags.number_if_told("nproc-per-node")
    if not nodes or not gpus:
        draft.notes.append("The script does not tell the number of GPUs: give `parallelism.dp`, or leave it at 1.")
        return None
    world, model_parallel = nodes.value * gpus.value, 1
    for axis in ("tp", "pp", "cp"):
        model_parallel *= flags.size(_AXES[axis])
    if world % model_parallel:
        flags.fault(nodes, f"{world} GPUs are no multiple of tp * pp * cp = {model_parallel}")
        return None
    return Found(world // model_parallel, nodes.written, nodes.position)


def _split(flags: Flags) -> dict[str, Any]:
    """Return how layers are dealt to stages, under the keys of a scenario; nothing if evenly."""
    layout = flags.text("pipeline-model-parallel-layout")
    if layout:
        return {"layout": layout.value}
    given = {
        "first": flags.number("decoder-first-pipeline-num-layers"),
        "last": flags.number("decoder-last-pipeline-num-layers"),
        "embedding_counts": flags.switch("account-for-embedding-in-pipeline-split"),
        "loss_counts": flags.switch("account-for-loss-in-pipeline-split"),
    }
    return {key: found.value for key, found in given.items() if found}


def _schedule(draft: Draft, flags: Flags) -> Any:
    parallelism = draft.section("parallelism")
    layout = flags.text("pipeline-model-parallel-layout")
    pp = parallelism.get("pp", 1)
    if parallelism.get("vpp", 1) == 1 and not (layout and layout.value.count("|") + 1 > pp):
        return "1f1b"
    group = flags.number("microbatch-group-size-per-virtual-pipeline-stage")
    return {"name": "interleaved-1f1b", "group_size": group.value} if group else "interleaved-1f1b"


def _put_training(draft: Draft, flags: Flags) -> None:
    precision = flags.switch("fp8-format", "fp8") or flags.switch("bf16", "bf16") or flags.switch("fp16", "fp16")
    draft.put(("training", "precision"), precision)
    if precision is None:
        draft.put_plain(("training", "precision"), "fp32")
    _put_recompute(draft, flags)
    backend = flags.text("attention-backend", ("flash", "fused", "unfused", "local", "auto"))
    if backend:
        is_flash = backend.value not in ("unfused", "local")
        draft.put(("training", "flash_attention"), Found(is_flash, backend.written, backend.position))
    elif flags.has("use-flash-attn"):
        draft.put(("training", "flash_attention"), flags.switch("use-flash-attn"))
    else:
        draft.notes.append(
            "No flag tells whether attention is FlashAttention: older Megatrons ask for it, newer have it."
        )
    for key, name in _OVERLAPS.items():
        draft.put_plain(("runtime", "overlap", key), flags.has(name))


def _put_recompute(draft: Draft, flags: Flags) -> None:
    """Put what is recomputed: parts of every layer, or whole layers, of which older Megatrons count chunks."""
    granularity = flags.text("recompute-granularity", ("selective", "full"))
    older = flags.switch("checkpoint-activations", "full") or flags.switch("activations-checkpoint-method", "full")
    recompute = granularity or flags.switch("recompute-activations", "selective") or older
    draft.put(("training", "recompute"), recompute)
    if recompute is None:
        return
    if recompute.value == "selective":
        draft.put(("training", "recompute_modules"), flags.words("recompute-modules", get_args(RecomputeModule)))
        return
    number = flags.number("recompute-num-layers", "activations-checkpoint-num-layers", "checkpoint-num-layers")
    methods = ("uniform", "block")
    method = flags.text("recompute-method", methods) or flags.text("activations-checkpoint-method", methods)
    if number:
        draft.put(("training", "recompute_num_layers"), number)
        draft.put(("training", "recompute_method"), method or Found("uniform", number.written, number.position))


def _others(flags: Flags) -> tuple[str, ...]:
    """Return what is said of flags that decide nothing here; a misspelt one is among them."""
    names = list(dict.fromkeys(flags.others))
    if not names:
        return ()
    shown = ", ".join(names[:_MOST_OTHERS])
    rest = f", and {len(names) - _MOST_OTHERS} more" if len(names) > _MOST_OTHERS else ""
    return (f"Not read: {shown}{rest}.",)
