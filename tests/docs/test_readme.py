"""What the README shows is what the program prints, and its scenario is one that runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from write_readme import COLLECTIVE, QUESTION, RUN, pictures, printed

import clustersim as cs
from clustersim.scenario.load import scenario_from_mapping
from clustersim.schedules.table import SCHEDULES

README = (Path(__file__).parents[2] / "README.md").read_text()


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if containing in text)


@pytest.mark.parametrize("command", [RUN, COLLECTIVE, QUESTION])
def test_the_output_shown_is_the_output(command: str) -> None:
    assert block("text", f"$ {command}").split("\n", 1)[1].rstrip() == printed(command)


def test_the_pictures_shown_are_those_of_the_schedules() -> None:
    assert block("text", "gpipe\nrank 0").rstrip() == pictures()


def test_the_guide_names_every_schedule() -> None:
    guide = README[README.index("## Schedules") : README.index("## Accuracy")]
    rows = set(
        re.findall(r"`([a-z0-9-]+)`", "".join(line for line in guide.splitlines(True) if line.startswith("| `")))
    )
    assert rows == set(SCHEDULES)


def test_the_scenario_shown_runs() -> None:
    result = cs.simulate(scenario_from_mapping(yaml.safe_load(block("yaml", "stage_costs"))))
    assert result.step_time_s > 0
    assert result.memory.fits


def test_the_commands_named_are_verbs() -> None:
    from clustersim.cli import VERBS

    named = set(re.findall(r"^clustersim ([a-z-]+)|`clustersim ([a-z-]+)", README, re.MULTILINE))
    assert {first or second for first, second in named} <= set(VERBS)
