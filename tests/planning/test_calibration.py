"""Calibration: known constants are found again in noisy times, what is held out is not seen, mistakes are told."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from clustersim.errors import ClustersimError, InputError, ScenarioError
from clustersim.planning.calibrate import HoldOut, calibrate
from clustersim.planning.calibrated_device import calibrated_text, rows_on, starting_device
from clustersim.planning.calibration import Calibration
from clustersim.planning.constants import PARAMETERS, Constants, nudged
from clustersim.planning.timed import Runs, Task, Timed, runner, times_ps
from clustersim.scenario.devices import load_device
from clustersim.scenario.load import scenario_from_mapping, vary
from clustersim.scenario.measured import Layer, Measured, MeasuredFile, Quantity

BASE = scenario_from_mapping(
    {
        "version": 1,
        "model": {
            "num_layers": 2,
            "hidden_size": 2048,
            "num_attention_heads": 16,
            "vocab_size": 8192,
            "seq_length": 2048,
        },
        "cluster": {"topology": "dgx-a100"},
        "batch": {"num_microbatches": 2},
        "schedule": "1f1b",
    }
)
A100 = load_device("A100-SXM4-80GB")
TRUE = {"gemm": 0.55, "memory": 0.6, "attention_forward": 0.3, "attention_backward": 0.27}


def measured(constants: Constants, rows: Sequence[Measured], noise: float = 0.0) -> list[Measured]:
    """Return rows with the times that they take under some constants, and noise."""
    random = np.random.default_rng(0)
    return [
        replace(row, time_ps=round(time[0] * float(np.exp(noise * random.standard_normal()))))
        for row in rows
        for time in [times_ps(Task(row, (constants,)))]
        if not isinstance(time, str)
    ]


def layers() -> list[Measured]:
    """Return layers of many shapes, whose times are quickly told."""
    rows = []
    for number, (width, tokens, tp) in enumerate(itertools.product((1024, 4096), (1024, 8192), (1, 4))):
        changes = {"model.hidden_size": width, "model.seq_length": tokens, "parallelism.tp": tp, "cluster.gpus": tp}
        for flash in (True, False) if tp == 1 else (tokens == 8192,):
            scenario = vary(BASE, {**changes, "training.flash_attention": flash})
            quantities: tuple[Quantity, ...] = ("forward", "backward")
            rows += [Measured(f"c{number}{flash}", f"s{tp}", q, 1, scenario, Layer()) for q in quantities]
    return rows


def steps(count: int = 6) -> list[Measured]:
    rows = []
    for number in range(count):
        changes = {"parallelism.pp": 1 + number % 2, "batch.micro_batch_size": 1 + number // 2}
        scenario = vary(BASE, {**changes, "cluster.gpus": 1 + number % 2})
        rows.append(Measured(f"c{number}", f"s{number % 2}", "step", 1, scenario))
    return rows


def in_process(tasks: Iterable[Task]) -> list[list[int] | str]:
    return [times_ps(task) for task in tasks]


@pytest.fixture(scope="module")
def from_layers() -> Calibration:
    rows = measured(Constants(A100).with_values({**TRUE, "launch": 9.0, "in_training": 0.7}), layers(), noise=0.02)
    return calibrate(rows, A100, in_process)


def test_constants_are_found_again_in_layers(from_layers: Calibration) -> None:
    found = {constant.name: constant for constant in from_layers.fitted}
    assert found["experts"].status == "unused"
    for name, true in {**TRUE, "launch": 9.0, "in_training": 0.7}.items():
        constant = found[name]
        assert constant.status == "fitted", name
        assert constant.low is not None
        assert constant.high is not None
        assert constant.value == pytest.approx(true, rel=0.15), name
        assert constant.low < constant.value < constant.high
    assert "gemm_fp8" not in found  # the device does not tell it, and no row asks for it


def test_errors_fall(from_layers: Calibration) -> None:
    errors = from_layers.errors()
    assert errors["held_out"] is None
    assert errors["fitted"]["num_rows"] == 24
    assert errors["fitted"]["before"]["median"] > 0.15
    assert errors["fitted"]["after"]["median"] < 0.03


def test_constants_are_found_again_in_steps() -> None:
    rows = measured(Constants(A100).with_values({"gemm": 0.5}), steps())
    found = calibrate(rows, A100, in_process, ("gemm",))
    (gemm,) = found.fitted
    assert gemm.value == pytest.approx(0.5, rel=0.01)
    assert max(abs(row.error(row.fitted_ps)) for row in found.rows) < 0.01


def test_what_is_held_out_is_not_seen() -> None:
    rows = measured(Constants(A100).with_values({"gemm": 0.5}), steps())
    how = HoldOut(0.34, seed=3)
    found = calibrate(rows, A100, in_process, ("gemm",), how)
    held_out = [index for index, row in enumerate(found.rows) if row.held_out_ps is not None]
    assert len(held_out) == 2
    assert [row.is_fitted_to for row in found.rows] == [index not in held_out for index in range(6)]
    assert found.errors()["held_out"]["after"]["median"] < 0.02
    spoilt = [replace(row, time_ps=row.time_ps * (5 if index in held_out else 1)) for index, row in enumerate(rows)]
    again = calibrate(spoilt, A100, in_process, ("gemm",), how)
    assert again.constants == found.constants
    assert calibrate(rows, A100, in_process, ("gemm",), HoldOut(0.34, seed=4)).rows != found.rows


def test_every_source_is_told_by_a_fit_to_the_others() -> None:
    rows = measured(Constants(A100).with_values({"gemm": 0.5}), steps())
    slower = [replace(row, time_ps=row.time_ps * 6 // (5 if row.source == "s1" else 6)) for row in rows]
    found = calibrate(slower, A100, in_process, ("gemm",), HoldOut(by_source=True))
    assert all(row.is_fitted_to for row in found.rows)
    for row in found.rows:
        assert row.held_out_ps is not None
        # The times of one source are a fifth longer than the other's would be.
        assert row.error(row.held_out_ps) == pytest.approx(-1 / 6 if row.measured.source == "s1" else 0.2, abs=0.04)
    with pytest.raises(InputError, match="one source"):
        calibrate(slower[::2], A100, in_process, ("gemm",), HoldOut(by_source=True))


def test_what_the_times_do_not_tell_is_named_and_left() -> None:
    rows = measured(Constants(A100), [row for row in layers() if not row.scenario.training.flash_attention][:4])
    found = {constant.name: constant for constant in calibrate(rows, A100, in_process).fitted}
    assert found["attention_forward"].status == "unused"
    assert found["tile_fill"].status == "undetermined"
    for constant in found.values():
        assert (constant.status == "fitted") == (constant.low is not None)
        if constant.status != "fitted":
            assert constant.value == constant.start


def test_sources_count_the_same_if_asked() -> None:
    one = measured(Constants(A100).with_values({"gemm": 0.5}), steps(1))
    other = measured(Constants(A100).with_values({"gemm": 0.7}), steps(1))
    rows = [*one, *(replace(row, name=f"o{number}", source="s1") for number in range(6) for row in other)]
    (plain,) = calibrate(rows, A100, in_process, ("gemm",)).fitted
    (balanced,) = calibrate(rows, A100, in_process, ("gemm",), is_balanced=True).fitted
    assert balanced.value < plain.value - 0.02


def test_processes_give_the_same_as_one() -> None:
    tasks = [Task(row, (Constants(A100), Constants(A100).with_values({"gemm": 0.5}))) for row in steps(2)]
    with runner(2) as run:
        assert list(run(tasks)) == in_process(tasks)


def test_an_interrupt_ends_the_processes() -> None:
    tasks = [Task(row, (Constants(A100),)) for row in steps(6) * 50]
    before = set(active_children())

    def interrupted() -> None:
        with runner(2) as run:
            next(iter(run(tasks)))
            assert len(set(active_children()) - before) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert set(active_children()) <= before


def test_a_process_that_is_ended_from_outside_is_told() -> None:
    def ended() -> None:
        before = set(active_children())
        with runner(2) as run:
            results = iter(run([Task(row, (Constants(A100),)) for row in steps(6) * 50]))
            next(results)
            for process in set(active_children()) - before:
                process.kill()
            list(results)

    with pytest.raises(ClustersimError, match="fewer --jobs"):
        ended()


def test_one_replica_stands_for_those_that_share_a_nic() -> None:
    changes = {
        "cluster.topology": "dgx-1v",
        "cluster.topology.device": A100.name,
        "parallelism.tp": 8,
        "parallelism.dp": 2,
    }
    (row, *_) = steps(1)
    shared = replace(row, scenario=vary(BASE, {**changes, "cluster.gpus": 16}))
    runs = Runs([shared, row], ("gemm",), Constants(A100), in_process)
    assert runs.runnable() == {}
    sharing = runs.sharing(runs.start)
    assert sharing[0] > 0.05
    assert sharing[1] == 0
    # At the constants under which it was taken, the quick way gives what the long way gives.
    times = runs.times_ps((0, 1), [runs.start])[:, 0]
    errors = Timed(runs, (0, 1), sharing).errors([runs.start.value("gemm")])
    assert errors == pytest.approx(np.log(times / np.array([shared.time_ps, row.time_ps])))


def test_constants_that_a_row_does_not_feel_are_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = steps(1)
    runs = []
    monkeypatch.setattr(
        "clustersim.planning.timed._time_ps", lambda _task, constants, _needs: runs.append(constants) or 7
    )
    start = Constants(A100, 1.0)
    several = (start, start.with_values({"experts": 0.9}), start.with_values({"in_training": 0.5}))
    assert times_ps(Task(row, several)) == [7, 7, 7]
    assert len(runs) == 1
    felt = start.with_values({"gemm": 0.5})
    assert times_ps(Task(row, (start, felt), first_ps=5)) == [5, 7]
    assert runs[1:] == [felt]


def test_rows_that_can_not_be_run_are_all_told() -> None:
    rows = measured(Constants(A100), steps(3))
    with pytest.raises(InputError) as caught:
        calibrate(rows, A100, lambda tasks: ["no" if task.row.name != "c1" else [1] for task in tasks])
    assert [(fault.where, fault.what) for fault in caught.value.faults] == [("c0", "no"), ("c2", "no")]


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_nudged_constant_is_another_once_it_is_rounded(name: str) -> None:
    parameter = PARAMETERS[name]
    for value in (parameter.lowest, parameter.highest):
        here = Constants(A100, 1.0).with_values({name: value})
        there = here.with_values({name: nudged(name, here.value(name))})
        assert there.value(name) != here.value(name)
        assert there.value(name) > 0


def test_the_device_is_that_of_the_rows_or_the_named_one() -> None:
    rows = steps(2)
    assert starting_device(rows).name == "A100-SXM4-80GB"
    mixed = [*rows, replace(rows[0], scenario=vary(rows[0].scenario, {"cluster.topology": "dgx-h100"}))]
    with pytest.raises(ScenarioError, match=r"several devices: A100-SXM4-80GB \(2 rows\), H100-SXM5-80GB \(1 rows\)"):
        starting_device(mixed)
    assert len(rows_on(mixed, starting_device(mixed, "H100-SXM5-80GB"))) == 1
    with pytest.raises(ScenarioError, match="no `kernels` from which a fit could start"):
        starting_device(rows, "TPU-v4")
    with pytest.raises(ScenarioError, match="no row was measured on B200-SXM"):
        starting_device(rows, "B200-SXM")


def test_the_device_file_reads_back_and_says_what_it_was_fitted_to(from_layers: Calibration, tmp_path: Path) -> None:
    file = MeasuredFile("folder/layers.csv", "0123456789abcdef", ())
    path = tmp_path / "mine.yaml"
    path.write_text(calibrated_text(from_layers, file))
    device = load_device(str(path))
    kernels, fitted = device.kernels, from_layers.constants.device.kernels
    assert kernels is not None
    assert fitted is not None
    assert kernels.model_copy(update={"source": fitted.source}) == fitted
    assert device.model_copy(update={"kernels": A100.kernels}) == A100
    for part in ("to 24 times in layers.csv (sha256 0123456789ab)", "in_training 0.", "left as they were: experts"):
        assert part in kernels.source
    rows = [replace(row, scenario=vary(row.scenario, {"cluster.topology.device": str(path)})) for row in steps(1)]
    assert rows_on(rows, A100) == rows  # a file of this device, under whatever name
