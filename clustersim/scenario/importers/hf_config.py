"""The keys of a Hugging Face config.json, read with their positions."""

from __future__ import annotations

from clustersim.errors import Fault
from clustersim.scenario.importers.draft import Draft, Found
from clustersim.scenario.node import Node, plain

_NESTED = ("text_config", "llm_config", "language_config")


class Config:
    """The mapping that describes the language model, in a file that may hold others beside it.

    Every reading method takes names that mean the same in different families; the first that the file has counts, and a
    key that is null is as good as absent.
    """

    def __init__(self, root: Node, draft: Draft, prefix: str) -> None:
        self._root, self._draft, self._prefix = root, draft, prefix

    def number(self, *names: str, least: int = 1) -> Found | None:
        """Return a whole number of at least `least`; None if there is none."""
        found = self._found(*names)
        if found is None:
            return None
        if type(found.value) is not int or found.value < least:
            self.fault(found, f"must be a whole number of at least {least}; got {found.value!r}")
            return None
        return found

    def needed(self, *names: str) -> Found | None:
        """Return a whole number that every such file has; note that it is missing if it is."""
        if self._found(*names) is None:
            hint = f"also known as {', '.join(names[1:])}" if len(names) > 1 else ""
            self._draft.faults.append(Fault(f"{self._prefix}{names[0]}", "missing key", self._root.position, hint))
        return self.number(*names)

    def flag(self, *names: str) -> Found | None:
        """Return a truth value; None if there is none."""
        found = self._found(*names)
        if found is None:
            return None
        if type(found.value) is not bool:
            self.fault(found, f"must be true or false; got {found.value!r}")
            return None
        return found

    def is_on(self, *names: str) -> bool:
        """Return whether the first of `names` that is there is true."""
        found = self.flag(*names)
        return found is not None and bool(found.value)

    def text(self, name: str) -> str:
        """Return a text; an empty one if there is none."""
        found = self._found(name)
        return found.value if found and isinstance(found.value, str) else ""

    def items(self, name: str) -> Found | None:
        """Return a list; None if there is none."""
        found = self._found(name)
        if found is not None and not isinstance(found.value, tuple):
            self.fault(found, "must be a list")
            return None
        return found

    def is_positive(self, *names: str) -> bool:
        """Return whether any of `names` is a number above zero, such as a dropout's probability."""
        values = (found.value for found in map(self._found, names) if found)
        return any(isinstance(value, int | float) and value > 0 for value in values)

    def fault(self, found: Found, what: str, hint: str = "") -> None:
        """Note a mistake."""
        self._draft.faults.append(Fault(f"{self._prefix}{found.written}", what, found.position, hint))

    def _found(self, *names: str) -> Found | None:
        for name in names:
            entry = self._root.entries.get(name)
            if entry and entry.node.value is not None:
                return Found(plain(entry.node), name, entry.node.position)
        return None


def language_model(root: Node) -> tuple[Node, str]:
    """Return the mapping of the language model, and what precedes its keys in messages.

    A multimodal model has it nested, and what stands beside it may be the vision tower's.
    """
    for name in _NESTED:
        entry = root.entries.get(name)
        if entry and entry.node.entries:
            return entry.node, f"{name}."
    return root, ""
