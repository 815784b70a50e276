"""Graph: any topology, drawn in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator

from clustersim.scenario.fabrics.fabric import Fabric


class GraphFile(Fabric):
    """Any graph, read from a file: nodes of ``kind: gpu`` are the GPUs, every other node only forwards."""

    fabric: Literal["graph"] = Field(description="Any graph, read from a GraphML or node-link JSON file.")
    file: str = Field(
        min_length=1,
        max_length=4096,
        description="Path of the graph file (.graphml or .json), relative to the topology file; "
        "edge attributes bandwidth, latency and overhead are text with units; sharing is fair or fifo.",
    )

    @field_validator("file")
    @classmethod
    def _a_path_of_a_known_format(cls, file: str) -> str:
        if "://" in file:
            raise ValueError(f"got {file!r}; a graph is read from a file, not from a URL")
        if not file.lower().endswith((".graphml", ".json")):
            raise ValueError(f"got {file!r}; a graph file ends in .graphml or .json (node-link)")
        return file

    @property
    def num_gpus(self) -> None:
        return None

    def scaled_to(self, num_gpus: int) -> Self:  # noqa: ARG002
        """Return this fabric as it is: a graph has the GPUs that its file names."""
        return self

    def resolved(self, base: Path) -> Self:
        return self._with(file=str((base / self.file).absolute()))
