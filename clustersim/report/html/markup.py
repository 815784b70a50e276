"""HTML that is whole by construction: text is escaped where it enters, and nowhere else."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from clustersim.report.characters import one_line

_VOID = frozenset({"meta", "input", "br", "wbr"})


class Markup(str):
    """Text that is HTML already; any other text is escaped when it becomes part of an element."""

    __slots__ = ()


Child = str | Iterable[str]


def element(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return an element; ``class_`` and ``data_field`` become ``class`` and ``data-field``.

    Parameters
    ----------
    name
        Of the tag.
    children
        Markup, which is taken as it is, text, which is escaped, or several of them.
    attributes
        Their values; True writes the bare name, False and None leave it out.

    Examples
    --------
    >>> element("p", "a < b & ", element("b", "c"), class_="lead", title='say "no"', hidden=True)
    '<p class="lead" title="say &quot;no&quot;" hidden>a &lt; b &amp; <b>c</b></p>'
    """
    opening = "".join([f"<{name}", *(_attribute(key, value) for key, value in attributes.items()), ">"])
    return Markup(opening if name in _VOID else f"{opening}{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Return children one after the other, those escaped that are no Markup.

    Examples
    --------
    >>> joined("<", [Markup("<br>"), "&"])
    '&lt;<br>&amp;'
    """
    parts: list[str] = []
    for child in children:
        parts += [_escaped(child)] if isinstance(child, str) else map(_escaped, child)
    return Markup("".join(parts))


def name_of(text: str) -> Markup:
    """Return a user's text so that its direction ends with it, and nothing in it can disturb what stands around.

    Examples
    --------
    >>> name_of("</script>")
    '<bdi>&lt;/script&gt;</bdi>'
    """
    return element("bdi", one_line(text))


def as_json(value: Any) -> Markup:
    """Return a value as JSON that may stand in a ``<script>``: nothing in it can end the element, or open a comment.

    Examples
    --------
    >>> as_json({"name": "</script><!--"})
    '{"name":"\\\\u003c/script\\\\u003e\\\\u003c!--"}'
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


class Numbers:
    """The numbers of a document, each shown with its place and its exact value."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document

    def at(self, path: str) -> Any:
        """Return the value at a dotted path.

        Examples
        --------
        >>> Numbers({"ranks": [{"pp_rank": 3}]}).at("ranks.0.pp_rank")
        3
        """
        value: Any = self.document
        for step in path.split("."):
            value = value[int(step)] if isinstance(value, list) else value[step]
        return value

    def show(self, path: str, written: Callable[[Any], str], **attributes: str) -> Markup:
        """Return the number at a dotted path, as `written` writes it.

        Examples
        --------
        >>> Numbers({"memory": {"peak_bytes": 3}}).show("memory.peak_bytes", str)
        '<data value="3" data-field="memory.peak_bytes">3</data>'
        """
        value = self.at(path)
        return element("data", written(value), value=json.dumps(value), data_field=path, **attributes)


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'


def _escaped(text: str) -> str:
    return text if isinstance(text, Markup) else html.escape(text, quote=False)
