"""The report of a run: one picture to review, and laws for every width and terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from clustersim.report.terminal_run import run_report
from tests.report.drawing import drawn, result_of
