"""The command line: exit codes, streams, options before and after the verb, and what it imports."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

import clustersim
from clustersim.cli import VERBS, main
from clustersim.cli import clustersim as group
from clustersim.errors import DeadlockError

SCENARIO = """\
version: 1
stage_costs: {forward: 10 ms, backward: 20 ms}
cluster: {topology: {fabric: full-mesh, gpus: 4}}
parallelism: {pp: 4}
batch: {num_microbatches: 8}
schedule: 1f1b
"""


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(SCENARIO)
    return str(path)


def _run(*args: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(list(args))
    code = caught.value.code
    assert isinstance(code, int)
    return code


def test_validate(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("validate", scenario, scenario) == 0
    assert capsys.readouterr().out == f"{scenario}: ok\n" * 2


def test_validate_tells_of_all_files(scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(SCENARIO.replace("pp: 4", "pp: 0") + "seed: -1\n")
    assert _run("validate", str(bad), scenario, str(tmp_path / "none.yaml")) == 2
    captured = capsys.readouterr()
    assert captured.out == f"{scenario}: ok\n"
    assert f"{bad}:4:19: error: parallelism.pp: must be at least 1; got 0" in captured.err
    assert f"{bad}:7:7: error: seed: must be at least 0; got -1" in captured.err
    assert f"error: {tmp_path}/none.yaml: no such file" in captured.err


def test_show_as_json(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", scenario, "--json", "--set", "steps=3") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "clustersim/show/1"
    assert {"key": "steps", "value": "3", "origin": "--set steps=3"} in document["values"]


def test_show_as_text(scenario: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("show", scenario) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["parallelism.pp", "4", f"{scenario}:4"] in lines


def test_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("schema", "scenario") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["title"] == "clustersim scenario"
    assert _run("schema", "-o", str(tmp_path / "schema.json")) == 0
    assert (tmp_path / "schema.json").read_text() == printed


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (["validat", "a.yaml"], "did you mean 'validate'?"),
        (["colour"], "verbs: run, compare"),
        (["validate"], "Missing argument"),
        (["show", "--colour", "a.yaml"], "No such option"),
        (["schema", "colour"], "scenario"),
    ],
)
def test_usage_errors_exit_with_2(args: list[str], what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(*args) == 2
    assert what in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--version") == 0
    assert capsys.readouterr().out == f"clustersim {clustersim.__version__}\n"


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--help") == 0
    printed = capsys.readouterr().out
    for verb, (_, _, line) in VERBS.items():
        assert f"{verb}" in printed
        assert line in printed


def test_every_verb_has_help_and_the_common_options(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in VERBS:
        assert _run(verb, "--help") == 0
        printed = capsys.readouterr().out
        assert "--debug" in printed
        assert "--quiet" in printed


def _failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command()
    def verb() -> None:
        raise error

    monkeypatch.setattr(group, "get_command", lambda _ctx, _name: verb)


@pytest.mark.parametrize(
    ("error", "code", "what"),
    [
        (DeadlockError("stage 2 waits for F3"), 4, "error: stage 2 waits for F3"),
        (ZeroDivisionError("division by zero"), 5, "internal error: ZeroDivisionError: division by zero"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
    ],
)
def test_the_exit_code_says_how_it_went(
    error: BaseException, code: int, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _failing(monkeypatch, error)
    assert _run("validate") == code
    captured = capsys.readouterr()
    assert what in captured.err
    assert captured.out == ""
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("args", [["--debug", "validate", "none.yaml"], ["validate", "none.yaml", "--debug"]])
def test_a_traceback_only_on_request(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(*args) == 2
    assert "Traceback" in capsys.readouterr().err


def _imported(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


HEAVY = {"numpy", "networkx", "simpy"}


def test_help_imports_click_alone() -> None:
    run = "from clustersim.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    imported = _imported(run)
    assert "click" in imported
    assert not imported & (HEAVY | {"pydantic", "yaml", "rich"})


def test_validate_imports_no_simulator(scenario: str) -> None:
    run = f"from clustersim.cli import main\ntry: main(['validate', {scenario!r}])\nexcept SystemExit: pass"
    imported = _imported(run)
    assert "pydantic" in imported
    assert not imported & (HEAVY | {"rich"})


@pytest.mark.parametrize("topology", ["{fabric: full-mesh, gpus: 4}", "dgx-a100"])
def test_a_run_on_a_fabric_imports_no_networkx(topology: str, tmp_path: Path) -> None:
    """Its routes are known without a search, and to import networkx takes a tenth of a second."""
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO.replace("{fabric: full-mesh, gpus: 4}", topology).replace("pp: 4", "pp: 4, dp: 1"))
    imported = _imported(f"from clustersim.cli import main\ntry: main(['run', {str(path)!r}])\nexcept SystemExit: pass")
    assert "simpy" in imported
    assert "networkx" not in imported


def test_importing_the_package_imports_nothing_else() -> None:
    assert not _imported("import clustersim") & (HEAVY | {"pydantic", "yaml", "click", "clustersim.errors"})


@pytest.mark.parametrize("name", ["ClustersimError", "Scenario", "Trace", "load_scenario", "simulate", "Result"])
def test_public_names_are_loaded_when_used(name: str) -> None:
    assert getattr(clustersim, name).__name__ == name
    assert name in dir(clustersim)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="module 'clustersim' has no attribute 'colour'"):
        clustersim.colour  # noqa: B018


def test_a_closed_pipe_is_no_error(scenario: str) -> None:
    code = f"from clustersim.cli import main\nmain(['show', {scenario!r}])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_python_dash_m(scenario: str) -> None:
    run = subprocess.run([sys.executable, "-m", "clustersim", "validate", scenario], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, f"{scenario}: ok\n")


def test_verbose_says_how_a_run_was_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("run", "gpipe-4x16", "-v") == 0
    assert capsys.readouterr().err.startswith("engine: run-ahead\nstage costs are as given in the scenario")
    assert _run("run", "gpipe-4x16") == 0
    assert capsys.readouterr().err == ""
