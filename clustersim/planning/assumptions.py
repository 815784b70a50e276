"""What every answer of a plan rests on, in words."""

from __future__ import annotations

from clustersim.economics import Rates
from clustersim.planning.point import Runner
from clustersim.planning.validation_error import class_error_of, error_text
from clustersim.scenario.spec import Scenario


def assumptions_of(scenario: Scenario, runner: Runner, rates: Rates | None = None) -> tuple[str, ...]:
    """Return what an answer about `scenario` and its kin rests on, the error of its step times first.

    Parameters
    ----------
    scenario
        The job.
    runner
        How its configurations are run.
    rates
        At which the answer, or what comes nearest, is paid and draws; None: it tells no costs and energies.
    """
    told = [error_text(class_error_of(scenario))]
    if runner.layout is None:
        told.append("tp, pp, cp, vpp and the schedule are the scenario's own")
    told.append("steps follow one another without failures, restarts, evaluation or waiting for data")
    if rates is not None:
        told += spending_words(rates)
    return tuple(told)


def spending_words(rates: Rates) -> tuple[str, str]:
    """Return what costs and energies rest on."""
    return (
        f"price: {rates.price_basis}" + (f" ({rates.price_source})" if rates.price_source else ""),
        f"energy, an upper estimate, on {rates.num_gpus} GPUs that of {rates.power_basis}",
    )
