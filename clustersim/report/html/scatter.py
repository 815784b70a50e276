"""A scatter of named points as SVG: drawn once, readable without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

from clustersim.report.characters import one_line
from clustersim.report.html.markup import Markup, element

_WIDTH, _HEIGHT = 900, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 190, 14, 44
_LINE = 15  # height of a label
_PER_LETTER = 6.6  # width of a label, at most
_SAME = 6  # points nearer than that are one spot


@dataclass(frozen=True, slots=True)
class Point:
    """A point, what it is called, and a class of the style sheet."""

    x: float
    y: float
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis says: its title, and a unit by which values are divided."""

    title: str
    factor: float
    limit: float | None = None  # a value that is marked by a line


def scatter(points: Sequence[Point], across: Axis, up: Axis, label: str) -> Markup:
    """Return the points with their names, on axes from near the least to the greatest value."""
    x_of = _scale([point.x for point in points] + [across.limit or points[0].x], _LEFT, _WIDTH - _RIGHT)
    y_of = _scale([point.y for point in points], _HEIGHT - _BOTTOM, _TOP)
    spots = _spots(points, x_of, y_of)
    marks = [*_ticks(across, up, x_of, y_of), *_limit(across, x_of)]
    taken = [_Box(spot.x - 6, spot.y - 6, spot.x + 6, spot.y + 6) for spot in spots]
    for spot in spots:
        width = _PER_LETTER * len(spot.text)
        box = _free(_Box(spot.x + 11, spot.y - _LINE / 2, spot.x + 11 + width, spot.y + _LINE / 2), taken)
        taken.append(box)
        middle = (box.top + box.bottom) / 2
        if abs(middle - spot.y) > 1:
            marks.append(
                element("path", d=f"M{spot.x:.1f} {spot.y:.1f}L{box.left - 2:.1f} {middle:.1f}", class_="lead-line")
            )
        marks.append(element("circle", cx=f"{spot.x:.1f}", cy=f"{spot.y:.1f}", r=5, class_=spot.kind))
        marks.append(element("text", spot.text, x=f"{box.left:.1f}", y=f"{middle + 4:.1f}"))
    return element("svg", *marks, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=label, class_="scatter")


@dataclass(frozen=True, slots=True)
class _Spot:
    """Points that lie on one another."""

    x: float
    y: float
    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def covers(self, other: _Box) -> bool:
        """Return whether two boxes have a part in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def moved(self, down: float) -> _Box:
        """Return the box so much further down."""
        return _Box(self.left, self.top + down, self.right, self.bottom + down)


def _spots(points: Sequence[Point], x_of: _Scale, y_of: _Scale) -> list[_Spot]:
    """Return the points by place, from the top; those that can't be told apart share their names."""
    by_place: dict[tuple[int, int], list[Point]] = {}
    for point in points:
        place = round(x_of.at(point.x) / _SAME), round(y_of.at(point.y) / _SAME)
        by_place.setdefault(place, []).append(point)
    spots = []
    for together in by_place.values():
        text = ", ".join(one_line(point.name) for point in together)
        kind = max(point.kind for point in together)
        spots.append(_Spot(x_of.at(together[0].x), y_of.at(together[0].y), text, kind))
    return sorted(spots, key=lambda spot: (spot.y, spot.x))


def _free(box: _Box, taken: Sequence[_Box]) -> _Box:
    """Return the box where it covers no other, as near as can be, above or below."""
    for number in range(2 * len(taken) + 1):
        down = (number + 1) // 2 * _LINE / 2 * (1 if number % 2 else -1)
        moved = box.moved(down)
        inside = moved.top >= _TOP and moved.bottom <= _HEIGHT - _BOTTOM
        if inside and not any(moved.covers(other) for other in taken):
            return moved
    return box


@dataclass(frozen=True, slots=True)
class _Scale:
    least: float
    greatest: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value."""
        return self.begin + (value - self.least) / (self.greatest - self.least) * (self.end - self.begin)

    def ticks(self, factor: float) -> list[float]:
        """Return round values between the ends, in units of `factor`."""
        span = (self.greatest - self.least) / factor
        power = 10.0 ** floor(log10(span / 5))
        step = next(times * power for times in (1, 2, 5, 10) if span / (times * power) <= 6)
        first = floor(self.least / factor / step) + 1
        return [round(number * step, 9) for number in range(first, floor(self.greatest / factor / step) + 1)]


def _scale(values: Sequence[float], begin: float, end: float) -> _Scale:
    least, greatest = min(values), max(values)
    margin = 0.06 * ((greatest - least) or abs(greatest) or 1.0)
    return _Scale(least - margin, greatest + margin, begin, end)


def _ticks(across: Axis, up: Axis, x_of: _Scale, y_of: _Scale) -> list[Markup]:
    floor_y = _HEIGHT - _BOTTOM
    marks = []
    for value in x_of.ticks(across.factor):
        x = x_of.at(value * across.factor)
        marks.append(element("path", d=f"M{x:.1f} {_TOP}V{floor_y}", class_="grid"))
        marks.append(element("text", f"{value:g}", x=f"{x:.1f}", y=floor_y + 17, class_="tick middle"))
    for value in y_of.ticks(up.factor):
        y = y_of.at(value * up.factor)
        marks.append(element("path", d=f"M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}", class_="grid"))
        marks.append(element("text", f"{value:g}", x=_LEFT - 8, y=f"{y + 4:.1f}", class_="tick end"))
    marks.append(element("text", across.title, x=_WIDTH - _RIGHT, y=_HEIGHT - 6, class_="tick end"))
    turned = f"rotate(-90 14 {_TOP})"
    marks.append(element("text", up.title, x=14, y=_TOP, class_="tick end", transform=turned))
    return marks


def _limit(across: Axis, x_of: _Scale) -> list[Markup]:
    if across.limit is None:
        return []
    x = x_of.at(across.limit)
    return [
        element("path", d=f"M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}", class_="limit"),
        element("text", "capacity", x=f"{x + 5:.1f}", y=_TOP + 10, class_="tick"),
    ]
