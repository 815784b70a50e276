"""Result documents: their schema, reading them back, and the difference of two."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from drawing import drawn, result_of

from clustersim.errors import InputError
from clustersim.report.difference import difference
from clustersim.report.result_file import read_result
from clustersim.report.result_schema import document_faults, result_schema
from clustersim.report.terminal_difference import difference_report


def document(**sections: Any) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(result_of(**sections).to_json())
    return loaded


@pytest.mark.parametrize("sections", [{}, {"steps": 3}, {"cluster": {"topology": {"fabric": "ring", "gpus": 4}}}])
def test_a_result_is_what_its_schema_says(sections: dict[str, Any]) -> None:
    assert document_faults(document(**sections)) == []


def test_the_schema_names_every_key_of_a_result() -> None:
    schema, found = result_schema(), document()
    assert list(schema["properties"]) == list(found)
    assert list(schema["$defs"]["BubbleSummary"]["properties"]) == list(found["bubble"])
    assert schema["properties"]["schema"] == {"const": "clustersim/result/1"}
    assert json.loads(json.dumps(schema)) == schema


def test_a_document_that_differs_from_the_schema_is_told() -> None:
    wrong = document()
    wrong["time_s"]["bubble"] = "long"
    wrong["memory"]["fits"] = 1
    del wrong["ranks"][2]["pp_rank"]
    assert document_faults(wrong) == [
        "result.time_s.bubble: str in place of number",
        "result.ranks.2.pp_rank: missing",
        "result.memory.fits: int in place of boolean",
    ]


def test_a_result_reads_back(tmp_path: Path) -> None:
    result = result_of()
    (tmp_path / "result.json").write_text(result.to_json(), encoding="utf-8")
    assert read_result(str(tmp_path / "result.json")) == result.to_dict()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("forward: 1 s", "not a JSON document"),
        ("[1]", "it names no schema"),
        ('{"schema": "clustersim/compare/1"}', "its schema is 'clustersim/compare/1'"),
        ('{"schema": "clustersim/result/1"}', "result.provenance: missing"),
        ('{"schema": NaN}', "NaN is no JSON number"),
        ("[" * 100_000, "not a JSON document"),
    ],
)
def test_a_file_that_is_no_result_is_refused(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(what)) as caught:
        read_result(str(path))
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_result(str(tmp_path / "none.json"))


def test_the_change_of_a_step_is_the_sum_of_its_parts() -> None:
    found = difference(document(), document(schedule="gpipe", steps=2))
    account = found.account
    assert account.step_ps != 0
    assert account.step_ps == account.compute_ps + account.exposed_ps + account.bubble_ps
    assert abs(sum(found.causes_s.values()) * 1e12 - account.bubble_ps) <= 10
    assert abs(sum(found.axes_s.values()) * 1e12 - account.exposed_ps) <= 10


def test_a_slower_op_is_why() -> None:
    costs = {"forward": "1 s", "backward": "2 s"}
    ideal = {"topology": {"fabric": "full-mesh", "gpus": 4}}
    before = document(stage_costs=costs, cluster=ideal)
    after = document(stage_costs={**costs, "forward": "2 s"}, cluster=ideal)
    # 8 micro-batches more by a second each, and three more of them in the bubble
    assert difference(before, after).why == "step time +11.00 s: compute +8.00 s, bubble (dependency) +3.00 s"


def test_equal_results_do_not_differ() -> None:
    found = difference(document(), document())
    assert found.why == "step time unchanged"
    assert (found.settings, found.new_notes, found.old_notes) == ((), (), ())
    assert all(change.before == change.after for change in found.headlines)


def test_what_differs_is_listed() -> None:
    found = difference(document(), document(schedule="gpipe", seed=7, batch={"num_microbatches": 4}))
    assert {change.name: (change.before, change.after) for change in found.settings} == {
        "schedule": ("1f1b", "gpipe"),
        "seed": (0, 7),
    }
    text = drawn(difference_report(found))
    assert "schedule: 1f1b -> gpipe" in text
    assert found.why in " ".join(text.split())


def test_other_numbers_of_ranks_are_not_compared_one_by_one() -> None:
    found = difference(document(), document(parallelism={"pp": 2}))
    assert (found.num_ranks, found.ranks) == ((4, 2), ())
    assert "4 before, 2 after" in drawn(difference_report(found))


def test_the_document_of_a_difference_is_json() -> None:
    found = difference(document(), document(schedule="gpipe")).to_dict()
    assert json.loads(json.dumps(found)) == found
    step = next(change for change in found["changes"] if change["name"] == "step time")
    assert step["change"] == step["after"] - step["before"]
    assert (
        sum(found["account_ps"][part] for part in ("compute", "exposed_communication", "bubble"))
        == (found["account_ps"]["step_time"])
    )
