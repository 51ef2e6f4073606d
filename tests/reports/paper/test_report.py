"""The report: its numbers are numpy's, its sentences say what is missing, nothing in it leaves the file."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from sfnet_core.astro.bpt import log_ratio
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset, sample_folder
from sfnet_core.figures import html_frame as frame
from sfnet_core.reports.paper.bpt import confusion
from sfnet_core.reports.paper.document import write_report
from sfnet_core.utils.errors import SFNetError


def read(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report")
    made = write_report(sample_codes(), out, sample_dataset(), run=sample_folder() / "sample-run")
    assert made.missing == {}
    return out


@pytest.fixture(scope="module")
def dense() -> tuple[SparseCodes, np.ndarray, np.ndarray]:
    """The sample, its activations after the gate (N, F), and which galaxies are validation."""
    codes = sample_codes()
    out = np.zeros((len(codes), codes.features + 1))
    for slot in range(codes.k):
        out[np.arange(len(codes)), codes.indices[:, slot]] = codes.values[:, slot]
    return codes, out[:, :-1], codes.split == "validation"


def test_features_and_their_correlations(written, dense):
    codes, a, view = dense
    a, y = a[view], codes.truth()[view]
    rows = read(written / "features.csv")
    assert sorted(int(r["feature"]) for r in rows) == np.flatnonzero((a > 0).any(axis=0)).tolist()
    for row in rows:
        f = int(row["feature"])
        assert int(row["n_j"]) == (a[:, f] > 0).sum()
        assert float(row["rho"]) == pytest.approx(np.corrcoef(a[:, f], y)[0, 1], abs=1e-9)
        assert float(row["weight [dex] per activation"]) == codes.weight[0, f]
    for row in read(written / "activation-against-target.csv"):
        fires = a[:, int(row["feature"])] > 0
        rho = np.corrcoef(a[fires, int(row["feature"])], y[fires])[0, 1]
        assert float(row["rho where it fires"]) == pytest.approx(rho, abs=1e-9)
    table = read(written / "feature-correlations.csv")
    names = [row["feature"] for row in table]
    found = np.array([[float(row[name]) for name in names] for row in table])
    assert found == pytest.approx(np.corrcoef(a[:, [int(n[1:]) for n in names]].T), abs=1e-9)
    shares = {int(r["feature"]): float(r["share"]) for r in read(written / "variance.csv")}
    assert shares == pytest.approx({f: a[:, f].var() / a.var(axis=0).sum() for f in shares}, abs=1e-12)


def test_errors_are_global(written, dense):
    codes, a, view = dense
    y = codes.truth()[view]

    def error(values):
        return np.sqrt(np.mean((values - y) ** 2))

    rows = read(written / "predicted-against-true.csv")
    common = (a[view] > 0).sum(axis=0) > min(100, view.sum() // 100)
    four = np.argsort(-np.abs(a[view] * codes.weight[0]).mean(axis=0), kind="stable")[:4]
    expected = [error(codes.bias[0] + a[view][:, on] @ codes.weight[0][on]) for on in (slice(None), common, four)]
    assert [float(r["RMSE [dex]"]) for r in rows] == pytest.approx(expected, abs=1e-9)
    by_k = {int(r["k"]): float(r["RMSE [dex]"]) for r in read(written / "rmse-against-k.csv")}
    assert list(by_k) == list(range(1, codes.indices.shape[1] + 1))
    assert by_k[2] == pytest.approx(error(codes.at_k(2).prediction()[view]), abs=1e-12)


def test_line_ratios_are_fitted_on_train_and_scored_on_validation(written, dense):
    codes, a, view = dense
    train = codes.split == "train"
    four = np.argsort(-np.abs(a[train] * codes.weight[0]).mean(axis=0), kind="stable")[:4]
    y = log_ratio(codes.column("nii_6584_flux"), codes.column("h_alpha_flux"))
    x = np.c_[np.ones(len(y)), a[:, four]]
    fitted, held = train & np.isfinite(y), view & np.isfinite(y)
    answer = x[held] @ np.linalg.lstsq(x[fitted], y[fitted], rcond=None)[0]
    score = 1 - np.sum((y[held] - answer) ** 2) / np.sum((y[held] - y[held].mean()) ** 2)
    row = read(written / "line-ratios.csv")[0]
    assert float(row["R2"]) == pytest.approx(score, abs=1e-9) and int(row["n validation"]) == held.sum()


def test_the_confusion_matrix_is_the_right_way_round(written, dense):
    truth, answer = np.array([0] * 5 + [1] * 3), np.array([0, 0, 0, 1, 1, 0, 1, 1])
    assert confusion(truth, answer).tolist() == [[3, 2], [1, 2]]  # rows: the truth
    codes, _, view = dense
    kind = codes.column("bptclass")[view]
    forming, agn = np.isin(kind, (1, 2)).sum(), np.isin(kind, (4, 5)).sum()
    for row in read(written / "agn-classifiers.csv"):
        cells = [[int(row[f"true {t}, predicted {p}"]) for p in ("SF", "AGN")] for t in ("SF", "AGN")]
        assert [sum(cells[0]), sum(cells[1])] == [forming, agn] and forming != agn
        assert float(row["accuracy"]) == pytest.approx((cells[0][0] + cells[1][1]) / (forming + agn))


def bare(**more) -> SparseCodes:
    rng = np.random.default_rng(3)
    values = np.sort(rng.uniform(0.1, 1, (30, 3)).astype(np.float32))[:, ::-1]
    made = {
        "ids": [f"g{i}" for i in range(30)], "indices": np.tile([2, 0, 1], (30, 1)), "values": values, "k": 2,
        "features": 4, "weight": rng.normal(size=(1, 4)), "bias": np.array([8.7]), "targets": ["oh_p50"],
        "truth": rng.normal(8.7, 0.1, 30), "split": ["validation"] * 30,
    }  # fmt: skip
    return SparseCodes.from_arrays(**(made | more))


def test_what_cannot_be_made_is_said(tmp_path):
    made = write_report(bare(), tmp_path)
    said = " ".join(words for some in made.missing.values() for words in some)
    for words in ("--run", "--dataset", "nii_6584_flux", "Pack the dataset"):
        assert words in said
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('class="missing"') == sum(map(len, made.missing.values())) >= 5
    (tmp_path / "file").write_text("mine")
    with pytest.raises(SFNetError, match="is a file"):
        write_report(bare(), tmp_path / "file")
    with pytest.raises(SFNetError, match="no split"):
        write_report(bare(), tmp_path, split="test")
    assert (tmp_path / "file").read_text() == "mine"


def test_hostile_names_stay_text_and_nothing_goes_out(tmp_path, written):
    evil = '</style><script>alert(1)</script><img src=x onerror="a"> \u202e,"=1'
    codes = bare(columns={evil: np.arange(30.0)}, targets=[evil], units={evil: "<b>dex</b>"})
    write_report(codes, tmp_path)
    assert evil in read(tmp_path / "pearson-columns.csv")[0]
    for folder in (tmp_path, written):
        page = (folder / "report.html").read_text(encoding="utf-8")
        assert not re.search(r"<(script|iframe|object|img src=x|b>)", page, re.IGNORECASE)
        assert page.count("<style>") == page.count("</style>") == 1 and "\u202e" not in page
        addresses = set(re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', page))
        assert addresses <= {file.name for file in folder.glob("*.csv")}  # links to the files beside it
        assert "url(" not in page and "@import" not in page
        assert "default-src 'none'" in page


def test_the_verb(sfnet, tmp_path):
    bare().save(tmp_path / "c.parquet")
    status, out, err = sfnet("report", tmp_path / "c.parquet", "--out", tmp_path / "r")
    assert status == 0 and "report.html" in out and "--dataset" in err
    assert (tmp_path / "r" / "report.html").is_file() and not list((tmp_path / "r").glob(".*"))


def test_a_table_is_safe_in_a_spreadsheet_and_long_ones_wait_to_be_opened():
    table = frame.Table("t.csv", ["name", "=HYPERLINK(1)"], [["@x", -0.5]] * (frame.FOLDED + 1))
    lines = frame.as_csv(table).splitlines()
    assert lines[0] == "name,'=HYPERLINK(1)" and lines[1] == "'@x,-0.5"
    text = frame.page("t", [], [], [frame.Part("a", "a", tables=[table])])
    assert text.count("<details>") == text.count("</details>") == 1
    table.rows.pop()
    assert "<details>" not in frame.page("t", [], [], [frame.Part("a", "a", tables=[table])])


def test_no_character_of_ours_is_lost(written):
    assert "\N{REPLACEMENT CHARACTER}" not in (written / "report.html").read_text(encoding="utf-8")
