"""fp8, fp4 and their block-scaled forms: linear layers alone, on devices that have them, with bf16's state."""

from __future__ import annotations

from typing import Any

import pytest

from clustersim.errors import ScenarioError
from clustersim.ops import StageCosts
from clustersim.scenario.devices import load_device
from clustersim.scenario.load import scenario_from_mapping
from clustersim.scenario.model import ModelSpec
from clustersim.workload.model.layer_work import layer_operators, output_operators
from clustersim.workload.model.layers import layer_kinds
from clustersim.workload.model.microbatch import MicroBatch
from clustersim.workload.model.stage import Repeated
from clustersim.workload.model.timing import DeviceTiming, peak_rate
from clustersim.workload.model_costs import model_costs

GPT = {"num_layers": 2, "hidden_size": 8192, "num_attention_heads": 64, "vocab_size": 51200, "seq_length": 4096}
WIDE = ModelSpec(**GPT)  # type: ignore[arg-type]


def costs(precision: str, topology: str = "dgx-b200") -> StageCosts:
    document: dict[str, Any] = {
        "version": 1,
        "model": GPT,
        "cluster": {"topology": topology, "gpus": 1},
        "batch": {"num_microbatches": 1},
        "schedule": "1f1b",
        "training": {"precision": precision},
    }
    (cost,) = model_costs(scenario_from_mapping(document), 1)
    return cost


@pytest.mark.parametrize(
    ("precision", "bytes_of_32"),
    [("bf16", 64), ("fp8", 32), ("mxfp8", 33), ("fp4", 16), ("nvfp4", 18), ("mxfp4", 17)],
)
def test_a_linear_layer_reads_its_operands_with_their_scales(precision: Any, bytes_of_32: int) -> None:
    operators = {
        operator.name: operator
        for operator in layer_operators(WIDE, layer_kinds(WIDE)[0], MicroBatch(precision=precision))
    }
    fc1 = operators["fc1"]
    tokens, hidden, width = 4096, 8192, 4 * 8192
    assert fc1.precision == precision
    assert fc1.forward.flop == 2 * tokens * hidden * width
    operand_values = tokens * hidden + hidden * width
    assert fc1.forward.moved_bytes == operand_values * bytes_of_32 // 32 + 2 * tokens * width
    assert fc1.weight_grad.moved_bytes == tokens * (hidden + width) * bytes_of_32 // 32
    weights = (4 + 2 * 4) * hidden**2  # of attention and MLP, whose gradients are added up in fp32
    assert operators["accumulation"].weight_grad.moved_bytes == 2 * 4 * weights


def test_all_but_the_linear_layers_of_layers_stays_in_16_bits() -> None:
    microbatch = MicroBatch(precision="nvfp4")
    layer = layer_operators(WIDE, layer_kinds(WIDE)[0], microbatch)
    assert {operator.precision for operator in layer if operator.kind == "linear"} == {"nvfp4"}
    rest = [operator for operator in layer if operator.kind != "linear"]
    assert {operator.precision for operator in (*rest, *output_operators(WIDE, microbatch))} == {"bf16"}


def test_a_product_takes_its_flop_at_the_peak_of_its_format() -> None:
    device = load_device("B200-SXM")
    timing = DeviceTiming.of(device)
    assert timing.kernels.gemm_fp8 is not None
    times = {}
    for precision in ("fp8", "mxfp8", "nvfp4", "mxfp4"):
        operators = layer_operators(WIDE, layer_kinds(WIDE)[0], MicroBatch(4, precision=precision))
        fc1 = next(operator for operator in operators if operator.name == "fc1")
        times[precision] = timing.forward_ps(Repeated([fc1])) - timing.kernels.launch
    assert times["fp8"] == times["mxfp8"]
    assert times["nvfp4"] == times["mxfp4"] == pytest.approx(times["fp8"] / 2, abs=1)
    assert peak_rate(device.peak_flop_per_s, "nvfp4") == 9000e12
    faster = DeviceTiming.of(
        device.model_copy(update={"kernels": device.kernels and device.kernels.model_copy(update={"gemm_fp4": 0.84})})
    )
    assert faster.forward_ps(Repeated([fc1])) - timing.kernels.launch == pytest.approx(times["nvfp4"] / 2, abs=1)


def test_weights_gradients_and_optimizer_state_are_those_of_bf16() -> None:
    bf16, fp8, fp4 = (costs(precision) for precision in ("bf16", "fp8", "nvfp4"))
    for name in ("weights_bytes", "gradients_bytes", "optimizer_bytes", "optimizer_ps", "message_bytes"):
        assert getattr(bf16, name) == getattr(fp8, name) == getattr(fp4, name)
    assert bf16.activation_bytes > fp8.activation_bytes > fp4.activation_bytes
    assert bf16.forward_ps > fp8.forward_ps > fp4.forward_ps


def test_a_device_that_lacks_the_format_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(ScenarioError) as caught:
        costs("nvfp4", "dgx-h100")
    assert "training.precision: H100-SXM5-80GB computes nothing in nvfp4; allowed: bf16, fp16, fp8, mxfp8, fp32" in str(
        caught.value
    )
    with pytest.raises(ScenarioError, match="computes nothing in fp8; allowed: bf16, fp16, fp32"):
        costs("fp8", "dgx-a100")
    with pytest.raises(ScenarioError, match=r"training.precision: got 'nvfp5' \(text\); allowed: bf16, fp16, fp8"):
        costs("nvfp5")


def test_one_host_that_lacks_it_is_enough() -> None:
    scenario = scenario_from_mapping(
        {
            "version": 1,
            "model": GPT,
            "cluster": {"topology": "dgx-b200", "gpus": 1},
            "batch": {"num_microbatches": 1},
            "schedule": "1f1b",
            "training": {"precision": "mxfp4"},
        }
    )
    with pytest.raises(ScenarioError, match="A100-SXM4-80GB computes nothing in mxfp4"):
        model_costs(scenario, 1, load_device("A100-SXM4-80GB"))
    assert model_costs(scenario, 1)[0] == model_costs(scenario, 1, load_device("B200-SXM"))[0]
