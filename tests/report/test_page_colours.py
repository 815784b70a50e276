"""The colours of pages: kinds of time that everyone tells apart, text that can be read, scales that grow."""

from __future__ import annotations

import itertools
import re
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from clustersim.analysis.critical_path import Cause
from clustersim.analysis.waits import CAUSES, PHASES
from clustersim.report.html.bubble import PHASE_WORDS
from clustersim.report.html.critical import PATH_COLOURS
from clustersim.report.html.opening import CAUSE_WORDS
from clustersim.report.html.page import page
from clustersim.report.html.slices import CATEGORIES
from clustersim.trace import AXES, AXIS_WORDS

ASSETS = files("clustersim.report.html").joinpath("assets")

TIMES = ("f", "b", "w", "fb", "recompute", "optimizer", "exposed", "bubble")
MEMORY = tuple(f"memory-{number}" for number in range(4))

# Distances are CIE 1976 colour differences: about 2 are just seen, side by side. Machado, Oliveira and Fernandes, "A
# Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG 15(6), 2009, table 1: severity
# 1.0, for linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def colours(theme: str) -> dict[str, Any]:
    """Return the colours of a theme, as linear RGB."""
    css = ASSETS.joinpath("theme.css").read_text()
    block = css.partition(":root {" if theme == "light" else ':root[data-theme="dark"] {')[2].partition("}")[0]
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6});", block)
    values = {name: np.array([int(text[place : place + 2], 16) / 255 for place in (0, 2, 4)]) for name, text in found}
    return {name: np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) for name, rgb in values.items()}


def lab(linear: Any) -> Any:
    ratio = XYZ @ np.clip(linear, 0, 1) / (XYZ @ np.ones(3))
    cube = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * cube[1] - 16, 500 * (cube[0] - cube[1]), 200 * (cube[1] - cube[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("kinds", [TIMES, MEMORY])
def test_kinds_are_told_apart_by_everyone(theme: str, vision: str, kinds: tuple[str, ...]) -> None:
    palette = colours(theme)
    seen = {kind: lab(VISIONS[vision] @ palette[f"fill-{kind}"]) for kind in kinds}
    distances = {
        pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]])) for pair in itertools.combinations(kinds, 2)
    }
    assert min(distances.values()) >= 20, sorted(distances.items(), key=lambda entry: entry[1])[:3]


def contrast(one: Any, other: Any) -> float:
    bright, dark = sorted((float(XYZ[1] @ one), float(XYZ[1] @ other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read(theme: str) -> None:
    palette = colours(theme)
    for ink in ("ink", "quiet", "accent", "bad", "good"):
        assert contrast(palette[ink], palette["paper"]) >= 4.5, ink  # WCAG 2.2, 1.4.3


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("scale", ["heat", "shade"])
def test_scales_grow_steadily(theme: str, scale: str) -> None:
    palette = colours(theme)
    lightness = [float(lab(palette[f"{scale}-{number}"])[0]) for number in range(4)]
    steps = np.diff(lightness)
    assert (steps > 8).all() or (steps < -8).all(), lightness


def test_the_dark_theme_is_the_same_chosen_or_given() -> None:
    styles = page("a", "b", [], [], {})
    given = styles.partition(':root:not([data-theme="light"]) {')[2].partition("}")[0]
    chosen = styles.partition(':root[data-theme="dark"] {')[2].partition("}")[0]
    assert chosen.split() == given.split() != []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_whatever_a_run_may_have_has_words_and_a_colour(theme: str) -> None:
    assert set(AXIS_WORDS) == set(AXES)
    assert set(CAUSE_WORDS) == set(CAUSES)
    assert set(PHASE_WORDS) == set(PHASES)
    fills = {f"fill-{name.lower()}" for name in (*CATEGORIES, *AXES, *CAUSES)}
    rules = ASSETS.joinpath("charts.css").read_text()
    assert fills | {f"phase-{number}" for number in range(len(PHASES))} <= set(colours(theme))
    assert all(f".{fill} {{" in rules for fill in fills)
    assert {cause.name.lower() for cause in Cause} == set(PATH_COLOURS)
    assert {f"fill-{name}" for name in PATH_COLOURS.values()} <= set(colours(theme))
