"""Writes the parts of the README that the program prints: run it after a change to what they show, and review."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from clustersim.ops import Shape
from clustersim.schedules.render import render_picture
from clustersim.schedules.table import SCHEDULES, build_schedule

README = Path(__file__).parents[2] / "README.md"
WITH_CHUNKS = ("interleaved-1f1b", "looped-bfs", "interleaved-zb")


RUN = "clustersim run gpipe-4x16"
VALIDATION = "clustersim validate-model"
QUESTION = "clustersim size gpus llama-3.1-8b-64gpus --tokens 1T --days 30"
COLLECTIVE = "clustersim collective all-reduce azure-ndv4 --gpus 64 --sizes 1MiB:1GiB"


def printed(command: str) -> str:
    """Return what a command of the README prints, without the lines that differ from run to run."""
    words = [sys.executable, "-m", *command.split()]
    environment = os.environ | {"COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    text = subprocess.run(words, capture_output=True, env=environment, check=True).stdout.decode()
    kept = text.partition("\nclustersim ")[0]
    return "\n".join(line.rstrip() for line in kept.splitlines()).rstrip()


def pictures() -> str:
    """Return the picture of every schedule at p = 4 and m = 8."""
    parts = []
    for name in SCHEDULES:
        if name != "zb-auto":  # it looks at costs: there is no one picture of it
            picture = render_picture(build_schedule(name, Shape(4, 8, 2 if name in WITH_CHUNKS else 1)))
            parts.append(f"{name}\n{picture}")
    return "\n".join(parts).rstrip()


def with_block(text: str, opening: str, body: str) -> str:
    """Return `text` with the code block that begins with `opening` holding `body`."""
    pattern = re.compile(rf"(```text\n{re.escape(opening)}\n).*?(\n```)", re.DOTALL)
    return pattern.sub(lambda match: match[1] + body + match[2], text)


if __name__ == "__main__":
    written = README.read_text()
    for shown in (RUN, COLLECTIVE, QUESTION, VALIDATION):
        written = with_block(written, f"$ {shown}", printed(shown))
    written = with_block(written, "gpipe", pictures().split("\n", 1)[1])
    README.write_text(written)
