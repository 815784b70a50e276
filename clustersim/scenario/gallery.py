"""The gallery: topologies, devices, models and scenarios that come with clustersim, each a file that users may copy."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from clustersim.scenario.document import READERS

Kind = Literal["topologies", "scenarios", "devices", "models", "measurements", "frameworks", "economics"]

_FOLDERS: dict[Kind, str] = {
    "topologies": "topologies",
    "scenarios": "scenarios",
    "devices": "topologies/devices",
    "models": "scenarios/models",
    "measurements": "scenarios/measurements",
    "frameworks": "topologies/frameworks",
    "economics": "topologies/economics",
}
_PACKAGE = Path(__file__).resolve().parent.parent


def gallery_path(kind: Kind) -> Path:
    """Return the folder of one kind of gallery file: inside an installed wheel, or beside the package in a checkout."""
    installed = _PACKAGE / "gallery" / _FOLDERS[kind]
    return installed if installed.is_dir() else _PACKAGE.parent / _FOLDERS[kind]


def gallery_names(kind: Kind) -> tuple[str, ...]:
    """Return the names of one kind of gallery file, sorted."""
    folder = gallery_path(kind)
    if not folder.is_dir():
        return ()
    # a graph that a topology names is no topology by itself
    return tuple(sorted(path.stem for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and path.is_file()))


def gallery_file(kind: Kind, name: str) -> Path | None:
    """Return the gallery file called `name`, None if there is none."""
    if name not in gallery_names(kind):
        return None
    paths = (gallery_path(kind) / f"{name}{suffix}" for suffix in READERS)
    return next((path for path in paths if path.is_file()), None)
