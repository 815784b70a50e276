"""The network on a page: traffic by axis, the heat map of the fabric, and its busiest links."""

from __future__ import annotations

from clustersim.report.html.markup import Markup, Numbers, element, joined, name_of
from clustersim.report.html.parts import Section, section, table
from clustersim.report.quantities import count, percent, seconds, size
from clustersim.result import Result
from clustersim.trace import AXIS_WORDS


def links_section(result: Result, numbers: Numbers) -> Section:
    """Return what the axes sent, and how busy which links of the fabric were."""
    communication = result.communication
    used = [axis for axis, traffic in communication.by_axis.items() if traffic.bytes or traffic.busy_s]
    if not used:
        said = element("p", "No bytes and no time: messages are empty, or there are none.")
        return section("network", "Network", said)
    return section(
        "network",
        "Network",
        _heat_map(),
        element("div", _axes(used, numbers), _collisions(result, numbers), class_="columns"),
        _links(result, numbers),
    )


def _heat_map() -> Markup:
    said = (
        "Use of every link over the run: GPUs below, above them what they are joined to. A cell is a link; of a band, "
        "the upper half is what went up, the lower half what came down. Beside it stands the use of its busiest link."
    )
    scale = element(
        "div",
        element("i", class_="scale"),
        *(element("span", text) for text in ("0 %", "50 %", "100 % busy")),
        class_="scale-row",
        aria_hidden="true",
    )
    canvas = element(
        "canvas",
        id="fabric-chart",
        class_="chart",
        tabindex="0",
        role="application",
        aria_roledescription="heat map of links",
        aria_label="Use of the links, on the fabric; arrow keys go from link to link",
        aria_describedby="fabric-told",
    )
    return element(
        "figure",
        element("figcaption", said),
        scale,
        canvas,
        element("output", id="fabric-told", class_="told", aria_live="polite"),
        class_="needs-script",
    )


def _axes(used: list[str], numbers: Numbers) -> Markup:
    rows = []
    for axis in used:
        place = f"communication.by_axis.{axis}"
        times = [numbers.show(f"{place}.{name}_s", seconds) for name in ("busy", "exposed", "slowed")]
        rows.append(
            (joined(axis, element("small", f" {AXIS_WORDS[axis]}")), numbers.show(f"{place}.bytes", size), *times)
        )
    return table(
        "By parallelism axis: bytes of a step over all GPUs, times per GPU and step",
        ("axis", "bytes", "busy", "exposed", "lost by sharing"),
        rows,
    )


def _collisions(result: Result, numbers: Numbers) -> Markup:
    rows = []
    for index, entry in enumerate(result.communication.collisions):
        lost = numbers.show(f"communication.collisions.{index}.lost_s", seconds)
        rows.append((entry.axis, entry.by, lost, name_of(entry.link)))
    if not rows:
        return Markup("")
    return table("Who was slowed down by whom, per GPU and step", ("axis", "by", "lost", "most at"), rows)


def _links(result: Result, numbers: Numbers) -> Markup:
    rows = []
    for index, link in enumerate(result.communication.busiest_links):
        if link.utilization:
            place = f"communication.busiest_links.{index}"
            use = element(
                "span",
                numbers.show(f"{place}.utilization", percent),
                class_="meter",
                style=f"--heat:{link.utilization:.4f}",
            )
            lost = [numbers.show(f"{place}.{name}_s", seconds) for name in ("queued", "slowed")]
            rows.append((name_of(link.link), use, numbers.show(f"{place}.bytes", size), *lost))
    if not rows:
        return element("p", "No link was held: all have unlimited bandwidth, and latency occupies nothing.")
    contended = numbers.show("communication.contended_links", count)
    return joined(
        table("Busiest links", ("link", "busy", "bytes", "queued", "slowed"), rows),
        element("p", "Links that were contended: ", contended, class_="hint"),
    )
