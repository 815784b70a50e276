"""Models: the entries of the gallery, ``scenarios/models/*.yaml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from clustersim.errors import Fault, ScenarioError, nearest
from clustersim.scenario.document import read_document
from clustersim.scenario.faults import faults_of
from clustersim.scenario.gallery import gallery_file, gallery_names
from clustersim.scenario.model import ModelSpec
from clustersim.scenario.node import Place, plain

Count = int | Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)? (billion|trillion)$")]
"""A number of parameters: exact, or to the digits that are published."""


class ModelFile(BaseModel):
    """A model of the gallery, and what is published of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str = Field(description="What the model is called.")
    source: str = Field(description="Where shape and number of parameters come from.")
    parameters: Count = Field(description="Published number of parameters; tests compare it with the shape.")
    active_parameters: Count | None = Field(None, description="Published number of those that a token meets.")
    notes: str = Field("", description="What else is to be known.")
    model: ModelSpec = Field(description="The shape.")


def model_names() -> tuple[str, ...]:
    """Return the names of the models in the gallery, sorted."""
    return gallery_names("models")


def load_model_file(name: str, place: Place | None = None) -> ModelFile:
    """Return the gallery's model called `name`, which stands at `place`.

    Raises
    ------
    ScenarioError
        No such model, or a gallery file with mistakes.
    """
    path = gallery_file("models", name)
    if path is None:
        raise ScenarioError(unknown_model(name, place or Place("model", None, None, False)))
    root = read_document(path).root
    try:
        return ModelFile.model_validate(plain(root))
    except ValidationError as error:
        raise ScenarioError(faults_of(error, ModelFile, root)) from None


def load_model(name: str) -> ModelSpec:
    """Return the shape of the gallery's model called `name`.

    Examples
    --------
    >>> load_model("llama-3.1-8b").num_layers
    32
    """
    return load_model_file(name).model


def unknown_model(name: str, place: Place) -> Fault:
    """Return the fault of a name, given at `place`, that the gallery lacks."""
    known = model_names()
    hint = nearest(name, known) or f"gallery: {', '.join(known)}"
    return Fault(place.written, f"no model is called '{name}'", place.nearest, hint)
