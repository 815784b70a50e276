"""Fields of frozen records that are made when somebody first asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

T = TypeVar("T")


class _Later:
    """What stands for a field until somebody asks for it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


def later(make: Callable[[], T]) -> T:
    """Return what stands for the value of `make` in a field of a :class:`Lazy` record, until somebody asks for it."""
    return cast(T, _Later(make))


class Lazy:
    """A frozen dataclass whose fields may be given as :func:`later`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, slots=True)
    ... class Pair(Lazy):
    ...     left: int
    ...     right: int
    >>> Pair(1, later(lambda: 1 + 1))
    Pair(left=1, right=2)
    """

    def __post_init__(self) -> None:
        makes = self.__dict__["_later"] = dict[str, Callable[[], Any]]()
        for name in self.__dataclass_fields__:  # type: ignore[attr-defined]
            value = getattr(self, name)
            if isinstance(value, _Later):
                makes[name] = value.make
                object.__delattr__(self, name)
            else:
                self._settle(value)

    @classmethod
    def made_by(cls, **make_by_field: Callable[[], Any]) -> Self:
        """Return a record all of whose fields are made when somebody asks for them: the quick way to many records.

        Examples
        --------
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, slots=True)
        ... class Pair(Lazy):
        ...     left: int
        ...     right: int
        >>> Pair.made_by(left=lambda: 1, right=lambda: 2) == Pair(1, 2)
        True
        """
        record = object.__new__(cls)
        record.__dict__["_later"] = make_by_field
        return record

    def _settle(self, value: Any) -> None:
        """Do what is to be done with every value when it is there."""

    if not TYPE_CHECKING:  # or else every misspelt name would pass

        def __getattr__(self, name: str) -> Any:
            make = self.__dict__.get("_later", {}).pop(name, None)
            if make is None:
                raise AttributeError(name)
            value = make()
            self._settle(value)
            object.__setattr__(self, name, value)
            return value
