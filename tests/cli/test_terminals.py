"""What a run prints to pipes, to terminals, and where there is ASCII alone."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys


def _printed(scenario: str, *args: str, **environment: str) -> bytes:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")}
    command = [sys.executable, "-m", "clustersim", "run", scenario, *args]
    return subprocess.run(command, capture_output=True, env=kept | environment, check=True).stdout


def _printed_on_a_terminal(scenario: str, **environment: str) -> bytes:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "clustersim", "run", scenario]
    process = subprocess.Popen(command, stdout=follower, env=kept | {"TERM": "xterm-256color"} | environment)
    os.close(follower)
    printed = b""
    try:
        while part := os.read(leader, 65536):
            printed += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(leader)
    assert process.wait() == 0
    return printed


def test_a_pipe_gets_no_escape_codes(scenario: str) -> None:
    assert b"\x1b" not in _printed(scenario, PYTHONIOENCODING="utf-8")


def test_a_terminal_gets_colours_unless_told_otherwise(scenario: str) -> None:
    colour = re.compile(rb"\x1b\[[\d;]*[34]\dm")
    assert colour.search(_printed_on_a_terminal(scenario))
    assert not colour.search(_printed_on_a_terminal(scenario, NO_COLOR="1"))


def test_an_output_that_holds_ascii_only_gets_ascii(scenario: str) -> None:
    printed = _printed(scenario, PYTHONIOENCODING="ascii").decode("ascii")
    assert "4 ranks x 8 micro-batches" in printed
    document = json.loads(_printed(scenario, "--json", PYTHONIOENCODING="ascii").decode("utf-8"))
    assert document["name"].endswith("🚀 מהיר")
