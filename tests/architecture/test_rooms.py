"""The rooms of the house: which may import which, and what may be imported where."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "clustersim"

# What a scenario says of topologies and placements, the names of devices, which nodes of a graph file carry, too, and
# the readers of a scenario's files, which serve graph files and importers.
TOPOLOGY_READS = {
    f"scenario.{name}"
    for name in ("devices", "fabrics", "hostlist", "node", "placement", "read_json", "read_yaml", "text", "units")
}

# A page draws links where they are in the fabric, which it builds again from the scenario, as no result keeps a
# cluster; and it lists the scenario with the origin of every value.
PAGE_READS = {f"topology.{name}" for name in ("cluster", "full_mesh", "link_table", "table", "tiers")} | {
    "scenario.show"
}

# A room may import itself and these; "scenario.units" allows that one module, "scenario" the whole room.
ALLOWED = {
    "errors": set(),
    "limits": set(),
    "footprint": set(),
    "later": set(),
    "sorting": set(),
    "sums": {"errors"},
    "words": set(),
    "columns": {"later"},  # arrays that lowering makes and the engine goes through
    "ops": {"footprint", "later", "columns"},
    "trace": {"later", "folded", "sorting", "words"},
    # What a trace holds beside if one replica was simulated for several; a file of its own, as it is no table of a run.
    "folded": {"trace"},
    "result": {"scenario.spec", "trace"},
    "schedules": {"footprint", "ops", "errors"},
    "collectives": {"ops", "errors"},
    # A schedule says itself which shapes it refuses, so that a scenario can report it with its place in the file.
    "scenario": {"schedules", "footprint", "ops", "errors"},
    "topology": TOPOLOGY_READS | {"errors"},
    "workload": {"columns", "later", "scenario", "schedules", "collectives", "topology", "ops", "errors"},
    "engine": {
        "columns",
        "folded",
        "later",
        "ops",
        "sorting",
        "sums",
        "trace",
        "topology",
        "limits",
        "errors",
        "scenario.units",
        "words",
    },
    "analysis": {"columns", "later", "trace", "ops", "errors", "sorting", "sums"},
    "draws": {"engine", "errors", "scenario", "topology", "workload"},
    "provenance": {"result", "scenario", "sums", "topology", "trace"},
    # What a job costs and draws: one formula for what a run reports and for every candidate of a plan.
    "economics": {"scenario"},
    # What simulation reports of a step beside the account of its time: part of it, in a file of its own.
    "accounts": {"analysis", "economics", "result", "scenario", "topology", "trace", "workload"},
    "simulation": {
        "accounts",
        "analysis",
        "economics",  # the rates that a whole run hands to questions of a plan
        "engine",
        "limits",
        "ops",
        "provenance",
        "result",
        "scenario",
        "topology",
        "trace",
        "workload",
    },
    # A run with changed costs, above all that makes a run; beside simulation, which it does not change.
    "changed_costs": {
        "analysis",
        "engine",
        "limits",
        "ops",
        "result",
        "scenario",
        "topology",
        "trace",
        "workload",
    },
    "report": {"simulation", "result", "analysis", "trace", "ops", "scenario.units", "errors"} | PAGE_READS,
    "planning": {
        "changed_costs",  # an assumption is changed as a what-if changes it
        "economics",
        "footprint",
        "simulation",
        "limits",
        "result",
        "analysis",
        "scenario",
        "trace",
        "workload",
        "ops",
        "errors",
    },
}
ANYTHING = {"cli", "__init__", "__main__"}
ONLY_IN = {"simpy": {"engine"}, "networkx": {"topology"}, "click": {"cli"}, "rich": {"report", "cli"}}


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports, also those inside functions, but not those for type checkers only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def files() -> list[tuple[str, Path]]:
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in sorted(PACKAGE.rglob("*.py"))]


@pytest.mark.parametrize(("room", "path"), files(), ids=lambda value: str(value)[-40:])
def test_a_room_imports_only_what_it_may(room: str, path: Path) -> None:
    assert room in ALLOWED or room in ANYTHING, f"{room} is a new room: say in this table what it may import"
    for module in imports_of(path):
        top, _, rest = module.partition(".")
        if top in ONLY_IN:
            assert room in ONLY_IN[top], f"{path}: {top} is for {ONLY_IN[top]} only"
        if top != "clustersim" or room in ANYTHING or not rest:
            continue
        inner = rest.split(".")
        assert inner[0] == room or ALLOWED[room] & {inner[0], rest}, f"{path} imports {module}"


def test_nothing_prints_outside_the_command_line() -> None:
    for room, path in files():
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        if room != "cli":
            assert not any(isinstance(call, ast.Name) and call.id == "print" for call in calls), path


def test_the_top_level_holds_what_the_layout_names() -> None:
    top = {path.name for path in PACKAGE.parent.iterdir() if not path.name.startswith(".")}
    made_here = {"build", "dist"} | {name for name in top if name.endswith(".egg-info")}
    named = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"}
    assert top - made_here <= named | {"clustersim", "topologies", "scenarios", "tests"}


def test_files_and_functions_stay_small() -> None:
    for _, path in files():
        text = path.read_text()
        assert text.count("\n") <= 400, f"{path}: two things in one?"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                doc = ast.get_docstring(node) or ""
                length = (node.end_lineno or 0) - node.lineno - doc.count("\n")
                assert length <= 60, f"{path}:{node.lineno} {node.name} has {length} lines"


def test_every_public_name_says_what_it_is() -> None:
    for _, path in files():
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree) or path.name == "__main__.py", f"{path} has no docstring"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}:{node.lineno} {node.name} has no docstring"


def test_no_path_of_one_machine_is_named() -> None:
    for _, path in files():
        assert not re.search(r"(?<![\w.])/(?:home|root|tmp|work)/", path.read_text()), path
