"""Memory by what it is: every category counted by hand, sums with ==, and the same from programs as from runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clustersim as cs
from clustersim.analysis.memory import activation_curve, logits_curve, measure_memory
from clustersim.report.tables import write_tables
from clustersim.result import Result
from clustersim.scenario.frameworks import load_framework
from clustersim.scenario.load import scenario_from_mapping
from clustersim.scenario.schedule_choice import SCHEDULE_RULES
from clustersim.simulation import peak_bytes_by_rank

S, H, V, LAYERS = 64, 128, 1000, 4
MODEL = {
    "num_layers": LAYERS, "hidden_size": H, "num_attention_heads": 4, "vocab_size": V, "seq_length": S,
    "dropout": False,
}  # fmt: skip
GIB = 2**30


def document(**sections: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "model": MODEL,
        "cluster": {"topology": "dgx-a100", "gpus": 2},
        "parallelism": {"pp": 2},
        "batch": {"num_microbatches": 4},
        "schedule": "1f1b",
    } | sections


def simulated(**sections: Any) -> Result:
    return cs.simulate(scenario_from_mapping(document(**sections)))


def test_every_category_of_two_stages() -> None:
    first, last = simulated(runtime={"memory": {"context": "1 GiB", "communicator": "10 MiB"}}).memory.ranks
    layer = 12 * H * H + 13 * H  # four matrices, their biases, two norms
    embedding = (V + S) * H
    assert first.weights_bytes == 2 * (2 * layer + embedding)
    assert last.weights_bytes == 2 * (2 * layer + V * H + 2 * H)  # the output layer's copy, and the final norm
    assert first.gradients_bytes == 2 * first.weights_bytes
    assert first.optimizer_bytes == 6 * first.weights_bytes
    kept = 2 * 32 * S * H  # of two layers: 34 s b h less two dropout masks
    assert first.activations_peak_bytes == 2 * kept  # 1F1B: two micro-batches on the first rank, one on the last
    assert last.activations_peak_bytes == kept + 4 * S * H + 4 * S * V
    assert (first.logits_bytes, last.logits_bytes) == (0, 4 * S * V)
    assert (first.buffers_bytes, last.buffers_bytes) == (2 * 2 * S * H,) * 2  # an activation and a gradient coming in
    assert first.framework_bytes == GIB + 10 * 2**20  # one group: the pipeline's


def test_categories_add_up_to_peaks() -> None:
    memory = simulated(runtime={"memory": {"fragmentation": 0.05}}).memory
    for rank in memory.ranks:
        state = rank.weights_bytes + rank.gradients_bytes + rank.optimizer_bytes
        assert rank.allocated_peak_bytes == state + rank.buffers_bytes + rank.activations_peak_bytes
        assert rank.fragmentation_bytes == -(-rank.allocated_peak_bytes * 5 // 100)
        assert rank.peak_bytes == rank.allocated_peak_bytes + rank.fragmentation_bytes + rank.framework_bytes
    assert memory.peak_bytes == max(rank.peak_bytes for rank in memory.ranks)


def test_what_a_scenario_does_not_say_stands_in_the_frameworks_file() -> None:
    framework = load_framework("megatron")
    rank = simulated().memory.ranks[0]
    assert rank.framework_bytes == framework.context + framework.communicator
    assert framework.source
    named = simulated(runtime={"memory": {"buffers": "3 MiB", "communicator": "0 B", "context": "0 B"}}).memory.ranks
    assert [(rank.buffers_bytes, rank.framework_bytes) for rank in named] == [(3 * 2**20, 0)] * 2
    with pytest.raises(cs.ClustersimError, match="no framework is called 'megatrno'"):
        simulated(runtime={"memory": {"framework": "megatrno"}})


COSTS = {"forward": "1 ms", "backward": "2 ms", "activation": "1 GiB", "weights": "2 GiB"}


def explicit(**sections: Any) -> Result:
    given = document(stage_costs=COSTS, **sections)
    del given["model"]
    return cs.simulate(scenario_from_mapping(given))


def test_explicit_costs_have_nothing_beside_unless_the_scenario_says_so() -> None:
    plain = explicit().memory.ranks
    assert [rank.peak_bytes for rank in plain] == [4 * GIB, 3 * GIB]
    assert {rank.fragmentation_bytes + rank.framework_bytes + rank.buffers_bytes for rank in plain} == {0}
    options = {"context": "1 GiB", "buffers": "512 MiB", "communicator": "256 MiB", "fragmentation": 0.5}
    told = explicit(runtime={"memory": options}).memory.ranks
    assert [rank.peak_bytes for rank in told] == [int(6.75 * GIB) + GIB + GIB // 4, int(5.25 * GIB) + GIB + GIB // 4]


@pytest.mark.parametrize(
    ("parallelism", "bytes_held"),
    [
        ({"tp": 2, "sequence_parallel": True}, 2 * S * H),
        ({"tp": 2}, 0),
        ({"cp": 2}, 2 * S * 2 * H),
        ({"dp": 2, "zero_stage": 1}, 0),
        ({"dp": 2, "zero_stage": 2}, 1000),
        # an embedding, (V + S) H, is less than a layer's 12 H H + 13 H
        ({"dp": 2, "zero_stage": 3}, (2 * 2 + 4) * (12 * H * H + 13 * H)),
    ],
    ids=str,
)
def test_buffers_of_each_axis(parallelism: dict[str, Any], bytes_held: int) -> None:
    (rank,) = simulated(parallelism=parallelism, runtime={"gradient_bucket": "1000 B"}).memory.ranks
    assert rank.buffers_bytes == bytes_held


SCHEDULES: list[Any] = [name for name in SCHEDULE_RULES if name != "hanayo"]
SCHEDULES.append({"policy": "backward-first"})


@pytest.mark.parametrize("name", SCHEDULES, ids=str)
@pytest.mark.parametrize("training", [{}, {"recompute": "full", "recompute_num_layers": 1}], ids=["plain", "recompute"])
def test_programs_give_the_peaks_of_a_run(name: Any, training: dict[str, Any]) -> None:
    vpp = 2 if name in ("interleaved-1f1b", "looped-bfs", "interleaved-zb") else 1
    scenario = scenario_from_mapping(
        document(
            parallelism={"pp": 2, "vpp": vpp}, schedule=name, training=training, batch={"num_microbatches": 6}, steps=2
        )
    )
    result = cs.simulate(scenario)
    assert peak_bytes_by_rank(scenario) == tuple(rank.peak_bytes for rank in result.memory.ranks)
    curve, logits = activation_curve(result.trace), logits_curve(result.trace)
    assert np.array_equal(curve.time_ps, logits.time_ps)
    assert (logits.value >= 0).all()
    assert (logits.value <= curve.value).all()
    last = [np.flatnonzero(logits.rank_index == rank)[-1] for rank in range(2)]
    assert not logits.value[last].any()  # all are freed


def test_logits_of_a_short_micro_batch_are_smaller() -> None:
    batch = {"global_batch_size": 7, "micro_batch_size": 4, "remainder": "short"}
    trace = simulated(batch=batch, parallelism={"pp": 1}, cluster={"topology": "dgx-a100", "gpus": 1}).trace
    values = logits_curve(trace).value
    assert values.tolist() == [4 * 4 * S * V, 0, 3 * 4 * S * V, 0]


def test_peaks_come_with_their_time() -> None:
    result = simulated()
    memory = measure_memory(result.trace)
    ops = result.trace.ops
    second_forward = np.flatnonzero((ops.rank_index == 0) & (ops.microbatch == 1))[0]
    assert memory.peak_ps[0] == ops.start_ps[second_forward]
    assert result.memory.ranks[0].peak_ps == memory.peak_ps[0]


def test_tables_have_the_categories(tmp_path: Any) -> None:
    result = simulated()
    write_tables(result.trace, tmp_path)
    header, first, *_ = (tmp_path / "memory.csv").read_text().splitlines()
    assert header == "rank,time_ps,activations_bytes,logits_bytes,total_bytes"
    _, _, activations, logits, total = map(int, first.split(","))
    rank = result.memory.ranks[0]
    state = rank.weights_bytes + rank.gradients_bytes + rank.optimizer_bytes + rank.buffers_bytes
    assert (logits, total) == (0, activations + state)
    ranks = (tmp_path / "ranks.csv").read_text().splitlines()
    names, values = ranks[0].split(","), ranks[2].split(",")
    row = dict(zip(names, values, strict=True))
    for name in ("buffers_bytes", "logits_bytes", "fragmentation_bytes", "framework_bytes", "peak_bytes", "peak_ps"):
        assert int(row[name]) == getattr(result.memory.ranks[1], name)
