"""A whole page: one file that opens without a network, and runs no script but its own.

Its Content-Security-Policy forbids all requests, and all scripts but the one whose hash it names: what a name in a
scenario may hold could not run even if it became markup.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from clustersim.report.characters import one_line
from clustersim.report.html.columns import packed
from clustersim.report.html.markup import Child, Markup, as_json, element, joined
from clustersim.report.html.parts import Section
from clustersim.trace import Ints

_STYLES = ("theme.css", "page.css", "charts.css")


def page(
    title: str,
    top: Child,
    sections: Sequence[Section],
    scripts: Sequence[str],
    known: Mapping[str, Any],
    columns: Mapping[str, Ints] | None = None,
) -> str:
    """Return a page as text, to be written as UTF-8.

    Parameters
    ----------
    title
        Of the window.
    top
        What stands above the first section.
    sections
        What follows, each led to by the list of contents.
    scripts
        Files of ``assets/``, in the order in which they are to run.
    known
        What the scripts know, as JSON.
    columns
        What they draw from.
    """
    script, style = _joined(scripts), Markup(_with_given_theme("".join(map(_asset, _STYLES))))
    layout, binary = packed(columns or {})
    allowed = f"script-src '{_hash(script)}'; style-src 'unsafe-inline'"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", one_line(title)),
        element("style", style),
    )
    body = joined(
        element("a", "Skip to the report", href="#report", class_="skip"),
        element("header", top, _theme_switch()),
        _contents(sections),
        element("main", *(each.markup for each in sections), id="report"),
        element("script", as_json({**known, "columns": layout}), type="application/json", id="known"),
        element("script", Markup(binary), type="text/plain", id="columns"),
        element("script", Markup(script)),
    )
    return f"<!DOCTYPE html>\n{element('html', element('head', head), element('body', body), lang='en')}\n"


def _with_given_theme(styles: str) -> str:
    """Return styles that are dark, too, where the system asks for it and the reader has not chosen light."""
    chosen = ':root[data-theme="dark"]'
    start = styles.index(chosen)
    block = styles[start : styles.index("}", start) + 1].replace(chosen, ':root:not([data-theme="light"])')
    return f"{styles}@media (prefers-color-scheme: dark) {{ {block} }}\n"


def _contents(sections: Sequence[Section]) -> Markup:
    """Return links to the sections."""
    links = [element("a", each.title, href=f"#{each.name}") for each in sections]
    return element("nav", *links, aria_label="Sections")


def _theme_switch() -> Markup:
    return element(
        "button", "Theme", type="button", id="theme", class_="needs-script", title="Light, dark, or as the system"
    )


def _joined(scripts: Sequence[str]) -> str:
    """Return one script; its names stay its own."""
    return "(() => {\n" + '"use strict";\n' + "".join(map(_asset, scripts)) + "})();"


def _asset(name: str) -> str:
    return files("clustersim.report.html").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
