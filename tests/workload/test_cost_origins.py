"""Where costs come from: what decides the time of a kernel, and which shapes were measured."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any, get_args

import pytest

import clustersim as cs
from clustersim.ops import Kind
from clustersim.planning.validation import read_measurements
from clustersim.scenario.devices import ConstantName, device_names, load_device
from clustersim.scenario.load import scenario_from_mapping, vary
from clustersim.scenario.spec import Scenario
from clustersim.workload.model.timing import DeviceTiming
from clustersim.workload.model.work import Gemm, Operator, Work
from clustersim.workload.origins import sources_of_compute
from clustersim.workload.shapes import Dimension, dimensions_of, out_of_range, ranges_of

GPT: dict[str, Any] = {
    "num_layers": 8, "hidden_size": 1024, "num_attention_heads": 16, "vocab_size": 51200, "seq_length": 1024,
}  # fmt: skip
MOE = {"moe": {"num_experts": 8, "top_k": 2, "ffn_hidden_size": 512}}
A100, B200 = load_device("A100-SXM4-80GB"), load_device("B200-SXM")
WITH_KERNELS = [name for name in device_names() if load_device(name).kernels is not None]


def job(**sections: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "model": GPT,
        "cluster": {"topology": "dgx-a100", "gpus": 4},
        "parallelism": {"pp": 4},
        "batch": {"num_microbatches": 8},
        "schedule": "1f1b",
    } | sections


def scenario(**sections: Any) -> Scenario:
    return scenario_from_mapping(job(**sections))


def result(**sections: Any) -> cs.Result:
    return cs.simulate(scenario(**sections))


def test_the_time_of_kernels_parts_among_the_constants_that_decide_it() -> None:
    """On A100, by hand: 312 TFLOP/s at 0.757 and what tiles use, 2.039 TB/s at 0.88, 17.6 us a launch."""
    timing = DeviceTiming.of(A100)
    # 108 x 128 rows by 128 columns fill one round of tiles; of 1,134 inner steps 126 are lost: 8 of 9 are used
    rows, inputs, outputs = 108 * 128, 8 * 126, 128
    product = Operator(
        "fc1", "linear", "bf16", Work(2 * rows * inputs * outputs, 1), Work(), gemm=Gemm(rows, inputs, outputs)
    )
    norm = Operator("norm", "elementwise", "bf16", Work(0, 1_000_000), Work())
    found = timing.seconds_by_constant({product: 2, norm: 3}, timing.forward)  # type: ignore[arg-type]
    assert found == {
        "gemm": pytest.approx(2 * 2 * rows * inputs * outputs / (312e12 * 0.757 * 8 / 9)),
        "memory": pytest.approx(3 * 1e6 / (2.039e12 * 0.88)),
        "launch": pytest.approx(5 * 17.6e-6),
    }
    moved = replace(product, forward=Work(product.forward.flop, 10**9))
    assert timing.forward(moved).constant == "memory"


@pytest.mark.parametrize("name", WITH_KERNELS)
def test_origins_name_constants_that_the_device_has(name: str) -> None:
    kernels = load_device(name).kernels
    assert kernels is not None
    assert not set(kernels.fitted) & set(kernels.measured)
    origins = {constant: kernels.origin(constant) for constant in get_args(ConstantName)}
    assert all(getattr(kernels, constant) is not None for constant, origin in origins.items() if origin != "assumed")
    assert kernels.fitted_on is None or load_device(kernels.fitted_on).kernels is not None


def test_what_was_said_to_be_assumed_is() -> None:
    assert A100.kernels is not None
    assert B200.kernels is not None
    assert (A100.kernels.origin("experts"), A100.kernels.origin("gemm")) == ("assumed", "derived")
    assert (B200.kernels.origin("gemm_fp8"), B200.kernels.origin("experts")) == ("assumed", "derived")


def test_ranges_are_those_of_the_packaged_measurements() -> None:
    dimensions: dict[str | None, list[Dimension]] = defaultdict(list)
    for row in read_measurements():
        measured = vary(scenario_from_mapping(row.scenario), row.changes)
        layout = measured.parallelism
        num_stages = measured.schedule.rules.num_listed_stages(layout.pp, layout.vpp)
        dimensions[measured.cluster.topology.device] += dimensions_of(measured, num_stages)
    for name in WITH_KERNELS:
        kernels = load_device(name).kernels
        assert kernels is not None
        assert kernels.measured_over == ranges_of([*dimensions[name], *dimensions[kernels.fitted_on]]), name


def test_shapes_of_a_gpu_worked_by_hand() -> None:
    found = set(dimensions_of(scenario(parallelism={"tp": 2, "pp": 2}), 2))
    assert {(d.operator, d.name, d.value) for d in found if d.shape == "gemm"} == {
        *(("qkv", name, value) for name, value in (("rows", 1024), ("inputs", 1024), ("outputs", 3 * 512))),
        *(("projection", name, value) for name, value in (("rows", 1024), ("inputs", 512), ("outputs", 1024))),
        *(("fc1", name, value) for name, value in (("rows", 1024), ("inputs", 1024), ("outputs", 2048))),
        *(("fc2", name, value) for name, value in (("rows", 1024), ("inputs", 2048), ("outputs", 1024))),
        *(("logits", name, value) for name, value in (("rows", 1024), ("inputs", 1024), ("outputs", 25600))),
    }
    assert {(d.shape, d.name, d.value) for d in found if d.shape != "gemm"} == {
        ("attention", "seq_length", 1024),
        ("attention", "head_size", 64),
    }


def test_what_lies_outside_is_told_at_its_farthest() -> None:
    assert A100.kernels is not None
    given = [
        Dimension("gemm", "rows", 1024, "qkv"),
        Dimension("gemm", "inputs", 100, "fc1"),
        Dimension("gemm", "inputs", 50, "fc2"),
        Dimension("gemm", "inputs", 60_000, "fc2"),
        Dimension("experts", "rows", 512, "expert_fc1"),
        Dimension("experts", "inputs", 512, "expert_fc1"),
    ]
    found = out_of_range(given, A100.kernels)
    assert [(entry.dimension.operator, entry.dimension.value, entry.measured) for entry in found] == [
        ("fc2", 50, (192, 49152)),
        ("fc2", 60_000, (192, 49152)),
        ("expert_fc1", 512, None),
    ]


def test_a_shape_outside_is_a_warning_that_names_operator_dimension_value_and_range() -> None:
    warnings = result(model=GPT | {"head_dim": 64}).warnings
    what = "attention: head_size 64 lies outside what was measured on A100-SXM4-80GB, 128 to 128 (attention)"
    assert [warning for warning in warnings if warning.startswith(what)]
    large = GPT | {"hidden_size": 8192, "num_attention_heads": 64, "num_layers": 4, "seq_length": 2048}
    assert not [warning for warning in result(model=large).warnings if "measured" in warning]


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"training": {"recompute": "full"}},
        {"parallelism": {"pp": 2, "dp": 2, "zero_stage": 1}, "schedule": "zb-h1"},
        {"parallelism": {"pp": 2, "dp": 2}, "schedule": "dualpipe"},
        {"parallelism": {"tp": 2, "pp": 2}, "steps": 3},
    ],
    ids=str,
)
def test_the_parts_are_the_busiest_ranks_time(sections: dict[str, Any]) -> None:
    found = result(**sections)
    origins = found.cost_origins
    busiest_ps = max(rank.compute_ps + rank.exposed_communication_ps for rank in found.ranks)
    steps = found.trace.num_steps
    assert origins.busy_s >= busiest_ps / 1e12 / steps * (1 - 1e-12)  # other replicas may be busier
    assert sum(part.time_s for part in origins.parts) == pytest.approx(origins.busy_s, rel=1e-9)
    assert sum(origins.shares.values()) == pytest.approx(1.0)
    assert origins.shares["given"] == 0
    row = found.trace.ranks.rank.tolist().index(origins.rank)
    ops = found.trace.ops
    mine = ops.rank_index == row
    compute_s = int((ops.end_ps - ops.start_ps)[mine].sum()) / 1e12 / steps
    of_device = [part.time_s for part in origins.parts if part.of == "A100-SXM4-80GB"]
    assert sum(of_device) == pytest.approx(compute_s, rel=1e-9)


def test_experts_on_an_a100_are_assumed_and_dense_layers_are_not() -> None:
    assert {part.what for part in result(model=GPT | MOE).cost_origins.parts if part.origin == "assumed"} >= {"experts"}
    dense = result(cluster={"topology": "dgx-a100", "gpus": 1}, parallelism={})
    shares = dense.cost_origins.shares
    assert shares["derived"] + shares["measured"] == pytest.approx(1.0)
    assert {part.what for part in dense.cost_origins.parts if part.origin == "measured"} == {"memory"}


def test_constants_taken_over_say_whose_they_are() -> None:
    found = result(cluster={"topology": {"fabric": "ring", "gpus": 4, "device": "A800-SXM4-80GB"}})
    parts = {part.what: part for part in found.cost_origins.parts}
    assert (parts["gemm"].of, parts["gemm"].origin) == ("A100-SXM4-80GB", "derived")


def test_collectives_are_derived_only_where_they_were_measured() -> None:
    two_nodes = {"topology": "dgx-a100", "gpus": 16}
    parts = result(cluster=two_nodes, parallelism={"tp": 8, "dp": 2}).cost_origins.parts
    origins = {part.what: part.origin for part in parts if part.of == "dgx-a100"}
    assert origins["tp collectives within a node or domain"] == "derived"
    assert origins["dp collectives over the network"] == "assumed"


def test_given_costs_are_given() -> None:
    document = job(stage_costs={"forward": "10 ms", "backward": "20 ms", "message": "32 MiB"})
    del document["model"]
    origins = cs.simulate(scenario_from_mapping(document)).cost_origins
    assert origins.parts[0].what == "stage costs"
    assert origins.shares["given"] > 0.9
    assert origins.shares["assumed"] == pytest.approx(1 - origins.shares["given"])  # messages of the gallery's fabric


ENDS = [
    {"part": part, "forward": "1 ms", "input_grad": "1 ms", "weight_grad": "1 ms"} for part in ("embedding", "output")
]
LAYER = {"part": "dense-layer", "forward": "2 ms", "input_grad": "3 ms", "weight_grad": "2 ms"}
UPDATE = {"part": "optimizer", "optimizer_step": "5 ms"}


@pytest.mark.parametrize("schedule", ["1f1b", "zb-h1"])
def test_what_a_profile_holds_is_measured(schedule: str) -> None:
    """Nothing is asked of the device, of which nobody knows how fast it is."""
    one = {"cluster": {"topology": "tpu-v4", "gpus": 4}, "schedule": schedule}
    found = result(**one, profile={"rows": [*ENDS, LAYER, UPDATE]})
    parts = {part.what: part for part in found.cost_origins.parts}
    assert (parts["profile"].of, parts["profile"].origin) == ("the scenario", "measured")
    # the first and the last rank have two layers and an end each, eight micro-batches, and an optimizer step
    assert parts["profile"].time_s == pytest.approx(8 * (2 * 7e-3 + 3e-3) + 5e-3)
    assert not found.cost_origins.out_of_range


def test_what_is_derived_beside_a_profile_keeps_its_origin() -> None:
    found = result(profile={"rows": [LAYER]}, cluster={"topology": "dgx-a100", "gpus": 1}, parallelism={})
    parts = {part.what: part for part in found.cost_origins.parts}
    assert parts["profile"].time_s == pytest.approx(8 * 8 * 7e-3)
    assert {"gemm", "memory", "launch"} <= set(parts)
    assert "attention_forward" not in parts
    assert sum(part.time_s for part in found.cost_origins.parts) == pytest.approx(found.step_time_s)


def test_a_host_gap_is_given_by_the_scenario_or_assumed_on_the_device() -> None:
    given = result(runtime={"host_gap": "1 ms"}).cost_origins
    (gap,) = (part for part in given.parts if part.what == "host_gap")
    assert (gap.of, gap.origin) == ("the scenario", "given")
    assert gap.time_s == pytest.approx(8 * 2 * 1e-3)
    assert A100.kernels is not None
    slow_host = A100.model_copy(update={"kernels": A100.kernels.model_copy(update={"host_gap": 10**9})})
    found = sources_of_compute(scenario(), 4, {(Kind.W, 0, -1): 10**12}, slow_host)
    assert [(source.of, source.origin) for source in found if source.what == "host_gap"] == [(A100.name, "assumed")]


def test_an_overlapped_slot_is_a_forward_and_a_backward() -> None:
    both = sources_of_compute(scenario(), 4, {(Kind.FB, 0, 3): 10**12})
    plain = scenario()
    forward, backward = ({place: 10**12} for place in ((Kind.F, 0, -1), (Kind.B, 3, -1)))
    parts = [sources_of_compute(plain, 4, place) for place in (forward, backward)]  # type: ignore[arg-type]
    for source, seconds in both.items():
        low, high = sorted(part.get(source, 0.0) for part in parts)
        assert low <= seconds <= high
    assert sum(both.values()) == pytest.approx(1.0)
