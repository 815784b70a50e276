"""Which keys may stand where: a walk over the models of the scenario."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, get_args

from pydantic import BaseModel

from clustersim.errors import nearest
from clustersim.scenario.aliases import canonical
from clustersim.scenario.costs import PER_RANK, PER_STAGE, CostsByStage, RankCosts
from clustersim.scenario.findings import Finding
from clustersim.scenario.node import Path
from clustersim.scenario.override import split_key

Model = type[BaseModel]

_COST_FORMS: dict[Model, tuple[str, ...]] = {RankCosts: (PER_RANK,), CostsByStage: (PER_STAGE,)}


def model_at(form: Any, loc: Path) -> Model | None:
    """Return the model of the mapping at `loc`, None if there is none or more than one.

    Parameters
    ----------
    form
        Model of the document, or a union of models.
    loc
        Keys, indices and, as pydantic has it, the name of a union's chosen member after the key that holds it.
    """
    models = list(_models_in(form))
    for step in loc:
        chosen = [model for model in models if step in _member_names(model)]
        if chosen:
            models = chosen
        elif isinstance(step, str):
            fields = [model.model_fields[step] for model in models if step in model.model_fields]
            models = [found for field in fields for found in _models_in(field.annotation)]
    return models[0] if len(models) == 1 else None


def _member_names(model: Model) -> tuple[str, ...]:
    """Return the names by which a union knows `model`."""
    fabric = model.model_fields.get("fabric")
    return get_args(fabric.annotation) if fabric else _COST_FORMS.get(model, ())


def _models_in(annotation: Any) -> Iterator[Model]:
    """Yield every model that a field so annotated may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        yield from chain.from_iterable(_models_in(argument) for argument in get_args(annotation))


def has_key(form: Any, path: Path) -> bool:
    """Return whether some valid document of that form has a value at `path`."""
    models = list(_models_in(form))
    for step in path:
        if isinstance(step, str) and not step.isdecimal():
            fields = [candidate.model_fields[step] for candidate in models if step in candidate.model_fields]
            if not fields:
                return False
            models = [found for field in fields for found in _models_in(field.annotation)]
    return True


def dotted_keys(form: Any, parent: str = "") -> Iterator[str]:
    """Yield every dotted key of a form, sections too; several models may have the same."""
    for model in _models_in(form):
        for name, field in model.model_fields.items():
            yield f"{parent}{name}"
            yield from dotted_keys(field.annotation, f"{parent}{name}.")


def axis_findings(model: Model, axes: Iterable[str]) -> Iterator[Finding]:
    """Yield a finding for each sweep axis that is no key of `model`."""
    for axis in axes:
        path = canonical(split_key(axis))
        if path[0] in ("version", "sweep") or not has_key(model, path):
            near = nearest(axis, list(dict.fromkeys(dotted_keys(model))))
            yield Finding(("sweep", "axes", axis), "no key of a scenario that can be varied", near)
