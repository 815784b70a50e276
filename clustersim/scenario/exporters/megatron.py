"""A scenario as flags of Megatron-LM.

References
----------
Megatron-LM, ``megatron/training/arguments.py``.
"""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.scenario.fabrics import HostedFabric
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.spec import Scenario

_SCHEDULES = ("1f1b", "interleaved-1f1b")


def megatron_flags(scenario: Scenario) -> str:
    """Return a launch script's flags that run a scenario, one a line, with comments on what they leave out.

    Raises
    ------
    ValueError
        The scenario has no model.

    Examples
    --------
    >>> from clustersim.scenario.load import load_scenario
    >>> print(megatron_flags(load_scenario("gpt-3-175b-64gpus")).splitlines()[2])
    --tensor-model-parallel-size 8
    """
    if scenario.model is None:
        raise ValueError("flags describe a model, and the scenario has none")
    lines = [*_cluster(scenario), *_parallelism(scenario), *_batch(scenario), *_model(scenario.model)]
    lines += [*_training(scenario), *_overlaps(scenario)]
    return "".join(f"{line}\n" for line in [*_comments(scenario), *lines])


def _comments(scenario: Scenario) -> Iterator[str]:
    name = scenario.schedule.label
    if name not in _SCHEDULES:
        runs = "interleaved-1f1b" if scenario.parallelism.vpp > 1 else "1f1b"
        kept = "`plan: {schedules: [1f1b, interleaved-1f1b]}` searches what it has"
        yield f"# Megatron-LM has no schedule {name}: these flags run {runs}; {kept}"
    if scenario.parallelism.zero_stage == 2:
        yield "# --zero-stage is Megatron-DeepSpeed's"
    if scenario.parallelism.split is not None:
        yield "# how the layers are dealt to stages is left out"


def _cluster(scenario: Scenario) -> Iterator[str]:
    gpus, fabric = scenario.parallelism.num_gpus, scenario.cluster.topology
    per_node = min(gpus, fabric.gpus_per_node) if isinstance(fabric, HostedFabric) else gpus
    yield f"--nproc-per-node {per_node}"
    yield f"--nnodes {-(-gpus // per_node)}"


def _parallelism(scenario: Scenario) -> Iterator[str]:
    p, schedule = scenario.parallelism, scenario.schedule
    yield f"--tensor-model-parallel-size {p.tp}"
    yield f"--pipeline-model-parallel-size {p.pp}"
    if p.vpp > 1:
        yield f"--num-virtual-stages-per-pipeline-rank {p.vpp}"
    if schedule.group_size is not None:
        yield f"--microbatch-group-size-per-virtual-pipeline-stage {schedule.group_size}"
    for name, size in (("context", p.cp), ("expert-model", p.ep)):
        if size > 1:
            yield f"--{name}-parallel-size {size}"
    if p.etp is not None:
        yield f"--expert-tensor-parallel-size {p.etp}"
    if p.sequence_parallel:
        yield "--sequence-parallel"
    yield from {1: ["--use-distributed-optimizer"], 2: ["--zero-stage 2"], 3: ["--use-megatron-fsdp"]}.get(
        p.zero_stage, []
    )


def _batch(scenario: Scenario) -> Iterator[str]:
    batch = scenario.batch
    samples = batch.global_batch_size
    if samples is None:
        samples = (batch.num_microbatches or 0) * batch.micro_batch_size * scenario.parallelism.dp
    yield f"--global-batch-size {samples}"
    yield f"--micro-batch-size {batch.micro_batch_size}"


def _model(model: ModelSpec) -> Iterator[str]:
    yield f"--num-layers {model.num_layers}"
    yield f"--hidden-size {model.hidden_size}"
    yield f"--num-attention-heads {model.num_attention_heads}"
    yield f"--ffn-hidden-size {model.ffn_size}"
    yield f"--seq-length {model.seq_length}"
    yield f"--vocab-size {model.vocab_size}"
    yield "--make-vocab-size-divisible-by 1"
    if model.mla is not None:
        yield "--multi-latent-attention"
        for name, value in (
            ("q-lora-rank", model.mla.q_lora_rank),
            ("kv-lora-rank", model.mla.kv_lora_rank),
            ("qk-head-dim", model.mla.qk_nope_head_dim),
            ("qk-pos-emb-head-dim", model.mla.qk_rope_head_dim),
            ("v-head-dim", model.mla.v_head_dim),
        ):
            if value is not None:
                yield f"--{name} {value}"
    else:
        yield f"--kv-channels {model.head_size}"
        if model.kv_heads != model.num_attention_heads:
            yield f"--group-query-attention --num-query-groups {model.kv_heads}"
    yield from _experts(model)
    yield from _style(model)


def _experts(model: ModelSpec) -> Iterator[str]:
    moe = model.moe
    if moe is None:
        return
    yield f"--num-experts {moe.num_experts}"
    yield f"--moe-router-topk {moe.top_k}"
    yield f"--moe-ffn-hidden-size {model.expert_ffn_size}"
    if moe.num_shared_experts:
        yield f"--moe-shared-expert-intermediate-size {model.shared_ffn_size}"
    if moe.shared_expert_gate:
        yield "--moe-shared-expert-gate"
    if moe.router_bias:
        yield "--moe-router-enable-expert-bias"
    if moe.first_dense_layers:
        yield f"--moe-layer-freq ([0]*{moe.first_dense_layers}+[1]*{model.num_layers - moe.first_dense_layers})"
    elif moe.every > 1:
        yield f"--moe-layer-freq {moe.every}"


def _style(model: ModelSpec) -> Iterator[str]:
    if model.gated_mlp:
        yield "--swiglu"
    if not model.tied_embeddings:
        yield "--untie-embeddings-and-output-weights"
    if not model.has_linear_bias:
        yield "--disable-bias-linear"
    if model.has_qkv_bias != model.has_linear_bias:
        yield "--add-qkv-bias"
    if model.norm_kind == "rmsnorm":
        yield "--normalization RMSNorm"
    if model.qk_norm:
        yield "--qk-layernorm"
    if model.num_positions:
        yield f"--max-position-embeddings {model.num_positions}"
    else:
        yield "--position-embedding-type rope"
    if model.num_mtp_layers:
        yield f"--mtp-num-layers {model.num_mtp_layers}"
    if not model.has_dropout:
        yield "--hidden-dropout 0 --attention-dropout 0"


def _training(scenario: Scenario) -> Iterator[str]:
    training = scenario.training
    yield from {
        "bf16": ["--bf16"],
        "fp16": ["--fp16"],
        "fp8": ["--bf16", "--fp8-format hybrid"],
    }.get(training.precision, [f"# no flag for {training.precision}"] if training.precision != "fp32" else [])
    if training.recompute == "selective":
        yield "--recompute-granularity selective"
        if training.recompute_modules is not None:
            yield f"--recompute-modules {' '.join(training.recompute_modules)}"
    elif training.recompute == "full":
        method, number = training.recompute_method or "block", training.recompute_num_layers
        chosen = f"{method} --recompute-num-layers {number}" if number else "uniform --recompute-num-layers 1"
        yield f"--recompute-granularity full --recompute-method {chosen}"
    yield f"--attention-backend {'flash' if training.flash_attention else 'unfused'}"


def _overlaps(scenario: Scenario) -> Iterator[str]:
    overlap = scenario.runtime.overlap
    for name, is_beside in (
        ("overlap-grad-reduce", overlap.grad_reduce),
        ("overlap-param-gather", overlap.param_gather),
        ("tp-comm-overlap", overlap.tp),
    ):
        if is_beside:
            yield f"--{name}"
