"""Published measurements: the packaged rows are whole, and a sample of them is met as the README says."""

from __future__ import annotations

import json

import pytest

from clustersim.cli import main
from clustersim.planning.validation import (
    GROUPS,
    Deviation,
    Measurement,
    deviation_of,
    deviations,
    read_measurements,
    summaries,
)
from clustersim.scenario.load import scenario_from_mapping, vary

ROWS = read_measurements()
# Quick to run, one or more of every source and group but the mixtures of experts on H100.
SAMPLE = (
    "sc21-t1-7.5b",
    "korth-t5-22b-sel-sp",
    "korth-t5-175b-sel-sp",
    "dgxc-v25.04.02-15b-bf16-16g",
    "dgxc-v25.04.02-8b-bf16-8g",
    "dgxc-v25.04.02-15b-fp8-16g",
    "dgxc-v25.04.02-8b-fp8-8g",
)


def test_every_row_is_a_scenario_that_loads() -> None:
    assert len(ROWS) == 273
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.group in GROUPS
        assert row.source
        assert row.step_time_s > 0
        scenario = vary(scenario_from_mapping(row.scenario), row.changes)
        assert scenario.model is not None


def test_a_sample_is_met() -> None:
    found = [deviation_of(row) for row in ROWS if row.name in SAMPLE]
    assert len(found) == len(SAMPLE)
    errors = [abs(row.step_time_error or 1.0) for row in found]
    assert max(errors) < 0.15
    assert sorted(errors)[len(errors) // 2] < 0.08


def test_errors_are_summed_up_by_group() -> None:
    rows = [Measurement(str(n), "dense", "s", "", 1.0, 100, {}, {}) for n in range(4)]
    found = [Deviation(row, time, 110) for row, time in zip(rows, (0.9, 1.05, 1.2, 1.01), strict=True)]
    (summary,) = summaries([*found, Deviation(rows[0], None, None, "no")])
    assert (summary.group, summary.num_rows) == ("dense", 4)
    assert summary.median == pytest.approx(0.075)
    assert summary.ninth_decile == pytest.approx(0.2)
    assert summary.bias == pytest.approx(0.03)
    assert summary.memory_median == pytest.approx(0.1)


def test_what_cannot_be_run_says_why() -> None:
    row = Measurement("x", "dense", "s", "", 1.0, None, ROWS[0].scenario, {"cluster.topology": "tpu-v4"})
    (found,) = deviations([row], 1)
    assert found.step_time_error is None
    assert "kernels" in found.reason


def test_the_verb_prints_tables_and_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["validate-model", "korth-t5-22b", "--jobs", "1"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "2 published measurements" in text
    assert "korth-t5-22b-sel-sp" in text
    with pytest.raises(SystemExit):
        main(["validate-model", "korth-t5-22b-sel-sp", "--json", "--jobs", "1"])
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["error"] == pytest.approx(row["step_time_s"] / 1.1 - 1)
    with pytest.raises(SystemExit) as caught:
        main(["validate-model", "no-such-row"])
    assert caught.value.code == 2
