"""Training frameworks: what they take of a GPU's memory, and when, ``topologies/frameworks/*.yaml``."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clustersim.errors import Fault, ScenarioError, nearest
from clustersim.scenario.document import read_document
from clustersim.scenario.faults import faults_of
from clustersim.scenario.gallery import gallery_file, gallery_names
from clustersim.scenario.node import plain
from clustersim.scenario.units import SizeBytes

Fragmentation = Annotated[float, Field(ge=0, lt=1)]


class Framework(BaseModel):
    """What a framework takes of a GPU's memory, whatever the job."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str = Field(description="Name in the gallery.")
    context: SizeBytes = Field(description="Held by a process before it allocates anything.")
    communicator: SizeBytes = Field(description="Buffers of the collectives' library for one group of GPUs.")
    fragmentation: Fragmentation = Field(description="Reserved and not in use, as a share of what is allocated.")
    logit: SizeBytes = Field(description="What a logit takes at the peak of the loss.")
    selective: str = Field(description="What selective recomputation runs again unless a scenario says so.")
    source: str = Field(description="Where the figures come from.")
    notes: str = Field("", description="What else is to be known.")


@lru_cache(maxsize=16)
def load_framework(name: str) -> Framework:
    """Return the framework called `name`.

    Raises
    ------
    ScenarioError
        No such framework, or a gallery file with mistakes.

    Examples
    --------
    >>> load_framework("megatron").communicator
    201326592
    """
    path = gallery_file("frameworks", name)
    if path is None:
        known = gallery_names("frameworks")
        hint = nearest(name, known) or f"allowed: {', '.join(known)}"
        raise ScenarioError(Fault("runtime.memory.framework", f"no framework is called '{name}'", hint=hint))
    root = read_document(path).root
    try:
        return Framework.model_validate(plain(root))
    except ValidationError as error:
        raise ScenarioError(faults_of(error, Framework, root)) from None
