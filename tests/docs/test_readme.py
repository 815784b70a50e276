"""What the README shows is what the program prints, and its scenario is one that runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

import clustersim as cs
from clustersim.scenario.load import scenario_from_mapping

README = (Path(__file__).parents[2] / "README.md").read_text()


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if containing in text)


def test_the_output_shown_is_the_output() -> None:
    shown = block("text", "$ clustersim run").split("\n", 1)[1].rstrip()
    command = [sys.executable, "-m", "clustersim", "run", "gpipe-4x16"]
    environment = os.environ | {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    printed = subprocess.run(command, capture_output=True, env=environment, check=True).stdout.decode()
    lines = [line.rstrip() for line in printed.splitlines()]
    assert "\n".join(lines).startswith(shown)


def test_the_scenario_shown_runs() -> None:
    result = cs.simulate(scenario_from_mapping(yaml.safe_load(block("yaml", "stage_costs"))))
    assert result.step_time_s > 0
    assert result.memory.fits


def test_the_commands_named_are_verbs() -> None:
    from clustersim.cli import VERBS

    named = set(re.findall(r"^clustersim ([a-z-]+)|`clustersim ([a-z-]+)", README, re.MULTILINE))
    assert {first or second for first, second in named} <= set(VERBS)
