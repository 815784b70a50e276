"""Puts the analysis tests' list of every order within reach of these tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "analysis"))
