"""Figures of the visitor's galaxy as files: what is drawn, of which galaxies, and where the galaxy falls."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset
from sfnet_core.explorer.your_galaxy.page import YourGalaxy

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def page() -> YourGalaxy:
    page = YourGalaxy(sample_codes(), sample_dataset())
    page.open_row(page.codes.index_of("sim-0-000206"))
    return page


def circles(svg: str, name: str) -> int:
    groups = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.find(f"{SVG}title") is not None]
    return sum(len(g.findall(f"{SVG}circle")) for g in groups if g.find(f"{SVG}title").text == name)


@pytest.mark.parametrize("number", range(4))
def test_each_plot_has_its_galaxies_and_a_ring_where_this_one_falls(page, number):
    place = page.plots.places[number]
    (x0, x1), (y0, y1) = place.panel.ranges
    axes = place.axes
    n = int(((axes.x >= x0) & (axes.x <= x1) & (axes.y >= y0) & (axes.y <= y1)).sum())
    svg = page.figures.svg(number)
    assert circles(svg, "galaxies") == n and circles(svg, "galaxy in focus") == 1
    facts = page.figures.caption(f"plot-{number}").split("\n")
    split = "train" if number > 1 else "validation"
    known = int(
        (np.isfinite(axes.x) & np.isfinite(axes.y)).sum()
    )  # looks are measured on some of the training galaxies
    assert facts[1] == f"{known} simulated galaxies, {split} split"
    assert facts[2] == f"x: {axes.x_label}; y: {axes.y_label}" and "Ring: galaxy sim-0-000206" in facts
    assert ET.fromstring(svg).find(f"{SVG}desc").text == "\n".join(facts)


def test_a_galaxy_of_which_one_value_is_known_is_a_line(page):
    place = page.plots.places[1]
    place.show(place.axes, np.nan, 8.7)
    svg = page.figures.svg(1)
    (line,) = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.findtext(f"{SVG}title") == "galaxy in focus"
               and g.find(f"{SVG}path") is not None]  # fmt: skip
    assert line.find(f"{SVG}path").get("d").count("L") == 1 and circles(svg, "galaxy in focus") == 0
    assert "Line: galaxy sim-0-000206" in page.figures.caption("plot-1").split("\n")


def test_the_pane_at_the_pointer_belongs_to_these_figures(page):
    assert page.hover.data == {"key": page.plots.key, "images": True}
    assert {place.panel.hover.callback.args["key"] for place in page.plots.places} == {page.plots.key}
    assert page.figures.data["figures"][2][1] == "lower left: brightness against sky background"
