"""Scenario files in, checked Scenarios out; all mistakes of a scenario are reported together.

A file is read into a tree that keeps positions; other tools' names, ``include`` and ``--set`` are edits of that tree;
the topology that it names is put in its place; then the values are validated, and mistakes looked up in the tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import TypeAdapter, ValidationError

from clustersim.errors import Fault, Position, ScenarioError, nearest
from clustersim.scenario.aliases import with_canonical_names
from clustersim.scenario.config_job import is_model_config, job_of_config
from clustersim.scenario.document import READERS, read_document
from clustersim.scenario.economics import economics_node
from clustersim.scenario.faults import fault_of, faults_of
from clustersim.scenario.gallery import gallery_file, gallery_names
from clustersim.scenario.include import with_includes
from clustersim.scenario.model_source import model_node
from clustersim.scenario.node import Entry, Node, Path, child, node_of, plain, with_child, without
from clustersim.scenario.order_file import OrderFile, order_faults, read_order
from clustersim.scenario.override import Expander, option_position, split_key, with_override, with_value
from clustersim.scenario.profile_file import profile_node
from clustersim.scenario.rules import costs_findings
from clustersim.scenario.spec import SECTIONS, LoadedFrom, Scenario, cross_findings
from clustersim.scenario.topology_file import (
    TopologySource,
    missing_faults,
    read_topology,
    sha256_of_values,
    validated_topology,
)

_TOPOLOGY: Path = ("cluster", "topology")
NAMED: tuple[Path, ...] = (("schedule",), ("cluster", "placement"))
"""Sections for which their name alone is a shorthand."""


def load_scenario(path: str | FilePath, overrides: Sequence[str] = ()) -> Scenario:
    """Return the scenario in a file, or of that name in the gallery.

    Parameters
    ----------
    path
        A YAML, JSON or TOML file; or a name from the gallery, if there is no such file. A Hugging Face config.json is
        one, too: its model is trained as Llama 3.1 8B is in the gallery, if overrides don't say otherwise.
    overrides
        Values to replace, such as ``parallelism.pp=8``; the last of several wins.

    Raises
    ------
    ScenarioError
        All mistakes, each with its position.
    """
    return _opened(path).scenario(overrides)


def scenario_from_mapping(
    mapping: Mapping[str, Any], folder: str | FilePath = ".", position: Position | None = None
) -> Scenario:
    """Return the scenario that `mapping` describes in the keys of a file; relative paths start at `folder`.

    Mistakes are told at `position`, if there is one.

    Raises
    ------
    ScenarioError
        All mistakes.
    """
    root, faults = with_canonical_names(node_of(mapping, position))
    return _Loading(root, FilePath(folder), None, sha256_of_values(root), faults).scenario(())


def vary(scenario: Scenario, changes: Mapping[str, Any]) -> Scenario:
    """Return `scenario` with values replaced under their dotted keys, as a sweep does; all is checked again.

    Parameters
    ----------
    scenario
        A scenario that was loaded, or made from a mapping.
    changes
        Values as a file would hold them, or nodes with positions of their own, by dotted key.

    Raises
    ------
    ScenarioError
        All mistakes of the changed scenario.
    """
    loading = _loading_of(scenario)
    for key, value in changes.items():
        loading.set_value(key, value)
    return loading.scenario(())


def _loading_of(scenario: Scenario) -> _Loading:
    origin = scenario.loaded_from
    if origin is None:
        raise ScenarioError(Fault("", "only a loaded scenario can be varied; make it with scenario_from_mapping"))
    loading = _Loading(origin.root, origin.folder, origin.path, origin.sha256, [])
    loading.source = origin.topology
    return loading


class Draft:
    """A scenario file that need not say everything: some keys are left to be filled in, many times over.

    What is in it is checked when it is filled in.
    """

    def __init__(self, loading: _Loading) -> None:
        if loading.faults:
            raise ScenarioError(_in_order(loading.faults))
        self._loading, self.root = loading, loading.root

    @classmethod
    def read(cls, path: str | FilePath, overrides: Sequence[str] = ()) -> Draft:
        """Return the draft in a file, or of that name in the gallery; see :func:`load_scenario`.

        Raises
        ------
        ScenarioError
            The file can't be read, or an override has mistakes.
        """
        loading = _opened(path)
        for text in overrides:
            loading.override(text)
        return cls(loading)

    @classmethod
    def of(cls, scenario: Scenario) -> Draft:
        """Return what was read for `scenario`, which says everything; a ScenarioError if it was not loaded."""
        return cls(_loading_of(scenario))

    def value(self, key: str) -> object:
        """Return the value under a dotted key as the file has it, None where it has none."""
        node = self.root
        for step in split_key(key):
            entry = child(node, step)
            if entry is None:
                return None
            node = entry.node
        return plain(node)

    def values(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a file would hold that says the same, with values put under dotted keys; None takes one away."""
        values = plain(self._changed(changes).root)
        return values if isinstance(values, dict) else {}

    def scenario(self, changes: Mapping[str, Any]) -> Scenario:
        """Return the scenario with values put under dotted keys; None takes a key away.

        Raises
        ------
        ScenarioError
            All mistakes of the whole.
        """
        return self._changed(changes).scenario(())

    def _changed(self, changes: Mapping[str, Any]) -> _Loading:
        mine = self._loading
        loading = _Loading(self.root, mine.folder, mine.path, mine.sha256, [])
        loading.source = mine.source
        for key, value in changes.items():
            if value is None:
                loading.root = without(loading.root, split_key(key))
            else:
                loading.set_value(key, value)
        return loading


def _opened(path: str | FilePath) -> _Loading:
    """Return the file, or the one of that name in the gallery, on its way to a scenario.

    Paths of files in overrides start at the folder of the scenario; for one of the gallery, whose folder no user looks
    into, at the working directory.
    """
    found = _scenario_path(path)
    document = read_document(found, str(found))
    root, faults = (job_of_config(document), ()) if is_model_config(document) else with_includes(document)
    folder = found.parent if found == FilePath(path) else FilePath.cwd()
    return _Loading(root, folder, str(found), document.sha256, faults)


def scenario_of_keys(
    sections: Mapping[str, Any], overrides: Sequence[str], changes: Mapping[str, Any], folder: str | FilePath = "."
) -> Scenario:
    """Return the scenario that has some sections, with values replaced: by overrides, and then under dotted keys.

    Only the whole is checked: nothing needs to be a scenario before the last value is in its place.

    Raises
    ------
    ScenarioError
        All mistakes.
    """
    root = node_of(sections)
    loading = _Loading(root, FilePath(folder), None, sha256_of_values(root), [])
    for text in overrides:
        loading.override(text)
    for key, value in changes.items():
        loading.set_value(key, value)
    return loading.scenario(())


def _scenario_path(path: str | FilePath) -> FilePath:
    given = FilePath(path)
    if given.exists():
        return given
    found = gallery_file("scenarios", str(path))
    if found:
        return found
    if given.suffix.lower() in READERS:
        return given
    hint = nearest(str(path), gallery_names("scenarios"))
    raise ScenarioError(Fault(str(path), "no such file, and no scenario of the gallery has this name", hint=hint))


class _Loading:
    """One scenario on its way from a tree to a Scenario; collects its faults."""

    def __init__(self, root: Node, folder: FilePath, path: str | None, sha256: str, faults: Sequence[Fault]) -> None:
        self.root = root
        self.folder = folder
        self.path = path
        self.sha256 = sha256
        self.faults = list(faults)
        self.source: TopologySource | None = None
        self.unread: set[str] = set()
        self.expanders: dict[Path, Expander] = {
            **dict.fromkeys(NAMED, _name_alone),
            _TOPOLOGY: self._topology_by_name,
            ("model",): lambda node: model_node(node, self._folder_of(node)),
            ("profile",): lambda node: profile_node(node, self._folder_of(node)),
            ("economics",): lambda node: economics_node(node, self._folder_of(node)),
        }

    def scenario(self, overrides: Sequence[str]) -> Scenario:
        for text in overrides:
            self.override(text)
        values = self._values()
        order = self._order(values)
        try:
            scenario = Scenario.model_validate(values)
        except ValidationError as error:
            self._collect(error, values)
        else:
            if order is not None:
                self.faults += order_faults(order, scenario, self.root)
            if not self.faults:
                return scenario.with_origin(self._loaded_from(order))
        raise ScenarioError(_in_order(self.faults))

    def override(self, text: str) -> None:
        """Replace one value as ``--set text`` does, or note what is wrong with it."""
        try:
            self.root = with_override(self.root, text, self.expanders)
        except ScenarioError as error:
            self.faults += error.faults

    def set_value(self, key: str, value: object) -> None:
        """Replace one value, or note what is wrong with it."""
        try:
            node = value if isinstance(value, Node) else node_of(value, option_position(f"{key}={value}"))
            self.root = with_value(self.root, split_key(key), node, self.expanders)
        except ScenarioError as error:
            self.faults += error.faults

    def _values(self) -> dict[str, Any]:
        """Return the values of the document, the topology in it read and validated where it can be."""
        node = self._topology()
        if node is not None and isinstance(node.value, str):
            try:
                node = self._topology_by_name(node)
                self.root = self._with_topology(node)
            except ScenarioError as error:
                self.faults += error.faults
        for key in ("model", "profile", "economics"):
            self._put_named(key)
        values = plain(self.root)
        if not isinstance(values, dict):
            return {}
        if node is not None and isinstance(node.value, dict):
            cluster = values["cluster"]
            source = self._source_of(node)
            fabric = None
            with suppress(ValidationError):  # validating the whole scenario meets the same mistakes, and reports them
                asked = cluster.get("gpus"), cluster.get("placement")
                folder = self.folder if source else self._folder_of(node)
                fabric = validated_topology(node, source, folder, *asked)
                cluster["topology"] = fabric
            self.faults += missing_faults(fabric, self.root, node, _TOPOLOGY)
        return values

    def _collect(self, error: ValidationError, values: Mapping[str, Any]) -> None:
        """Note the faults of `error`, and those between the sections that are right by themselves."""
        known = {fault.where for fault in self.faults}
        if "model" in self.unread or any(where.partition(".")[0] == "model" for where in known):
            known.add("stage_costs")  # they are missing only because the model, which is there, could not be read
        self.faults += [fault for fault in faults_of(error, Scenario, self.root) if fault.where not in known]
        sections = {name: self._section(name, values) for name in SECTIONS}
        given = costs_findings("model" in values, "stage_costs" in values)
        self.faults += [fault for fault in (fault_of(f, self.root) for f in given) if fault not in self.faults]
        told = set(self.faults)
        self.faults += [
            f for f in (fault_of(finding, self.root) for finding in cross_findings(sections)) if f not in told
        ]

    def _section(self, name: str, values: Mapping[str, Any]) -> Any:
        """Return one section, validated; its default if it is not given, and None if it has mistakes."""
        if name not in values:
            field = Scenario.model_fields[name]
            return None if field.is_required() else field.get_default(call_default_factory=True)
        try:
            return TypeAdapter(SECTIONS[name]).validate_python(values[name])
        except ValidationError:
            return None

    def _topology(self) -> Node | None:
        cluster = child(self.root, "cluster")
        topology = child(cluster.node, "topology") if cluster else None
        return topology.node if topology else None

    def _with_topology(self, node: Node) -> Node:
        cluster = self.root.entries["cluster"]
        topology = replace(cluster.node.entries["topology"], node=node)
        return with_child(self.root, "cluster", replace(cluster, node=with_child(cluster.node, "topology", topology)))

    def _put_named(self, key: str) -> None:
        """Put what the document names under `key` in the place of its name."""
        entry = child(self.root, key)
        if entry is not None:
            try:
                node = self.expanders[(key,)](entry.node)
                self.root = with_child(self.root, key, replace(entry, node=node))
            except ScenarioError as error:
                self.faults += error.faults
                self.unread.add(key)
                self.root = with_child(self.root, key, replace(entry, node=Node(None)))

    def _topology_by_name(self, node: Node) -> Node:
        if not isinstance(node.value, str):
            return node
        self.source = read_topology(node, self._folder_of(node))
        return self.source.root

    def _source_of(self, topology: Node) -> TopologySource | None:
        """Return the file that `topology` was read from, None for one that stands in the scenario."""
        return self.source if self.source and self.source.root.position == topology.position else None

    def _folder_of(self, node: Node) -> FilePath:
        """Return the folder of the file in which `node` stands."""
        path = FilePath(node.position.file) if node.position else self.folder
        return path.parent if path.is_file() else self.folder

    def _order(self, values: Mapping[str, Any]) -> OrderFile | None:
        """Return the order in the file of ``schedule.csv``, if there is one; note what is wrong with it."""
        schedule = child(self.root, "schedule")
        csv = child(schedule.node, "csv") if schedule else None
        choice = self._section("schedule", values) if csv else None
        if csv and choice:
            try:
                return read_order(choice, self._folder_of(csv.node), csv.node.position)
            except ScenarioError as error:
                self.faults += error.faults
        return None

    def _loaded_from(self, order: OrderFile | None) -> LoadedFrom:
        topology = self._topology() or Node(None)
        source = self._source_of(topology)
        name = source.name if source else "inline"
        sha256 = source.sha256_of(topology) if source else sha256_of_values(topology)
        return LoadedFrom(self.path, self.folder, self.sha256, name, sha256, source, order, self.root)


def _name_alone(node: Node) -> Node:
    if not isinstance(node.value, str):
        return node
    return Node({"name": Entry("name", node.position, node)}, node.position)


def _in_order(faults: Sequence[Fault]) -> list[Fault]:
    """Return faults in the order of the files, each file's from top to bottom; those without a place come first."""
    files = list(dict.fromkeys(fault.position.file for fault in faults if fault.position))

    def place(fault: Fault) -> tuple[int, int, int]:
        position = fault.position
        return (files.index(position.file), position.line, position.column) if position else (-1, 0, 0)

    return sorted(faults, key=place)
