"""The page on codes of the four lines: predicted ratios under toggles, classes of the galaxy in focus, filters."""

from __future__ import annotations

import numpy as np
import pytest

from sfnet_core.analysis.code_names import CodeNames
from sfnet_core.astro.emission_lines import LINES
from sfnet_core.astro.galaxy_classes import CLASSES
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.filters.masks import select
from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import State

NAMES = tuple(LINES)


@pytest.fixture(scope="module")
def codes() -> SparseCodes:
    """120 galaxies, six features of which three are kept, four lines, and a catalogue with fluxes."""
    rng = np.random.default_rng(4)
    dense = np.abs(rng.normal(size=(120, 6)))
    order = np.argsort(-dense, axis=1)[:, :5]
    weight = rng.normal(0, 0.4, (4, 6))
    truth = np.stack([rng.uniform(1, 2, 120), rng.uniform(1.5, 2.5, 120), *rng.uniform(0.8, 2, (2, 120))], axis=1)
    columns = {column: 10.0 ** truth[:, i] for i, column in enumerate(LINES.values())}
    truth[::9, 2] = np.nan
    return SparseCodes.from_arrays(
        ids=[f"g{i}" for i in range(120)], indices=order, values=np.take_along_axis(dense, order, 1).astype(np.float32),
        k=3, features=6, weight=weight, bias=[1.5, 2.0, 1.4, 1.5], targets=NAMES, units=["dex"] * 4, truth=truth,
        columns=columns | {"lgm_tot_p50": rng.normal(10, 1, 120)}, split=np.array(["train", "validation"] * 60),
    )  # fmt: skip


def plain(codes: SparseCodes, off: set[int]) -> np.ndarray:
    """(N, 4) predictions with features ablated, slot by slot."""
    out = np.tile(codes.bias, (len(codes), 1))
    for i in range(len(codes)):
        for slot in range(codes.k):
            if int(codes.indices[i, slot]) not in off:
                out[i] += codes.weight[:, codes.indices[i, slot]] * codes.values[i, slot]
    return out


@pytest.mark.parametrize("off", [set(), {0}, {1, 4}])
def test_predicted_ratios_follow_the_toggles(codes, off):
    scene, state = Scene(codes), State(6, 120, targets=4, k=codes.k)
    state.change(off=frozenset(off))
    lines = plain(codes, off)
    np.testing.assert_allclose(scene.values("n2_ha_predicted", state), lines[:, 0] - lines[:, 1], atol=1e-9)
    np.testing.assert_allclose(scene.values("o3_hb_predicted", state), lines[:, 2] - lines[:, 3], atol=1e-9)
    assert {"bpt", "bpt_predicted", "n2_ha_both", "o3_hb_both"} <= set(scene.plots)
    assert scene.plots["mass"].label == "true value against stellar mass"


def class_of(x: float, y: float) -> str:
    """Kewley's curve is asked first: left of x = −1.28 it lies below Kauffmann's."""
    if x >= 0.47 or y >= 0.61 / (x - 0.47) + 1.19:
        return "AGN"
    return "star-forming" if x < 0.05 and y < 0.61 / (x - 0.05) + 1.3 else "composite"


def place_of(lines: np.ndarray) -> str:
    n2_ha, o3_hb = lines[0] - lines[1], lines[2] - lines[3]
    name = class_of(n2_ha, o3_hb).replace("star-forming", "SF")
    return f"{name} {n2_ha:+.2f}, {o3_hb:+.2f}".replace("-", "−")


@pytest.mark.parametrize("target", range(4))
def test_the_galaxy_in_focus_has_its_flux_and_classes(codes, target):
    page = Explorer(codes)
    page.state.change(target=target, off=frozenset({2}))
    lines = plain(codes, {2})
    for row in (1, 9):
        page.state.change(galaxy=row)
        facts = {fact[0]: fact[1] for fact in page.inspector.data["facts"]}
        assert facts["predicted flux [10⁻¹⁷ erg/s/cm²]"] == f"{10 ** lines[row, target]:.5g}"
        assert facts["BPT, predicted"] == place_of(lines[row])
        truth = np.array([codes.truth(name)[row] for name in NAMES])
        assert facts["BPT, measured"] == ("–" if row == 9 else place_of(truth))
        assert np.isfinite(truth).all() == (row != 9)
    assert page.inspector.data["target"] == page.header.data["targets"][target][1]


def test_filters_know_the_predicted_class(codes):
    names = CodeNames(codes)
    lines = plain(codes, set())
    classes = [class_of(a - b, c - d) for a, b, c, d in lines]
    for word, name in zip(CLASSES, ("star-forming", "composite", "AGN"), strict=False):
        assert select(f'bpt_predicted = "{word}"', names).tolist() == [c == name for c in classes]
    np.testing.assert_array_equal(select("n2_ha_predicted > 0", names), lines[:, 0] > lines[:, 1])


def test_other_codes_know_nothing_of_predicted_lines(gated):
    codes = gated(np.ones((3, 2)), [1, 1], 8, 1, 0)
    page = Explorer(codes)
    assert not any("predicted_" in key or key.endswith("_predicted") for key in page.scene.quantities)
    assert "BPT, predicted" not in {fact[0] for fact in page.inspector.data.get("facts", [])}
    assert "bpt_predicted" not in CodeNames(codes).words()
