"""How far off step times were on published measurements, by what is trained, as `validate-model` found."""

from __future__ import annotations

from typing import NamedTuple

from clustersim.scenario.document import read_document
from clustersim.scenario.gallery import gallery_path
from clustersim.scenario.node import plain
from clustersim.scenario.precision import NARROW
from clustersim.scenario.spec import Scenario


class Validation(NamedTuple):
    """Errors of one group of measurements, as absolute values."""

    group: str  # dense (16 bits), fp8, or moe
    num_rows: int
    median: float
    ninth_decile: float


def validation_of(scenario: Scenario) -> Validation:
    """Return the errors of the measurements that are most like a scenario.

    Examples
    --------
    >>> from clustersim.scenario.load import load_scenario
    >>> validation_of(load_scenario("gpt-3-175b-64gpus")).group
    'dense'
    """
    group = "dense"
    if scenario.model is not None and scenario.model.moe is not None:
        group = "moe"
    elif scenario.training.precision in NARROW:
        group = "fp8"
    return recorded_validation()[group]


def recorded_validation() -> dict[str, Validation]:
    """Return the errors of each group, as they were when this version was made."""
    table = plain(read_document(gallery_path("measurements") / "errors.yaml").root)
    assert isinstance(table, dict)
    return {group: Validation(group, **row) for group, row in table.items()}
