"""The model that a scenario names: of the gallery, in a Hugging Face config.json, or written out."""

from __future__ import annotations

from pathlib import Path as FilePath

from clustersim.errors import Fault, ScenarioError
from clustersim.scenario.document import read_document
from clustersim.scenario.gallery import gallery_file
from clustersim.scenario.models import unknown_model
from clustersim.scenario.node import Node, Place, child, node_of

HUGGING_FACE = "huggingface"
_KEYS = (HUGGING_FACE, "seq_length")


def model_node(node: Node, folder: FilePath) -> Node:
    """Return the shape that `node`, the section ``model``, stands for; relative paths start at `folder`.

    Raises
    ------
    ScenarioError
        No such model or file, or a config.json that can't be used; all of its mistakes.
    """
    if isinstance(node.value, str):
        return _of_gallery(node.value, node)
    if child(node, HUGGING_FACE):
        return _of_hugging_face(node, folder)
    return node


def _of_gallery(name: str, node: Node) -> Node:
    path = gallery_file("models", name)
    if path is None:
        raise ScenarioError(unknown_model(name, Place("model", node.position, node.position, True)))
    return read_document(path).root.entries["model"].node


def _of_hugging_face(node: Node, folder: FilePath) -> Node:
    from clustersim.scenario.importers.hugging_face import import_hugging_face  # most scenarios have no such file

    strange = [entry for key, entry in node.entries.items() if key not in _KEYS]
    if strange:
        what = f"unknown key beside `{HUGGING_FACE}`; allowed: {', '.join(_KEYS)}"
        raise ScenarioError(Fault(f"model.{strange[0].written}", what, strange[0].position))
    given = node.entries[HUGGING_FACE].node
    if not isinstance(given.value, str):
        raise ScenarioError(Fault(f"model.{HUGGING_FACE}", "must be the path of a config.json", given.position))
    path = folder / given.value
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ScenarioError(Fault(f"model.{HUGGING_FACE}", f"'{given.value}': {reason}", given.position)) from None
    length = child(node, "seq_length")
    if length and type(length.node.value) is not int:
        raise ScenarioError(Fault("model.seq_length", "must be a whole number", length.node.position))
    imported = import_hugging_face(str(path), text, length.node.value if length else None)  # type: ignore[arg-type]
    return node_of(imported.sections["model"], given.position)
