"""The plots of the visitor's galaxy over a large table: they follow the zoom, whatever galaxy is in focus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.your_galaxy.galaxy import GalaxyQuery
from sfnet_core.explorer.your_galaxy.plots import GalaxyPlots, plots_to_choose


class NoLooks:
    """A training set without pictures."""

    looks: dict = {}  # noqa: RUF012
    split = ""


class Someone:
    """A galaxy in focus with a value for every quantity."""

    def __init__(self, value: float):
        self._value = value

    def value(self, key: str, state, scene) -> float:
        return 0.2 if key == "activation" else self._value  # inside every plot's range


@pytest.fixture(scope="module")
def codes(made_up) -> SparseCodes:
    return made_up(7000, features=16)


@pytest.fixture
def where(codes, context) -> GalaxyPlots:
    splits = [name for name in codes.splits if name]
    state = State(codes.features, len(codes), splits, 1, codes.indices.shape[1], k=codes.k)
    shared = context(codes, state)
    state.change(feature=shared.scene.default_feature("", 0), third="mass", fourth="bpt")
    plots = GalaxyPlots(shared, NoLooks(), plots_to_choose(shared.scene, False), lambda row: None)
    plots.at = lambda someone: GalaxyQuery.of(state.query, someone)
    return plots


def test_zoomed_in_there_are_points_and_another_galaxy_in_focus_keeps_them(where, codes):
    place = where.places[1]
    assert place.panel.density.visible and place.panel.density.data_source.data["image"][0].sum() == 7000
    place.panel.figure.x_range.update(start=8.8, end=8.9)
    low, high = place.panel.ranges[1]
    truth, prediction = codes.truth(), codes.prediction()
    inner = np.flatnonzero((truth >= 8.8) & (truth <= 8.9) & (prediction >= low) & (prediction <= high))
    for subject in (None, Someone(8.85), Someone(8.86)):
        where.draw(where.at(subject))
        assert place.panel.near.visible and not place.panel.density.visible
        assert place.panel.near.data_source.data["id"] == codes.ids[inner].tolist()
        assert len(place.focus.data["x1"]) == (subject is not None)
    full = place.panel.ranges[0]
    place.panel.figure.x_range.update(start=full[0], end=full[1])
    assert place.panel.density.visible and not place.panel.near.visible
    assert place.panel.density.data_source.data["image"][0].sum() == 7000


def test_a_density_of_the_whole_range_is_not_sent_again_for_another_galaxy(where, monkeypatch):
    where.draw(where.at(Someone(8.85)))
    looked = []
    monkeypatch.setattr(type(where.places[0]), "look", lambda self: looked.append(self.number))
    where.draw(where.at(Someone(8.9)))
    assert looked == [] and all(place.panel.density.visible for place in where.places)
    where.draw(replace(where.at(Someone(8.9)), split="train"))
    assert sorted(looked) == [0, 1, 2, 3]
