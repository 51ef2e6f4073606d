"""The four emission lines: which measurements count, units, columns of known catalogues, BPT classes, the shell."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfnet_core.analysis.emission_line_metrics import CLASSES, confusion, score_lines
from sfnet_core.analysis.evaluation import evaluate, report
from sfnet_core.astro import emission_lines as lines
from sfnet_core.astro.emission_lines import LINES, REASONS, counted, find_column, log_flux, to_flux_unit, why_not
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.targets import read_targets, target_names
from sfnet_core.utils.errors import SFNetError

NAN, INF = np.nan, np.inf
COLUMNS = tuple(LINES.values())
odd = st.floats(width=32) | st.sampled_from([0.0, -1.0, 1e5, 3.0, NAN, INF, -INF, -9999.0])


# ---- what counts as measured


def plainly(flux: float, error: float | None) -> str:
    """The paper's cuts in words, one galaxy at a time."""
    if not np.isfinite(flux):
        return "not known"
    if flux <= 0:
        return "not above 0"
    if flux >= 1e5:
        return "1e5 or more"
    if error is None:
        return ""
    if not np.isfinite(error) or error <= 0:
        return "without a positive error"
    return "" if flux > 3 * error else "S/N not above 3"


@given(st.lists(st.tuples(odd, odd), max_size=30), st.booleans())
def test_cuts_are_the_papers(pairs, with_errors):
    flux, error = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    wanted = [plainly(f, e if with_errors else None) for f, e in pairs]
    error = error if with_errors else None
    assert [REASONS[place] for place in why_not(flux, error)] == wanted
    logs = log_flux(flux, error)
    assert np.isfinite(logs).tolist() == [why == "" for why in wanted]
    good = np.isfinite(logs)
    np.testing.assert_allclose(logs[good], [np.log10(f) for f, why in zip(flux, wanted, strict=True) if not why])


def test_a_signal_to_noise_of_exactly_3_and_a_flux_of_exactly_1e5_are_out():
    assert [REASONS[i] for i in why_not([3.0, 3.0001, 1e5, 99999.9], [1.0, 1.0, 1.0, 1.0])] == [
        "S/N not above 3", "", "1e5 or more", "",
    ]  # fmt: skip


@given(st.floats(1e-3, 9e4), st.integers(-20, 3))
def test_logarithm_and_units_go_round(flux, exponent):
    """A flux written in any power of ten of erg/s/cm² comes back from the target's value."""
    written = flux * 10.0 ** (-17 - exponent)
    scale = to_flux_unit(f"1e{exponent:d} erg/s/cm2")
    assert written * scale == pytest.approx(flux, rel=1e-9)
    back = lines.flux_of(log_flux(np.array([written * scale])))[0]
    assert back == pytest.approx(flux, rel=1e-9)


@pytest.mark.parametrize(
    ("unit", "power"),
    [
        ("", -17), ("1e-17 erg/s/cm2", -17), ("1E-17 erg/s/cm^2", -17), ("10^-17 erg s^-1 cm^-2", -17),
        ("10**(-17) erg cm**-2 s**-1", -17), ("10⁻¹⁷ erg s⁻¹ cm⁻²", -17), ("1e-17 erg / (s cm2)", -17),
        ("1e-17 erg / (cm2 s)", -17), ("10-17 ergs/s/cm2", -17), ("1.0e-15 erg.s-1.cm-2", -15),
        ("1 × 10⁻¹⁶ erg s−1 cm−2", -16), ("erg/s/cm2", 0), ("10<sup>-17</sup> ergs/cm<sup>2</sup>/s", -17),
    ],
)  # fmt: skip
def test_units_as_catalogues_write_them(unit, power):
    assert to_flux_unit(unit) == pytest.approx(10.0 ** (power + 17), rel=1e-12)


@pytest.mark.parametrize(
    "unit", ["Jy", "1e-17 erg/s/cm2/A", "W/m2", "dex", "1e-17", "mag", "1e-999 erg/s/cm2", "5e-17 erg/s/cm2"]
)
def test_other_units_are_refused_with_what_to_do(unit):
    with pytest.raises(SFNetError, match="give them in 1e-17 erg/s/cm2"):
        to_flux_unit(unit)


# ---- counting what is left out


@given(st.lists(st.lists(st.integers(0, len(REASONS) - 1), min_size=4, max_size=4), min_size=1, max_size=40))
def test_each_galaxy_is_counted_once_for_its_first_reason(table):
    table = np.array(table, dtype=np.int8)
    found = counted({name: table[:, i] for i, name in enumerate(LINES)})
    wanted: dict[str, int] = {}
    for row in table.tolist():
        for name, place in zip(LINES, row, strict=True):
            if place:
                wanted[f"{name} {REASONS[place]}"] = wanted.get(f"{name} {REASONS[place]}", 0) + 1
                break
    assert found == wanted and sum(found.values()) == (table > 0).any(axis=1).sum()


def bad_rows(path, n: int = 40, **more) -> Dataset:
    """Galaxies with four lines; the first six have a bad measurement."""
    rng = np.random.default_rng(3)
    table = {name: rng.uniform(50, 500, n) for name in COLUMNS} | {f"{name}_err": np.full(n, 2.0) for name in COLUMNS}
    table["nii_6584_flux"][0] = -4.0
    table["h_alpha_flux"][1] = 0.0
    table["oiii_5007_flux_err"][2] = NAN
    table["h_beta_flux"][3] = 2e5
    table["h_beta_flux"][4] = 5.0
    table["oiii_5007_flux"][5], table["h_beta_flux"][5] = NAN, NAN
    cutouts = rng.integers(0, 255, (n, 40, 40, 3)).astype(np.uint8)
    return Dataset.create(path, [f"g{i:03d}" for i in range(n)], cutouts, table, **more)


WHY = {
    "log_N2 not above 0": 1, "log_Ha not above 0": 1, "log_O3 without a positive error": 1, "log_O3 not known": 1,
    "log_Hb 1e5 or more": 1, "log_Hb S/N not above 3": 1,
}  # fmt: skip


def test_bad_rows_are_set_aside_and_counted(tmp_path):
    dataset = bad_rows(tmp_path / "data")
    names = target_names("lines")
    targets = read_targets(dataset, names)
    truth = targets.values
    assert np.flatnonzero(~np.isfinite(truth).all(axis=1)).tolist() == [0, 1, 2, 3, 4, 5]
    assert targets.units == ["dex"] * 4 and targets.reasons == WHY and not targets.remarks
    for i, name in enumerate(COLUMNS):
        np.testing.assert_allclose(truth[6:, i], np.log10(dataset.column(name)[6:]))
    assert targets.lacking_lines[0].startswith("6 of 40 galaxies lack a measurement of a line: log_N2 not above 0 (1)")


def test_units_of_the_table_are_heeded(tmp_path):
    units = dict.fromkeys(COLUMNS, "1e-15 erg/s/cm2")
    plain = bad_rows(tmp_path / "plain")
    other = bad_rows(tmp_path / "other", units=units)
    rows = slice(10, None)
    difference = (read_targets(other, "log_Ha").values - read_targets(plain, "log_Ha").values)[rows]
    np.testing.assert_allclose(difference, 2.0)
    wrong = bad_rows(tmp_path / "wrong", units={"h_alpha_flux": "Jy"})
    with pytest.raises(SFNetError, match="'Jy' are not understood"):
        read_targets(wrong, "log_Ha")
    left = read_targets(wrong, "log_Ha,log_N2", absent=True)
    assert left.names == ["log_N2"] and any("'Jy'" in remark for remark in left.remarks)


# ---- catalogues' names

NAMES = {
    "MPA-JHU": ("NII_6584_FLUX", "H_ALPHA_FLUX", "OIII_5007_FLUX", "H_BETA_FLUX", "_ERR"),
    "galSpecLine": (*COLUMNS, "_err"),
    "emissionLinesPort": ("Flux_NII_6583", "Flux_Ha_6562", "Flux_OIII_5006", "Flux_Hb_4861", "_Err"),
}


@pytest.mark.parametrize("catalogue", NAMES)
def test_columns_of_known_catalogues_become_the_names_used_here(tmp_path, catalogue):
    from PIL import Image

    from sfnet_core.data.packing import pack

    *names, tail = NAMES[catalogue]
    (tmp_path / "images").mkdir()
    with open(tmp_path / "table.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["objID", *names, *(name + tail for name in names), "h_alpha_eqw"])
        for i in range(3):
            writer.writerow([f"g{i}", *(100 + 10 * i + j for j in range(4)), 1, 1, 1, 1, -3])
            Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "images" / f"g{i}.png")
    dataset = pack(tmp_path / "table.csv", tmp_path / "images", tmp_path / "data", progress=False)
    for j, (target, column) in enumerate(LINES.items()):
        assert dataset.column(column).tolist() == [100 + j, 110 + j, 120 + j]
        assert dataset.column(f"{column}_err").tolist() == [1, 1, 1]
        np.testing.assert_allclose(read_targets(dataset, target).values[:, 0], np.log10([100 + j, 110 + j, 120 + j]))
    said = " ".join(dataset.meta["notes"])
    assert ("recognised as line fluxes" in said) == (catalogue != "galSpecLine")
    assert catalogue == "galSpecLine" or dataset.meta["renamed"]["h_alpha_flux"] == names[1]


def test_the_exact_name_wins_and_nothing_is_overwritten():
    names = ["H_ALPHA_FLUX", "h_alpha_flux", "Flux_Ha_6562"]
    assert find_column("log_Ha", names) == "h_alpha_flux" and lines.renamed(names) == {}
    assert find_column("log_Ha", names[::2]) == "H_ALPHA_FLUX" and find_column("log_N2", names) is None


def test_a_missing_column_is_named_with_what_to_do(tmp_path, sfnet):
    cutouts = np.zeros((12, 40, 40, 3), np.uint8)
    table = {"nii_6584_flux": np.ones(12), "ha": np.ones(12)}
    Dataset.create(tmp_path / "data", [f"g{i}" for i in range(12)], cutouts, table)
    status, _, stderr = sfnet("train", tmp_path / "data", "--out", tmp_path / "run", "--target", "lines")
    assert status == 2 and "Traceback" not in stderr
    assert "Hα" in stderr and "h_alpha_flux" in stderr and "flux_ha_6562" in stderr and "nii_6584_flux, ha" in stderr


# ---- how good


def codes_of(truth: np.ndarray, prediction: np.ndarray, split: np.ndarray | None = None) -> SparseCodes:
    """Codes whose (N, 4) predictions of the lines are what is wanted: one feature a line, bias 0."""
    n = len(truth)
    order = np.argsort(-prediction, axis=1, kind="stable")
    return SparseCodes.from_arrays(
        ids=[f"g{i}" for i in range(n)], indices=order, values=np.take_along_axis(prediction, order, 1), k=4,
        features=4, weight=np.eye(4), bias=np.zeros(4), targets=list(LINES), units=["dex"] * 4, truth=truth,
        split=np.full(n, "validation") if split is None else split,
    )  # fmt: skip


def made_up_lines(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ha = rng.uniform(1.5, 3.0, n)
    n2, hb, o3 = rng.uniform(-1.2, 0.4, n), ha - 0.55, rng.uniform(-0.8, 1.1, n)
    truth = np.stack([ha + n2, ha, hb + o3, hb], axis=1)
    return truth, np.maximum(truth + rng.normal(0, 0.2, truth.shape), 0.01)


def test_scores_against_plain_numpy():
    truth, found = made_up_lines()
    truth[::7, 2] = NAN
    truth[3::11, 0] = NAN
    split = np.array(["train", "validation", "validation"] * 100)
    codes = codes_of(truth, found, split)
    found = np.stack([codes.prediction(t) for t in LINES], axis=1)  # float32 activations
    answer = evaluate(codes, intervals=60)
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer and set(answer["lines"]) == {"train", "validation"}
    for name, got in answer["lines"].items():
        rows = (split == name) & np.isfinite(truth).all(axis=1)
        t, p = truth[rows], found[rows]
        assert got["n"] == rows.sum() and got["n"] + got["n_left_out"] == (split == name).sum()
        assert got["all"]["rmse"] == pytest.approx(np.sqrt(((p - t) ** 2).mean()))
        assert got["all"]["interval"][0] < got["all"]["rmse"] < got["all"]["interval"][1]
        for i, line in enumerate(LINES):
            assert got["lines"][line]["rmse"] == pytest.approx(np.sqrt(((p - t)[:, i] ** 2).mean()))
        for ratio, (i, j) in {"n2_ha": (0, 1), "o3_hb": (2, 3)}.items():
            error = (p[:, i] - p[:, j]) - (t[:, i] - t[:, j])
            assert got["ratios"][ratio]["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
            low, high = got["ratios"][ratio]["intervals"]["rmse"]
            assert low < got["ratios"][ratio]["rmse"] < high


def plain_class(x: float, y: float) -> int:
    """Kewley et al. (2001), then Kauffmann et al. (2003), one galaxy at a time."""
    if x >= 0.47 or y >= 0.61 / (x - 0.47) + 1.19:
        return 2
    return 0 if x < 0.05 and y < 0.61 / (x - 0.05) + 1.3 else 1


def test_the_confusion_matrix_is_the_right_way_round():
    truth, found = made_up_lines(400, seed=5)
    found[:, 0] += 0.4  # too much [NII]: star-forming galaxies are taken for active ones, not the other way
    codes = codes_of(truth, found)
    found = np.stack([codes.prediction(t) for t in LINES], axis=1)
    wanted = np.zeros((3, 3), dtype=int)
    for t, p in zip(truth, found, strict=True):
        wanted[plain_class(t[0] - t[1], t[2] - t[3]), plain_class(p[0] - p[1], p[2] - p[3])] += 1
    got = score_lines(codes, np.ones(400, dtype=bool), intervals=0)["bpt"]
    assert got["confusion"] == wanted.tolist() and got["classes"] == ["star-forming", "composite", "AGN"]
    assert np.triu(wanted, 1).sum() > 3 * np.tril(wanted, -1).sum(), "rows must be the measured classes"
    assert got["right"] == np.trace(wanted) / 400 and got["low"] < got["right"] < got["high"]
    assert got["recall"] == [wanted[i, i] / wanted[i].sum() for i in range(3)]
    assert got["most_frequent"] == wanted.sum(axis=1).max() / 400
    assert confusion(np.array([CLASSES[0]]), np.array([CLASSES[2]])).tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_perfect_predictions_score_perfectly_and_none_at_all_is_no_crash():
    truth, _ = made_up_lines(50)
    truth = np.asarray(truth, np.float32).astype(float)
    got = score_lines(codes_of(truth, truth), np.ones(50, dtype=bool), intervals=0)
    assert got["bpt"]["right"] == 1.0 and got["all"]["rmse"] == pytest.approx(0, abs=1e-6)
    blank = codes_of(np.full((50, 4), NAN), truth)
    answer = evaluate(blank, intervals=20)
    empty = answer["lines"]["validation"]
    assert (empty["n"], empty["n_left_out"], empty["bpt"]["right"], empty["all"]["rmse"]) == (0, 50, None, None)
    assert "0 galaxies with all four measured (50 without)" in report(answer)


def test_the_report_names_split_n_and_both_ways_of_the_matrix():
    truth, found = made_up_lines(200)
    words = report(evaluate(codes_of(truth, found), intervals=20))
    assert "The four lines, validation: 200 galaxies with all four measured (0 without)" in words
    assert "measured ↓ predicted →" in words and "always the most frequent class" in words


def test_other_targets_have_no_section_of_lines():
    codes = SparseCodes.from_arrays(
        ids=["a", "b"], indices=[[0], [0]], values=[[1.0], [2.0]], k=1, features=1, weight=[[1.0]], bias=[0.0],
        targets=["log_Ha"], truth=np.array([1.0, 2.0]),
    )  # fmt: skip
    assert "lines" not in evaluate(codes, intervals=0)
