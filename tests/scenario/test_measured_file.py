"""Files of measured times: what columns mean, and every mistake with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clustersim.errors import InputError
from clustersim.scenario.load import load_scenario
from clustersim.scenario.measured import Layer, Measured
from clustersim.scenario.measured_columns import column_of
from clustersim.scenario.measured_file import Base, read_measured

GIVEN = '1,"{forward: 1 ms, backward: 2 ms}",full-mesh,1f1b,1'
STEPS = """\
name,step_time_ms,model,topology,parallelism.pp,gpus,batch.num_microbatches,schedule,source
a,100,gpt-2,dgx-a100,2,2,4,"{name: interleaved-1f1b, group_size: 2}",mine
b, 0.2e3 ,gpt-2,dgx-a100,1,1,4,1f1b,mine
"""


def read(tmp_path: Path, text: str, base: Base = Base(), name: str = "my.csv") -> tuple[Measured, ...]:  # noqa: B008
    path = tmp_path / name
    path.write_text(text)
    return read_measured(str(path), base).rows


def faults(tmp_path: Path, text: str, name: str = "my.csv") -> list[str]:
    with pytest.raises(InputError) as caught:
        read(tmp_path, text, name=name)
    return [f"{f.position}"[len(str(tmp_path)) + 1 :] + f": {f.where}: {f.what}" for f in caught.value.faults]


def test_a_line_is_a_scenario_and_its_time(tmp_path: Path) -> None:
    first, second = read(tmp_path, STEPS)
    assert (first.name, first.source, first.quantity, first.time_ps) == ("a", "mine", "step", 10**11)
    assert first.scenario.schedule.group_size == 2
    assert (first.scenario.parallelism.pp, second.scenario.parallelism.pp) == (2, 1)
    assert second.time_ps == 2 * 10**11
    assert (second.label, second.layer) == ("b", None)


def test_cells_vary_a_base_and_empty_ones_leave_it(tmp_path: Path) -> None:
    base = Base(load_scenario("gpt-3-175b-64gpus", ["batch.micro_batch_size=2"]))
    text = "step_time,global_batch_size,model.seq_length\n1.5 s,128,\n250 ms,,1024\n"
    first, second = read(tmp_path, text, base)
    assert (first.name, first.time_ps) == ("line 2", 1_500_000_000_000)
    assert (first.scenario.batch.global_batch_size, first.scenario.batch.micro_batch_size) == (128, 2)
    assert base.scenario is not None
    assert second.scenario.batch == base.scenario.batch
    assert second.scenario.model is not None
    assert second.scenario.model.seq_length == 1024


def test_a_layer_has_two_times_and_needs_no_batch(tmp_path: Path) -> None:
    header = "name,model,topology,tp,layer,communication,forward_time_us,backward_time_ms"
    forward, backward = read(tmp_path, f"{header}\nx,gpt-2,dgx-a100,4,3,False,500,1\n")
    assert (forward.label, backward.label) == ("x forward", "x backward")
    assert (forward.time_ps, backward.time_ps) == (5 * 10**8, 10**9)
    assert forward.layer == Layer(3, has_communication=False)
    assert forward.scenario.parallelism.tp == 4


def test_overrides_reach_lines_without_a_base(tmp_path: Path) -> None:
    text = "model,forward_time_ms\ngpt-2,1\n"
    (row,) = read(tmp_path, text, Base(None, ["cluster.topology=dgx-h100", "training.precision=fp8"]))
    assert row.scenario.training.precision == "fp8"
    assert row.scenario.cluster.topology.device == "H100-SXM5-80GB"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("tp", "parallelism.tp"),
        ("gpus", "cluster.gpus"),
        ("device", "cluster.topology.device"),
        ("recompute", "training.recompute"),
        ("seq_length", "model.seq_length"),
        ("pipeline_model_parallel_size", "parallelism.pp"),
        ("runtime.overlap.tp", "runtime.overlap.tp"),
        ("schedule", "schedule"),
    ],
)
def test_a_key_may_be_given_by_its_last_part(name: str, key: str) -> None:
    assert column_of(name).meaning == key


def test_all_mistakes_are_told_with_line_and_column(tmp_path: Path) -> None:
    text = (
        "name,step_time_s,model,topology,gpus,schedule,num_microbatches\n"
        "a,1,gpt-2,dgx-a100,1,1f1b,x\n"
        "b,-1,gpt-22,dgx-a100,1,1f1b,4\n"
        "c,,gpt-2,dgx-a100,1,1f1b,4\n"
        'd,1,"gpt-2,dgx-a100,1,1f1b,4\n'
        "e,1 s,gpt-2,dgx-a100,1,1f1b,4\n"
        "f,1,gpt-2\n"
    )
    found = faults(tmp_path, text)
    assert [line.split(":")[1:3] for line in found] == [
        ["2", "27"], ["3", "3"], ["3", "6"], ["4", "1"], ["5", "5"], ["6", "3"], ["7", "1"],
    ]  # fmt: skip
    assert "batch.num_microbatches: must be a whole number; got 'x'" in found[0]
    assert "can't be negative" in found[1]
    assert "no model is called 'gpt-22'" in found[2]
    assert "a line without a time" in found[3]
    assert "a quote that is not closed" in found[4]
    assert "the column's name has the unit (s)" in found[5]
    assert "3 cells; the first line names 7 columns" in found[6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no measured time"),
        ("step_time_s,tp\n", "holds no measured time"),
        ("name,tp\n", "no measured times"),
        ("step_time_s,tp,parallelism.tp\n", "stands there twice"),
        ("step_time_s,forward_time_s\n", "times of steps and of layers in one file"),
        ("step_time_s,schedul\n", "did you mean 'schedule'"),
        ("step_time_h,tp\n", "no column 'step_time_h'"),
        ("step_time_s,stage_costs,topology,schedule,num_microbatches\n" + GIVEN, "follows from given costs"),
        ("forward_time_s,layer,communication,model,topology\n1,x,maybe,gpt-2,dgx-a100\n", "a layer is a whole number"),
        ("forward_time_s,communication,model,topology\n1,maybe,gpt-2,dgx-a100\n", "must be true or false"),
        ("forward_time_s,layer,model,topology\n1,12,gpt-2,dgx-a100\n", "layers are 0 to 11"),
        ("forward_time_s,cp,model,topology\n1,2,gpt-2,dgx-a100\n", "exchanges over tp alone"),
        ("forward_time_s,tp,etp,model,topology\n1,4,2,mixtral-8x7b,dgx-a100\n", "exchanges over tp alone"),
        ("forward_time_s,model,topology\n1,gpt-2,ring\n", "names no device"),
    ],
)  # fmt: skip
def test_a_mistake_is_told(tmp_path: Path, text: str, message: str) -> None:
    assert message in "\n".join(faults(tmp_path, text))


def test_lines_of_json_hold_a_scenario_each(tmp_path: Path) -> None:
    scenario = {
        "version": 1, "model": "gpt-2", "cluster": {"topology": "dgx-a100", "gpus": 1},
        "batch": {"num_microbatches": 4}, "schedule": "1f1b",
    }  # fmt: skip
    row = {"id": "x", "source": "s", "step_time_s": 0.25, "scenario": scenario, "set": {"batch.micro_batch_size": 3}}
    (found,) = read(tmp_path, json.dumps(row) + "\n\n", name="my.jsonl")
    assert (found.name, found.source, found.time_ps) == ("x", "s", 25 * 10**10)
    assert found.scenario.batch.micro_batch_size == 3
    bad = [{**row, "step_time_s": 0}, {**row, "set": 3}, {**row, "scenario": {**scenario, "modle": 1}}, [1]]
    told = faults(tmp_path, "\n".join(json.dumps(line) for line in bad) + "\n{", name="my.jsonl")
    assert [line.split(":")[1] for line in told] == ["1", "2", "3", "4", "5"]
    assert "step_time_s: got 0" in told[0]
    assert "modle: unknown key" in told[2]
