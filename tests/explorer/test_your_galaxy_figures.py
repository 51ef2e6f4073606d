"""Figures of the visitor's galaxy as files: what is drawn, of which galaxies, and where the galaxy falls."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset
from sfnet_core.explorer.your_galaxy.page import YourGalaxy
from sfnet_core.figures.plot import Curve, Dots

DESCRIPTION = "{http://purl.org/dc/elements/1.1/}description"


@pytest.fixture(scope="module")
def page() -> YourGalaxy:
    page = YourGalaxy(sample_codes(), sample_dataset())
    page.open_row(page.codes.index_of("sim-0-000206"))
    return page


def drawn(page: YourGalaxy, number: int, name: str) -> int:
    """How many points the layers of a name have in a figure."""
    return sum(len(one.x) for one in page.figures.figure(number).layers if one.name == name and isinstance(one, Dots))


@pytest.mark.parametrize("number", range(4))
def test_each_plot_has_its_galaxies_and_a_ring_where_this_one_falls(page, number, tmp_path):
    place = page.plots.places[number]
    (x0, x1), (y0, y1) = place.panel.ranges
    axes = place.axes
    n = int(((axes.x >= x0) & (axes.x <= x1) & (axes.y >= y0) & (axes.y <= y1)).sum())
    assert drawn(page, number, "galaxies") == n and drawn(page, number, "galaxy in focus") == 1
    facts = page.figures.caption(f"plot-{number}").split("\n")
    split = "train" if number > 1 else "validation"
    known = int(
        (np.isfinite(axes.x) & np.isfinite(axes.y)).sum()
    )  # looks are measured on some of the training galaxies
    assert facts[1] == f"{known} simulated galaxies, {split} split"
    assert facts[2] == f"x: {axes.x_label}; y: {axes.y_label}" and "Ring: galaxy sim-0-000206" in facts
    root = ET.fromstring(page.figures.save(tmp_path / "x.svg", number).read_bytes())
    assert root.findtext(f".//{DESCRIPTION}") == "\n".join(facts)


def test_a_galaxy_of_which_one_value_is_known_is_a_line(page):
    place = page.plots.places[1]
    place.show(place.axes, np.nan, 8.7)
    focus = [one for one in page.figures.figure(1).layers if one.name == "galaxy in focus"]
    (line,) = [one for one in focus if isinstance(one, Curve)]
    assert line.y.tolist() == [8.7, 8.7] and not any(np.isfinite(one.x).all() for one in focus if one is not line)
    assert "Line: galaxy sim-0-000206" in page.figures.caption("plot-1").split("\n")


def test_the_pane_at_the_pointer_belongs_to_these_figures(page):
    assert page.hover.data == {"key": page.plots.key, "images": True}
    assert {place.panel.hover.callback.args["key"] for place in page.plots.places} == {page.plots.key}
    assert page.figures.data["figures"][2][1] == "lower left: brightness against sky background"
