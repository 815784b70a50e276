"""Every malformed scenario is refused at the right place, with all of its mistakes and without a traceback."""

from pathlib import Path

import pytest
from malformed_table import MALFORMED

from clustersim.cli import main
from clustersim.errors import Fault, ScenarioError
from clustersim.scenario.load import load_scenario

FOLDER = Path(__file__).parent / "malformed"


def test_every_file_has_its_expected_faults() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(MALFORMED)


def _text(fault: Fault) -> str:
    assert fault.position is not None
    where = f"{fault.where}: " if fault.where else ""
    return f"{fault.position.line}:{fault.position.column}: {where}{fault.what}"


@pytest.mark.parametrize("name", MALFORMED)
def test_all_faults_stand_where_the_mistakes_are(name: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(FOLDER / name)
    found = [_text(fault) for fault in caught.value.faults]
    assert len(found) == len(MALFORMED[name])
    for text, expected in zip(found, MALFORMED[name], strict=True):
        assert text.startswith(expected)


@pytest.mark.parametrize("name", MALFORMED)
def test_the_command_line_exits_with_2_and_no_traceback(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["validate", str(FOLDER / name)])
    captured = capsys.readouterr()
    assert caught.value.code == 2
    assert captured.out == ""
    assert f"{FOLDER / name}:{MALFORMED[name][0].split(' ')[0]} error: " in captured.err
    assert "Traceback" not in captured.err
    assert "internal error" not in captured.err


def test_ten_mistakes_are_reported_together() -> None:
    assert len(MALFORMED["ten-mistakes.yaml"]) >= 10


def test_the_caret_stands_below_the_value() -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(FOLDER / "int-zero.yaml")
    assert str(caught.value).splitlines()[1:] == ["    pp: 0", "        ^"]


def test_a_long_source_line_is_not_shown() -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(FOLDER / "deep.json")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("key-unknown.yaml", "did you mean 'batch'?"),
        ("key-nested-unknown.yaml", "did you mean 'vpp'?"),
        ("key-elsewhere.yaml", "did you mean 'parallelism.tp'?"),
        ("fabric-unknown.yaml", "did you mean 'full-mesh'?"),
        ("fabric-key-unknown.yaml", "did you mean 'gpus'?"),
        ("sweep-axis-unknown.yaml", "did you mean 'batch.micro_batch_size'?"),
        ("batch-uneven.yaml", "nearest that do: 8 and 10; or `remainder: short`"),
        ("key-twice.yaml", "it stands already in line 10"),
        ("tab.yaml", "indent with spaces"),
        ("int-as-text.yaml", "remove the quotes"),
    ],
)
def test_hints_say_how_to_mend_it(name: str, hint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(FOLDER / name)
    assert any(hint in fault.hint for fault in caught.value.faults)
