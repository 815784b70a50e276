"""Crews: GPUs under a policy that exchange something beside their ops, and therefore do them in one order.

Each would wait for ever in an exchange that the others have not come to. As one program drives them all, what the first
of them chooses is what all of them do, each as soon as its own inputs are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clustersim.ops import Action, Group, Place

_AXES = ("tp", "cp", "ep", "etp")  # whose exchanges belong to ops


class Crew:
    """What the first member has chosen so far, and how to wake the others.

    Examples
    --------
    >>> from clustersim.ops import Kind
    >>> crew = Crew()
    >>> first, second = crew.join(lambda: None), crew.join(lambda: print("woken"))
    >>> crew.choose(Action(Kind.F, 0, 0))
    woken
    >>> first, second, str(crew.choice(0)), crew.choice(1)
    (True, False, '0F0', None)
    """

    def __init__(self) -> None:
        self._chosen: list[Action] = []
        self._wakes: list[Callable[[], None]] = []
        self._has_first = False

    def join(self, wake: Callable[[], None]) -> bool:
        """Take in a member, which `wake` lets decide if it is idle; return whether it is the first."""
        if self._has_first:
            self._wakes.append(wake)
            return False
        self._has_first = True
        return True

    def choose(self, action: Action) -> None:
        """Let all do `action` next: the first member has chosen it."""
        self._chosen.append(action)
        for wake in self._wakes:
            wake()

    def choice(self, number: int) -> Action | None:
        """Return the choice with a number; None if it has not been made."""
        return self._chosen[number] if number < len(self._chosen) else None


def crews_of(groups: Sequence[Group]) -> dict[Place, Crew]:
    """Return the crew of every rank that exchanges something within ops; those of groups that overlap are one."""
    crew_of: dict[Place, list[Place]] = {}
    for group in groups:
        if group.axis in _AXES:
            places = [place for own in group.places for place in crew_of.get(own, [own])]
            joined = list(dict.fromkeys(places))
            crew_of.update(dict.fromkeys(joined, joined))
    crews: dict[int, Crew] = {}
    return {place: crews.setdefault(id(places), Crew()) for place, places in crew_of.items()}
