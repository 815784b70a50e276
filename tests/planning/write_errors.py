"""Write how far off our step times are over the packaged measurements: ``python tests/planning/write_errors.py``."""

from __future__ import annotations

import json
from dataclasses import asdict

from clustersim.planning.validation import deviations, read_measurements
from clustersim.planning.validation_error import class_errors
from clustersim.scenario.gallery import gallery_path


def main() -> None:
    """Run all measurements and write their errors."""
    rows = [asdict(error) for error in class_errors(deviations(read_measurements(), 2))]
    text = "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n]\n"
    (gallery_path("measurements") / "errors.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
