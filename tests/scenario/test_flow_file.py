"""Files of flows: what is read, and what is refused, where."""

from __future__ import annotations

from pathlib import Path

import pytest

from clustersim.errors import InputError
from clustersim.scenario.flow_file import MAX_FAULTS, read_flows


def written(folder: Path, text: str) -> str:
    path = folder / "flows.csv"
    path.write_bytes(text.encode())
    return str(path)


def faults(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read_flows(written(folder, text), num_gpus=8)
    return str(caught.value)


def test_sizes_are_numbers_or_text_and_times_are_exact(tmp_path: Path) -> None:
    text = "source,destination,bytes,start_s\n0,7,1000,0\r\n\n 1 , 2 , 1.5 GiB , 0.0125\n3,4,0,1.1e-05\n5,6,2MB,1e-13\n"
    assert read_flows(written(tmp_path, text), num_gpus=8) == [
        (0, 7, 1000, 0), (1, 2, 1_610_612_736, 12_500_000_000), (3, 4, 0, 11_000_000), (5, 6, 2_000_000, 1),
    ]  # fmt: skip


def test_columns_may_stand_in_any_order(tmp_path: Path) -> None:
    text = "\ufeffstart_s,bytes,destination,source\n2,1000,7,0"
    assert read_flows(written(tmp_path, text), num_gpus=8) == [(0, 7, 1000, 2 * 10**12)]


def test_every_mistake_is_reported_with_its_place(tmp_path: Path) -> None:
    text = "source,destination,bytes,start_s\n0,8,1000,0\n-1,2,80 Gib,0\n0,1,1000\n0,1,1.5,nan\n0,1,10,-1\n"
    report = faults(tmp_path, text)
    for expected in (
        "flows.csv:2:3: error: row 2, column destination: got '8'; GPUs are numbered 0 to 7",
        "flows.csv:3:1: error: row 3, column source: got '-1'",
        "flows.csv:3:6: error: row 3, column bytes: got '80 Gib'",
        "flows.csv:4:1: error: row 4: 3 cells; the first line names 4 columns",
        "flows.csv:5:5: error: row 5, column bytes: got '1.5'; bytes are a whole number from 0, or a size with its",
        "flows.csv:5:9: error: row 5, column start_s: got 'nan'; a start is a number of seconds",
        "flows.csv:6:8: error: row 6, column start_s: got '-1'",
    ):
        assert expected in report
    assert report.count("error: ") == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "flows.csv:1:1: error: the file is empty"),
        ("\nsource,destination,bytes,start_s\n", "flows.csv:2:1: error: there is no flow"),
        (
            "source,destination,bytes,start_s\n0,1,-5,0",
            "flows.csv:2:5: error: row 2, column bytes: got '-5'; bytes",
        ),
        ("source,destination,bytes\n0,1,2", "flows.csv:1:1: error: columns: missing: start_s"),
        ("source,destination,bytes,start\n", "did you mean 'start_s'?"),
        ("source,source,destination,bytes,start_s\n", "'source' stands there twice"),
        ("0,1,1000,0\n", "unknown column '0'"),
        ('source,destination,bytes,start_s\n"0",1,1,0', "got '\"0\"'"),
    ],
)
def test_what_is_no_list_of_flows_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in faults(tmp_path, text)


def test_faults_are_told_up_to_a_limit(tmp_path: Path) -> None:
    text = "source,destination,bytes,start_s\n" + "x,1,1,0\n" * 1000
    assert faults(tmp_path, text).count("error: ") == MAX_FAULTS


def test_a_file_that_is_not_there_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no such file"):
        read_flows("nowhere.csv", num_gpus=8)
