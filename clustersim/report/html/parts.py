"""What the sections of a page are put together from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clustersim.report.html.markup import Child, Markup, element, joined


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of a stacked bar: which share of the whole it takes, in which colour of the style sheet."""

    name: str
    share: float
    colour: str


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page, which its list of contents leads to."""

    name: str
    title: str
    markup: Markup


def section(name: str, title: str, *children: Child) -> Section:
    """Return a section under its title."""
    heading = element("h2", title, id=f"{name}-title")
    return Section(name, title, element("section", heading, *children, id=name, aria_labelledby=f"{name}-title"))


def bar(parts: Iterable[Part], label: str) -> Markup:
    """Return a stacked bar, the whole of which is a share of 1; what is left stays empty."""
    segments = [
        element("i", class_=f"fill-{part.colour}", style=f"width:{100 * part.share:.4f}%", title=part.name)
        for part in parts
        if part.share > 0
    ]
    return element("div", *segments, class_="bar", role="img", aria_label=label)


def table(caption: str, header: Sequence[Child], rows: Iterable[Sequence[Child]], class_: str | None = None) -> Markup:
    """Return a table whose first column heads its rows; columns of a user's texts are set from the left."""
    listed = [list(row) for row in rows]
    kinds = ["text" if _is_text(cell) else None for cell in listed[0]] if listed else [None] * len(header)
    heads = (element("th", cell, scope="col", class_=kind) for cell, kind in zip(header, kinds, strict=True))
    head = element("thead", element("tr", *heads))
    body = (element("tr", element("th", first, scope="row"), *map(_cell, cells, kinds[1:])) for first, *cells in listed)
    inner = joined(element("caption", caption), head, element("tbody", *body))
    return scrolling(caption, element("table", inner, class_=class_))


def _is_text(cell: Child) -> bool:
    return isinstance(cell, str) and cell.startswith("<bdi")


def _cell(cell: Child, kind: str | None) -> Markup:
    return element("td", cell, class_=kind)


def scrolling(label: str, child: Markup) -> Markup:
    """Return what may be larger than the page in a frame that scrolls, also by keyboard."""
    return element("div", child, class_="scrolling", role="region", aria_label=label, tabindex="0")


def key(colour: str, text: Child) -> Markup:
    """Return a text with the colour that stands for it in a chart."""
    return element("span", element("i", class_=f"key fill-{colour}"), text, class_="keyed")


def facts(*entries: Child) -> Markup:
    """Return short facts on one line."""
    return element("ul", *(element("li", entry) for entry in entries), class_="facts")


def details(summary: str, *children: Child, is_open: bool = False) -> Markup:
    """Return what is shown once it is asked for."""
    return element("details", element("summary", summary), *children, open=is_open)


def one_of(label: str, name: str, options: Sequence[tuple[str, str]]) -> Markup:
    """Return a labelled choice of (value, text)."""
    choices = [element("option", text, value=value) for value, text in options]
    return element("label", f"{label} ", element("select", *choices, id=name))
