"""Has the processes that a benchmark starts import modules as those of a user do."""

from __future__ import annotations

import os


def keep_compiled_modules() -> None:
    """Let them be kept, as pip does: to compile all of ours anew can take a process longer than its run."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
