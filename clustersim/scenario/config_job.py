"""A Hugging Face config.json in the place of a scenario: its model, trained as a job of the gallery is."""

from __future__ import annotations

from dataclasses import replace

from clustersim.scenario.document import Document, read_document
from clustersim.scenario.gallery import gallery_path
from clustersim.scenario.model_source import HUGGING_FACE
from clustersim.scenario.node import Node, node_of, with_child

JOB = "llama-3.1-8b-64gpus"
"""Gallery scenario whose cluster, layout and batch a bare model gets; ``--set`` changes them."""

MAX_SEQ_LENGTH = 8192  # tokens a sample: models that take far more are pre-trained with about so many


def is_model_config(document: Document) -> bool:
    """Return whether a document is a config.json rather than a scenario."""
    entries = document.root.entries
    return not {"version", "cluster"} & entries.keys() and bool({"model_type", "architectures"} & entries.keys())


def job_of_config(document: Document) -> Node:
    """Return the scenario that trains the model of a config.json as `JOB` is trained."""
    job = read_document(gallery_path("scenarios") / f"{JOB}.yaml").root
    longest = document.root.entries.get("max_position_embeddings")
    model: dict[str, object] = {HUGGING_FACE: document.path.name}
    if longest and isinstance(longest.node.value, int) and longest.node.value > MAX_SEQ_LENGTH:
        model["seq_length"] = MAX_SEQ_LENGTH
    name = f"{document.path.name} as {JOB}"
    for key, value in (("model", model), ("name", name)):
        job = with_child(job, key, replace(job.entries[key], node=node_of(value, document.root.position)))
    return job
