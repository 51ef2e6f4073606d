"""The simulated survey: repeatable to the bit, true to its relations, believable in range."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from sfnet_core.astro import scaling_relations as relations
from sfnet_core.astro.bpt import AGN, STAR_FORMING, bpt_class_from_fluxes
from sfnet_core.astro.scaling_relations import fmr_oh
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.simulate import light, population, render
from sfnet_core.data.simulate import survey as simulate
from sfnet_core.utils.errors import SFNetError


@pytest.fixture(scope="module")
def galaxies():
    return [simulate.draw_galaxy(7, index) for index in range(400)]


@pytest.fixture(scope="module")
def table(galaxies):
    return {name: np.array([g.row[name] for g in galaxies]) for name in simulate.COLUMNS}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return simulate.simulate(24, seed=7, out=tmp_path_factory.mktemp("sim") / "d", workers=1, progress=False)


def test_any_number_of_galaxies_and_workers_gives_the_same_bytes(dataset, tmp_path, monkeypatch):
    def interrupted(seed, size, index, real=simulate._draw):
        if index == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return real(seed, size, index)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(simulate, "_draw", interrupted)
        simulate.simulate(19, seed=7, out=tmp_path / "p", workers=1, progress=False)
    # two galaxies by one process, the others by two
    parallel = simulate.simulate(19, seed=7, out=tmp_path / "p", workers=2, progress=False, resume=True)
    assert np.array_equal(parallel.cutouts, dataset.cutouts[:19])
    assert parallel.ids.tolist() == dataset.ids[:19].tolist()
    for name in simulate.COLUMNS:
        assert parallel.column(name).tolist() == dataset.column(name)[:19].tolist()
    assert np.array_equal(simulate.draw_cutout(7, 128, 11), dataset.cutouts[11])


def test_another_seed_is_another_survey(dataset):
    other = simulate.draw_galaxy(8, 0).row
    assert other["z"] != dataset.column("z")[0]
    assert not np.array_equal(simulate.draw_cutout(8, 128, 0), dataset.cutouts[0])


def test_the_dataset_says_that_it_is_simulated(dataset):
    opened = Dataset.open(dataset.path)
    assert opened.simulated and opened.meta["seed"] == 7 and "GalSim" in opened.meta["source"]
    assert opened.cutouts.shape == (24, 128, 128, 3) and opened.ids[3] == "sim-7-000003"
    assert opened.pixel_scale == pytest.approx(render.FIELD / 128)
    assert opened.columns == ["id", *simulate.COLUMNS]
    assert opened.units["oh_p50"] == "dex" and opened.units["h_alpha_flux"] == "1e-17 erg/s/cm2"
    assert "simulated" in opened.meta["notes"][0].lower()


def test_columns_are_in_range(table):
    assert np.all((table["ra"] >= 120) & (table["ra"] <= 240) & (table["dec"] >= 0) & (table["dec"] <= 60))
    assert np.all((table["z"] >= population.Z_MIN) & (table["z"] < 0.27))
    assert np.all((table["lgm_tot_p50"] >= 8.5) & (table["lgm_tot_p50"] <= 11.5))
    assert np.all((table["r_mag"] > 14.2) & (table["r_mag"] < 17.77))
    assert np.all((table["r50"] > 1.3) & (table["r50"] < 4.8))
    assert 0.17 < table["oh_p50"].std() < 0.23 and 8.8 < np.median(table["oh_p50"]) < 9.0
    assert np.all((table["oh_p50"] > 7.8) & (table["oh_p50"] < 9.4))
    for line in population.LINES:
        assert np.all(table[f"{line}_flux_err"] > 0)
    for line in ("h_alpha", "h_beta", "nii_6584"):
        assert np.all(table[f"{line}_flux"] > 3 * table[f"{line}_flux_err"])


def test_every_kind_and_both_handednesses_occur(table):
    kinds, counts = np.unique(table["kind"], return_counts=True)
    share = dict(zip(kinds.tolist(), (counts / counts.sum()).tolist(), strict=True))
    assert set(share) == {"spiral", "irregular", "edge_on", "merger", "elliptical"}
    assert share["spiral"] > 0.6 and 0.02 < share["merger"] < 0.09 and 0.03 < share["edge_on"] < 0.12
    left, right = (table["winding"] == 1).sum(), (table["winding"] == -1).sum()
    assert left + right == (table["arms"] > 0).sum() and abs(left - right) < 4 * np.sqrt(left + right)
    assert np.all(table["inclination"][table["kind"] == "edge_on"] >= 80)


def test_oh_scatters_about_mannucci_by_what_was_put_in(table):
    quiet = (table["kind"] != "merger") & (table["sfr_tot_p50"] > -1.4)
    residual = (table["oh_p50"] - fmr_oh(table["lgm_tot_p50"], table["sfr_tot_p50"]))[quiet]
    assert np.std(residual) == pytest.approx(0.08, abs=0.012) and abs(residual.mean()) < 0.03


def test_sfr_scatters_about_the_main_sequence(table):
    offset = table["sfr_tot_p50"] - relations.main_sequence(table["lgm_tot_p50"])
    assert np.percentile(offset, 84) == pytest.approx(0.3, abs=0.1) and np.median(offset) == pytest.approx(0, abs=0.15)


def test_bpt_class_is_that_of_the_fluxes_in_the_same_row(table):
    fluxes = [table[f"{line}_flux"] for line in population.LINES]
    errors = [table[f"{line}_flux_err"] for line in population.LINES]
    assert np.array_equal(bpt_class_from_fluxes(*fluxes, *errors), table["bptclass"])
    assert set(np.unique(table["bptclass"])) <= {1, 2, 3, 4, 5}


def test_nuclei_make_the_agn_and_only_they(table):
    host = table["agn_fraction"] > 0
    agn = table["bptclass"] == AGN
    assert 0.02 < agn.mean() < 0.09
    assert np.all(host[agn]) and np.median(table["lgm_tot_p50"][agn]) > 10.3
    forming = table["bptclass"] == STAR_FORMING
    assert np.mean(host[forming]) < 0.02


def test_halpha_flux_follows_from_sfr_distance_dust_and_fibre():
    physics = population.Physics(0.05, 10.0, 0.2, 8.9, 0.9, "spiral", 0.0, 0.0)
    measured = [population.draw_lines(np.random.default_rng(i), physics, 1.5)["h_alpha_flux"] for i in range(200)]
    # 10^(41.27 + 0.2 − 0.36) erg/s at 222.3 Mpc, half of it in a fibre whose radius is the half-light radius.
    area = 4 * np.pi * (222.3 * 3.0857e24) ** 2
    assert np.mean(measured) == pytest.approx(0.5 * 10**41.11 / area * 1e17, rel=0.01)


def test_fluxes_scatter_by_their_errors():
    physics = population.Physics(0.05, 10.0, 0.0, 8.9, 0.9, "spiral", 0.0, 0.0)
    drawn = [population.draw_lines(np.random.default_rng(i), physics, 2.0) for i in range(600)]
    flux = np.array([d["h_alpha_flux"] for d in drawn])
    error = np.array([d["h_alpha_flux_err"] for d in drawn])
    assert np.std((flux - np.mean(flux)) / error) == pytest.approx(1.0, abs=0.1)


def test_magnitudes_add_up_and_follow_distance(galaxies):
    galaxy = next(g for g in galaxies if g.form.bulge > 0.1)
    parts = [m for name, m in galaxy.magnitudes.items() if name != "total"]
    assert sum(10 ** (-0.4 * m) for m in parts) == pytest.approx(10 ** (-0.4 * galaxy.magnitudes["total"]))


def test_a_map_holds_the_light_of_its_components(galaxies):
    galaxy = next(g for g in galaxies if g.physics.kind == "spiral" and g.form.lane == 0 and g.form.r50 < 2)
    picture = light.galaxy_map(
        np.random.default_rng(0), galaxy.physics, galaxy.form, galaxy.magnitudes, render.FINE_PIXELS, render.FINE_SCALE
    )
    assert picture.min() >= 0 and picture.shape == (3, render.FINE_PIXELS, render.FINE_PIXELS)
    total = 10 ** (-0.4 * (galaxy.magnitudes["total"] - 22.5))
    # Line emission brightens the knots a little in addition.
    assert picture.sum(axis=(1, 2)) == pytest.approx(total, rel=0.12)


def test_template_colours_run_from_red_to_blue_and_redden_with_redshift():
    colours = np.array([light._colours(age, 0.05) for age in (0.0, 1.0, 2.0, 3.0)])
    g_minus_r = colours[:, 0] - colours[:, 1]
    assert np.all(np.diff(g_minus_r) < 0) and g_minus_r[0] == pytest.approx(0.8, abs=0.08)
    early = light._colours(0.0, 0.15)
    assert early[0] - early[1] > g_minus_r[0] + 0.1


def test_template_magnitudes_agree_with_a_plain_integral():
    """AB magnitudes and K corrections by hand: ∫ f_λ(λ/(1 + z))/(1 + z) λ T dλ over that of a flat f_ν."""
    import galsim

    share = Path(galsim.meta_data.share_dir)
    spectrum = np.loadtxt(share / "SEDs" / "CWW_Sbc_ext.sed")

    def magnitude(band, z):
        filter_ = np.loadtxt(share / "bandpasses" / f"LSST_{band}.dat")
        wave = np.arange(filter_[0, 0], filter_[-1, 0], 0.1)
        light_in = np.interp(wave / (1 + z), spectrum[:, 0] / 10, spectrum[:, 1]) / (1 + z)
        through = wave * np.interp(wave, filter_[:, 0], filter_[:, 1])
        return -2.5 * np.log10(np.trapezoid(light_in * through, wave) / np.trapezoid(through / wave**2, wave))

    for z in (0.0, 0.1, 0.2):
        expected = [magnitude(band, z) - magnitude("r", 0.0) for band in light.BANDS]
        assert light._colours(1.0, z) == pytest.approx(expected, abs=0.002)


def test_the_composite_keeps_colour_and_never_overflows():
    frames = np.zeros((3, 2, 2))
    frames[:, 0, 0] = 0.05 / render.WEIGHTS  # grey
    frames[:, 1, 1] = 1e4 / render.WEIGHTS  # saturated grey
    frames[2, 0, 1] = 50.0  # only i: pure red
    rgb = render.asinh_rgb(frames)
    assert rgb.max() <= 255.0 and rgb.min() >= 0.0
    assert np.ptp(rgb[0, 0]) < 1e-9 and np.ptp(rgb[1, 1]) < 1e-9 and rgb[1, 1, 0] == 255.0
    assert rgb[0, 1].tolist() == [255.0, 0.0, 0.0]
    # Close to the asinh law: S → 0 light is linear with slope 255/S.
    faint = np.full((3, 1, 1), 1e-5) / render.WEIGHTS[:, None, None]
    assert render.asinh_rgb(faint)[0, 0, 0] == pytest.approx(255 * 1e-5 / render.STRETCH, rel=1e-3)


def test_pictures_look_like_survey_cutouts(dataset):
    pictures = np.asarray(dataset.cutouts).astype(float)
    corners = np.concatenate([pictures[:, :10].reshape(24, -1), pictures[:, -10:].reshape(24, -1)], axis=1)
    assert np.median(corners) < 8
    middle = pictures[:, 56:72, 56:72].mean(axis=(1, 2, 3))
    assert np.all(middle > 40) and np.all(middle < 235)
    redder = pictures[:, 48:80, 48:80, 0].mean(axis=(1, 2)) / pictures[:, 48:80, 48:80, 2].mean(axis=(1, 2))
    # The reddest galaxies are the metal-richest: the page's story begins here.
    assert np.corrcoef(redder, dataset.column("oh_p50"))[0, 1] > 0.4


def test_size_changes_pixels_not_the_field(tmp_path, dataset):
    small = simulate.simulate(2, seed=7, out=tmp_path / "s", size=64, workers=1, progress=False)
    assert small.cutouts.shape == (2, 64, 64, 3) and small.pixel_scale == pytest.approx(2 * dataset.pixel_scale)
    shrunk = np.asarray(dataset.cutouts[:2]).astype(float).reshape(2, 64, 2, 64, 2, 3).mean(axis=(2, 4))
    assert np.corrcoef(shrunk.ravel(), np.asarray(small.cutouts).astype(float).ravel())[0, 1] > 0.99


def test_mistakes_are_said_in_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(SFNetError, match="n=0"):
        simulate.simulate(0, out=tmp_path / "x")
    with pytest.raises(SFNetError, match="worker"):
        simulate.simulate(1, out=tmp_path / "x", workers=0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SFNetError, match=r"pip install \"sfnet-core\[simulate\]\""):
        simulate.simulate(1, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()
