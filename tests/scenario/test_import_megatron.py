"""Megatron's flags in launch scripts: read and never run, jobs out; what is wrong is told with flag and position."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import ScenarioError
from clustersim.scenario.importers import Imported, import_megatron, scenario_text
from clustersim.scenario.importers.launch_script import read_launch_script
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.models import load_model
from clustersim.scenario.node import plain
from clustersim.scenario.read_yaml import read_yaml
from clustersim.scenario.text import Text
from clustersim.scenario.training import Training

GPT_3 = r"""#!/bin/bash
# Runs the "175B" parameter model; don't run it here
TP=${TP:-8}
PP=8
GPUS_PER_NODE=8
NUM_NODES=16
DISTRIBUTED_ARGS=(
    --nproc_per_node $GPUS_PER_NODE
    --nnodes $NUM_NODES
    --master_addr $MASTER_ADDR
)
GPT_MODEL_ARGS=(
    --num-layers 96
    --hidden-size 12288
    --num-attention-heads 96
    --seq-length 2048
    --max-position-embeddings 2048
    --attention-backend auto # Can use (flash/fused/unfused/local)
)
TRAINING_ARGS=(--micro-batch-size 1
    --global-batch-size=1536
    --lr 6.0e-5
    --fp16)
MODEL_PARALLEL_ARGS=(
	--tensor-model-parallel-size $TP
	--pipeline-model-parallel-size ${PP}
	--num-layers-per-virtual-pipeline-stage 3
	--sequence-parallel
	--use-distributed-optimizer
	--overlap-grad-reduce
)
DATA_ARGS="--vocab-size 50257 \
    --data-path $DATA"
torchrun ${DISTRIBUTED_ARGS[@]} pretrain_gpt.py \
    ${GPT_MODEL_ARGS[@]} \
    ${MODEL_PARALLEL_ARGS[@]} --recompute-granularity selective
"""
NEEDED = "--num-layers 4 --hidden-size 64 --num-attention-heads 4 --seq-length 32 --micro-batch-size 2 --vocab-size 100"
NEEDED += " --max-position-embeddings 32"


def imported(more: str = "", **options: Any) -> Imported:
    return import_megatron("run.sh", f"{NEEDED} {more}", **options)


def model(more: str) -> ModelSpec:
    return ModelSpec(**imported(more).sections["model"])


def faults(text: str) -> list[str]:
    with pytest.raises(ScenarioError) as refused:
        import_megatron("run.sh", text)
    return [f"{fault.position} {fault.where}: {fault.what}" for fault in refused.value.faults]


def test_a_whole_script() -> None:
    result = import_megatron("run.sh", GPT_3)
    assert ModelSpec(**result.sections["model"]).model_copy(
        update=dict.fromkeys(("linear_bias", "learned_positions", "norm", "dropout"))
    ) == load_model("gpt-3-175b")
    assert result.sections["parallelism"] == {
        "tp": 8, "pp": 8, "vpp": 4, "dp": 2, "sequence_parallel": True, "zero_stage": 1,
    }  # fmt: skip
    assert result.sections["batch"] == {"global_batch_size": 1536, "micro_batch_size": 1}
    assert result.sections["schedule"] == "interleaved-1f1b"
    assert result.sections["training"] == {"precision": "fp16", "recompute": "selective", "flash_attention": True}
    assert result.sections["runtime"] == {"overlap": {"grad_reduce": True, "param_gather": False, "tp": False}}
    assert result.notes == (
        "vocab_size 50257 is padded to 51200, a multiple of 1024.",
        "Not read: --master_addr, --lr, --data-path.",
    )


def test_what_is_written_reads_back_as_it_was() -> None:
    result = import_megatron("run.sh", f"{GPT_3} --pipeline-model-parallel-layout 'Et|t|tL' --num-experts 4")
    written = scenario_text(result, "Imported.")
    assert json.loads(json.dumps(plain(read_yaml(Text("s.yaml", written))))) == result.sections
    assert "\nschedule: interleaved-1f1b\n" in written
    assert '\n  split: {layout: "Et|t|tL"}\n' in written


def test_scripts_are_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    imported("--lr $(touch ran) --data-path `touch ran`; touch ran")
    assert not (tmp_path / "ran").exists()


def test_absent_flags_have_megatron_s_defaults() -> None:
    result = imported()
    spec = ModelSpec(**result.sections["model"])
    assert (spec.vocab_size, spec.ffn_size, spec.kv_heads, spec.norm_kind) == (128, 256, 4, "layernorm")
    assert (spec.has_linear_bias, spec.num_positions, spec.has_dropout, spec.tied_embeddings) == (True, 32, True, True)
    assert result.sections["training"]["precision"] == "fp32"
    assert result.sections["schedule"] == "1f1b"
    assert "parallelism" not in result.sections


def test_a_llama() -> None:
    spec = model(
        "--swiglu --normalization RMSNorm --disable-bias-linear --position-embedding-type rope --hidden-dropout 0.0 "
        "--attention-dropout 0 --untie-embeddings-and-output-weights --group-query-attention --num-query-groups 2 "
        "--kv-channels 32 --ffn-hidden-size 172 --qk-layernorm --add-qkv-bias"
    )
    assert (spec.gated_mlp, spec.norm_kind, spec.kv_heads, spec.head_size, spec.ffn_size) == (
        True,
        "rmsnorm",
        2,
        32,
        172,
    )
    assert (spec.has_linear_bias, spec.has_qkv_bias, spec.num_positions, spec.has_dropout) == (False, True, 0, False)
    assert spec.qk_norm
    assert not spec.tied_embeddings


def test_widths_that_megatron_derives() -> None:
    assert model("--swiglu").ffn_size == 128  # 4 * 64 * 2 / 3 = 170, a multiple of 64
    assert model("--group-query-attention").kv_heads == 1
    assert model("--multi-latent-attention").mla == model("--multi-latent-attention --kv-lora-rank 32").mla


@pytest.mark.parametrize(
    ("frequency", "places"), [("", (0, 1)), ("--moe-layer-freq 2", (0, 2)), ("--moe-layer-freq ([0]*1+[1]*3)", (1, 1))]
)
def test_experts(frequency: str, places: tuple[int, int]) -> None:
    flags = "--num-experts 8 --moe-ffn-hidden-size 32 --moe-shared-expert-intermediate-size 48 --moe-router-topk 4 "
    moe = model(f"{flags} {frequency}").moe
    assert moe
    assert (moe.num_experts, moe.top_k, moe.ffn_hidden_size, moe.shared_ffn_hidden_size) == (8, 4, 32, 48)
    assert (moe.first_dense_layers, moe.every) == places
    assert model("--num-experts 8").moe == model("--num-experts 8 --moe-router-topk 2").moe


def test_other_parts_of_a_job() -> None:
    sections = imported(
        "--pipeline-model-parallel-size 2 --decoder-first-pipeline-num-layers 1 --context-parallel-size 2 --bf16 "
        "--account-for-loss-in-pipeline-split --fp8-format hybrid --recompute-activations --use-flash-attn "
        "--num-virtual-stages-per-pipeline-rank 2 --microbatch-group-size-per-virtual-pipeline-stage 4"
    ).sections
    assert sections["parallelism"] == {"pp": 2, "cp": 2, "vpp": 2, "split": {"first": 1, "loss_counts": True}}
    assert sections["training"] == {"precision": "fp8", "recompute": "selective", "flash_attention": True}
    assert sections["schedule"] == {"name": "interleaved-1f1b", "group_size": 4}
    layout = imported("--pipeline-model-parallel-size 2 --pipeline-model-parallel-layout 'Et|t|t|tL'").sections
    assert layout["parallelism"]["split"] == {"layout": "Et|t|t|tL"}
    assert layout["schedule"] == "interleaved-1f1b"
    assert imported("--attention-backend unfused").sections["training"]["flash_attention"] is False


def test_a_job_of_megatron_deepspeed_whose_nodes_slurm_tells() -> None:
    text = (
        'NNODES=$SLURM_NNODES\nGPT_ARGS=" \\\n    --num-layers 4 \\\n    --hidden-size 64 --num-attention-heads 4 \\\n'
        "    --pp-partition-method 'type:transformer|embedding' --seq-length 32 --micro-batch-size 2 \\\n"
        "    --embed-layernorm \\\n    --position-embedding-type alibi --checkpoint-activations --zero-stage 0 \\\n"
        '    --pad-vocab-size-to 960 --bf16 $OTHERS"\nexport LAUNCHER="run --nproc_per_node 8 --nnodes $NNODES"'
    )
    result = import_megatron("run.slurm", text)
    spec = ModelSpec(**result.sections["model"])
    assert (spec.embedding_norm, spec.num_positions, spec.vocab_size) == (True, 0, 960)
    assert result.sections["parallelism"] == {"zero_stage": 0}
    assert result.sections["training"] == {"precision": "bf16", "recompute": "full"}
    assert result.notes[0].startswith("The script does not tell the number of GPUs")


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("A=(--bf16 --seq-length 8)", [("--bf16", None), ("--seq-length", "8")]),
        ("A+=(--seq-length=8)", [("--seq-length", "8")]),
        ('A="--seq-length 8 \\\n --bf16"', [("--seq-length", "8"), ("--bf16", None)]),
        ("N=${N:-4}\n--nnodes $N", [("--nnodes", "4")]),
        ("N=4\nM=$N\n--nnodes ${M}", [("--nnodes", "4")]),
        ("--nnodes ${N:-2} # --bf16", [("--nnodes", "2")]),
        ("--seed -1 --bf16", [("--seed", "-1"), ("--bf16", None)]),
    ],
)
def test_how_shells_write_flags(text: str, flags: list[tuple[str, str | None]]) -> None:
    assert [(flag.name, flag.value) for flag in read_launch_script("run.sh", text)] == flags


@pytest.mark.parametrize("value", ["$1", "$(nproc)", "`nproc`", "$((2*4))", "$UNSET", "$N"])
def test_what_only_a_shell_could_know_is_refused(value: str) -> None:
    told = faults(f"N=$N\n{NEEDED} \\\n  --tensor-model-parallel-size {value}")
    assert told == [
        f"run.sh:3:32 --tensor-model-parallel-size: only a shell could tell what {value} is",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["--num-layers: is not among the flags", "--hidden-size: is not", "--vocab-size: is not among the flags"]),
        (f"{NEEDED}\n--num-layers 5", ["run.sh:2:14 --num-layers: got 5; line 1 says 4"]),
        (
            f"{NEEDED}\n--num-experts many",
            ["run.sh:2:15 --num-experts: must be a whole number of at least 1; got 'many'"],
        ),
        (f"{NEEDED}\n--num-experts --bf16", ["run.sh:2:1 --num-experts: has no value"]),
        (f"{NEEDED}\n--normalization Layer", ["--normalization: got 'Layer'; allowed: LayerNorm, RMSNorm"]),
        (
            f"{NEEDED}\n--group-query-attention --num-query-groups 3",
            ["run.sh:2:44 --num-query-groups: 3 does not divide"],
        ),
        (f"{NEEDED}\n--num-experts 2 --moe-router-topk 3", ["run.sh:2:35 --moe-router-topk: 3; there are only 2"]),
        (f"{NEEDED}\n--num-experts 2 --moe-layer-freq [0,1]", ["--moe-layer-freq: got '[0,1]'"]),
        (f"{NEEDED}\n--num-experts 2 --moe-layer-freq [0]*1+[1]*9", ["has not as many layers as --num-layers 4"]),
        (f"{NEEDED}\n--num-layers-per-virtual-pipeline-stage 3", ["4 layers do not make whole chunks of 3"]),
        (f"{NEEDED}\n--nnodes 1 --nproc-per-node 2 --context-parallel-size 4", ["2 GPUs are no multiple of"]),
        (f"{NEEDED}\n--hidden-dropout no", ["--hidden-dropout: must be a number; got 'no'"]),
        (f"{NEEDED}\n--window-size 5,0", ["--window-size: sliding windows are not imported"]),
        (f"{NEEDED}\n--bf16 'open", ["can't be split into words as a shell does: No closing quotation"]),
    ],
)
def test_mistakes_name_flag_and_position(text: str, told: list[str]) -> None:
    found = faults(text)
    assert all(any(part in fault for fault in found) for part in told), found


def test_a_vocabulary_may_be_given() -> None:
    text = NEEDED.replace("--vocab-size 100", "--tensor-model-parallel-size 2")
    assert import_megatron("run.sh", text, vocab_size=300).sections["model"]["vocab_size"] == 512
    assert import_megatron("run.sh", f"{text} --padded-vocab-size 999").sections["model"]["vocab_size"] == 999
    divided = import_megatron("run.sh", f"{text} --make-vocab-size-divisible-by 8", vocab_size=300)
    assert divided.sections["model"]["vocab_size"] == 304


@pytest.mark.parametrize(
    ("flags", "training"),
    [
        (
            "--recompute-granularity full --recompute-method block --recompute-num-layers 2",
            {"recompute": "full", "recompute_num_layers": 2, "recompute_method": "block"},
        ),
        (
            "--recompute-granularity full --recompute-method uniform --recompute-num-layers 1",
            {"recompute": "full", "recompute_num_layers": 1, "recompute_method": "uniform"},
        ),
        (
            "--recompute-granularity selective --recompute-modules core_attn mlp --bf16",
            {"recompute": "selective", "recompute_modules": ("core_attn", "mlp")},
        ),
        (
            "--activations-checkpoint-method uniform --activations-checkpoint-num-layers 4",
            {"recompute": "full", "recompute_num_layers": 4, "recompute_method": "uniform"},
        ),
        (
            "--checkpoint-activations --checkpoint-num-layers 2",
            {"recompute": "full", "recompute_num_layers": 2, "recompute_method": "uniform"},
        ),
        ("--recompute-granularity full", {"recompute": "full"}),
        ("--recompute-num-layers 2", {}),  # means nothing to a job that recomputes nothing
    ],
)
def test_what_is_recomputed(flags: str, training: dict[str, Any]) -> None:
    found = imported(flags).sections["training"]
    assert {key: value for key, value in found.items() if key.startswith("recompute")} == training
    Training(**found)  # a scenario takes it as it is


def test_modules_that_nobody_knows_are_told() -> None:
    with pytest.raises(ScenarioError, match=r"--recompute-modules: got 'mpl'; allowed: core_attn, mlp"):
        imported("--recompute-granularity selective --recompute-modules core_attn mpl")
