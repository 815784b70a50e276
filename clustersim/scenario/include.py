"""``include``: a file takes the values of others where it has none of its own.

Mappings are merged key by key, lists and single values are replaced whole; of several included files a later one wins.
Included files stay under the folder of the scenario that the user named, so a scenario can't read other people's files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path as FilePath
from pathlib import PurePosixPath, PureWindowsPath

from clustersim.errors import Fault, ScenarioError
from clustersim.scenario.aliases import with_canonical_names
from clustersim.scenario.document import Document, read_document
from clustersim.scenario.node import Entry, Node

KEY = "include"
_MAX_FILES = 100


def with_includes(document: Document) -> tuple[Node, list[Fault]]:
    """Return the tree of `document` with all that it includes merged below it, and the faults of its aliases."""
    including = _Including(document.path.parent.resolve())
    root = including.merged(document, (document.path.resolve(),))
    return root, including.faults


class _Including:
    """One walk over a scenario and the files that it includes."""

    def __init__(self, folder: FilePath) -> None:
        self.folder = folder
        self.faults: list[Fault] = []
        self.num_files = 0

    def merged(self, document: Document, chain: tuple[FilePath, ...]) -> Node:
        """Return the tree of a document and of all below it; `chain` leads from the scenario to this document."""
        own, faults = with_canonical_names(document.root)
        self.faults += faults
        include = own.entries.get(KEY)
        if include is None:
            return own
        below = Node({}, own.position)
        for node in _named(include):
            below = merge(self._included(node, document.path.parent, chain), below)
        own = replace(own, value={key: entry for key, entry in own.entries.items() if key != KEY})
        return merge(own, below)

    def _included(self, node: Node, base: FilePath, chain: tuple[FilePath, ...]) -> Node:
        name = str(node.value)
        fault = Fault(KEY, name, node.position)
        path = (base / name).resolve()
        if not path.is_relative_to(self.folder):
            what = f"'{name}' leads out of the scenario's folder"
            raise ScenarioError(replace(fault, what=what, hint="put the file beside the scenario"))
        if path in chain:
            shown = " -> ".join(file.name for file in (*chain[chain.index(path) :], path))
            raise ScenarioError(replace(fault, what=f"files include each other in a circle: {shown}"))
        self.num_files += 1
        if self.num_files > _MAX_FILES:
            raise ScenarioError(replace(fault, what=f"more than {_MAX_FILES} files are included"))
        return self.merged(read_document(path, str(base / name), fault), (*chain, path))


def _named(include: Entry) -> Iterator[Node]:
    """Yield each name under ``include``, checked to be a relative path."""
    for node in include.node.items or (include.node,):
        name = node.value
        if not isinstance(name, str) or not name:
            raise ScenarioError(Fault(KEY, "must be the path of a file, or a list of paths", node.position))
        if "://" in name:
            raise ScenarioError(Fault(KEY, f"'{name}' is a URL; only files can be included", node.position))
        if PurePosixPath(name).is_absolute() or PureWindowsPath(name).is_absolute():
            what = f"'{name}' is an absolute path; give a path relative to this file"
            raise ScenarioError(Fault(KEY, what, node.position))
        yield node


def merge(above: Node, below: Node) -> Node:
    """Return `above` with the keys of `below` that it lacks; mappings that both have are merged in the same way."""
    if not isinstance(above.value, dict) or not isinstance(below.value, dict):
        return above
    entries = dict(above.value)
    for key, entry in below.value.items():
        own = entries.get(key)
        entries[key] = replace(own, node=merge(own.node, entry.node)) if own else entry
    return replace(above, value=entries)
