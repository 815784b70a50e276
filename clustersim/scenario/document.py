"""Documents: files of YAML, JSON or TOML, read into trees that keep positions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as FilePath

from clustersim.errors import Fault, ScenarioError
from clustersim.scenario.node import MAX_BYTES, Node
from clustersim.scenario.read_json import read_json
from clustersim.scenario.read_toml import read_toml
from clustersim.scenario.read_yaml import read_yaml
from clustersim.scenario.text import Text, decoded

READERS: dict[str, Callable[[Text], Node]] = {
    ".yaml": read_yaml,
    ".yml": read_yaml,
    ".json": read_json,
    ".toml": read_toml,
}


@dataclass(frozen=True, slots=True)
class Document:
    """A file as it was read."""

    path: FilePath
    root: Node
    sha256: str


def read_document(path: FilePath, name: str | None = None, fault: Fault | None = None) -> Document:
    """Return the document in a file.

    Parameters
    ----------
    path
        The file.
    name
        What messages call it; default the path as given.
    fault
        Where another file names this one, with the name that it gives; what is wrong is added to it.

    Raises
    ------
    ScenarioError
        No such file, no text, or text that is not a mapping in the format that the file's suffix names.
    """
    name = name or str(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None and path.is_file():
        raise _error(fault, name, f"'{path.suffix}' is no known kind of file; allowed: {', '.join(READERS)}")
    data = read_bytes(path, name, fault)
    text = decode(data, name)
    root = (reader or read_yaml)(text)
    if not isinstance(root.value, dict):
        raise ScenarioError(Fault("", "the file must hold keys and values (a mapping)", root.position))
    return Document(path, root, hashlib.sha256(data).hexdigest())


def read_bytes(path: FilePath, name: str, fault: Fault | None, max_bytes: int = MAX_BYTES) -> bytes:
    """Return what is in a file, which messages call `name`, and which is named at `fault`."""
    try:
        if path.is_dir():
            raise _error(fault, name, "this is a folder; name a file in it")
        if path.exists() and not path.is_file():
            raise _error(fault, name, "this is not a plain file")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise _error(fault, name, "no such file") from None
    except (OSError, ValueError) as error:
        raise _error(fault, name, f"can't be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > max_bytes:
        raise _error(fault, name, f"the file is larger than {max_bytes // 10**6} MB")
    return data


def decode(data: bytes, name: str) -> Text:
    """Return the text in a file, which is UTF-8 without control characters."""
    return Text(name, decoded(name, data))


def _error(fault: Fault | None, name: str, what: str) -> ScenarioError:
    if fault is None:
        return ScenarioError(Fault(name, what))
    return ScenarioError(Fault(fault.where, f"'{fault.what}': {what}", fault.position, fault.hint))
