"""Faithfulness as a whole: what is there is measured, what is not says why; the page fetches nothing."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.linear_model import LinearRegression

import sfnet_core.reports.faithful.runner as measure
import sfnet_core.reports.faithful.sparse_probing as faithful_probe
from sfnet_core.analysis.interpret import activations
from sfnet_core.astro.photometry import photometry
from sfnet_core.cli.verbs import run as shell
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset, sample_folder
from sfnet_core.reports.faithful.inputs import PHOTOMETRY, Inputs
from sfnet_core.reports.faithful.page import write
from sfnet_core.reports.faithful.runner import faithful
from sfnet_core.reports.faithful.wording import sentences
from sfnet_core.utils.errors import SFNetError

SAMPLE = sample_folder()


@pytest.fixture(scope="module")
def fewer():
    with pytest.MonkeyPatch.context() as patch:
        for name, n in (("RESAMPLES", 200), ("SHUFFLES", 200), ("REFITS", 1)):
            patch.setattr(faithful_probe, name, n)
        patch.setattr(measure, "resamples_for", lambda n: 200)
        yield


@pytest.fixture(scope="module")
def result(fewer, tmp_path_factory) -> dict:
    """The embedded sample, everything."""
    return faithful(
        sample_codes(), dataset=sample_dataset(), run=SAMPLE / "sample-run", classes=["winding"], mirrored=("-1", "1"),
        galaxies=2, draws=2, fills=["sky"], work=tmp_path_factory.mktemp("work"), progress=False,
    )  # fmt: skip


def test_partial_correlations_are_those_of_residuals(result):
    """By scikit-learn's regression and scipy's correlation, at fixed colour and size, and mass, SFR and redshift."""
    codes, dataset = sample_codes(), sample_dataset()
    rows = np.flatnonzero(codes.in_split("validation"))
    truth = codes.truth()[rows]
    places = [dataset.index_of(name) for name in codes.ids[rows]]
    measured = photometry(dataset.cutouts, np.array(places))
    size = PHOTOMETRY.index("half-light radius")
    controls = {
        "plain": np.empty((len(rows), 0)),
        "colour": measured[:, :2],
        "colour and size": measured[:, [0, 1, size]],
        "mass, SFR, z": np.stack([codes.column(n)[rows] for n in ("lgm_tot_p50", "sfr_tot_p50", "z")], axis=1),
    }
    assert len(result["partial"]["features"]) > 10 and result["partial"]["notes"] == []
    for one in result["partial"]["features"]:
        a = activations(codes, one["feature"])[rows].astype(float)
        for name, columns in controls.items():
            left = [
                v - LinearRegression().fit(columns, v).predict(columns) if columns.shape[1] else v for v in (a, truth)
            ]
            assert one[name]["value"] == pytest.approx(pearsonr(*left).statistic, abs=1e-8), name
            assert one[name]["low"] < one[name]["high"] and one[name]["n"] == len(rows)
    assert abs(measured[:, size]).max() < 1.5 and PHOTOMETRY[0] == "R/G all"  # a radius, a colour


def test_columns_are_the_activations_behind_the_gate(result):
    codes = sample_codes()
    rows = np.flatnonzero(codes.in_split("validation"))
    inputs = Inputs(codes, rows, 0, None, 0, print)
    columns, features = inputs.columns(np.array([5, 0, 9]))
    assert (columns > 0).any(axis=0).all()
    for j, feature in enumerate(features):
        np.testing.assert_array_equal(columns[:, j], activations(codes, int(feature))[rows[[5, 0, 9]]])
    kept = codes.indices[rows[[5, 0, 9]], : codes.k]
    assert set(features) == set(kept[kept >= 0])


def test_every_section_is_made_and_handedness_is_at_chance_where_the_control_sees_it(result):
    assert not any("missing" in result[name] for name in ("ablation", "regions", "probing", "partial"))
    regions = result["regions"]["sky"]
    assert regions["n"] == 2 and regions["cells"] == [3, 3]
    assert regions["largest_gap_to_the_codes"] < 1e-4  # the same network, crop and pixels as the codes'
    handed = result["probing"]["handedness"]
    code = [one for one in handed["probes"] if one["from"] == "code"]
    control = [one for one in handed["probes"] if one["from"] == "winding" and one["all"]]
    assert sum(handed["counts"]) == 140 and all(one["chance"] > 0.0125 for one in code)
    assert control[0]["auc"]["low"] > 0.7
    assert [one["class"] for one in result["probing"]["classes"]] == ["-1 or 1"]  # 0 is its other side
    said = " ".join(words for _, words in sentences(result))
    assert "at chance" in said and "NOT at chance" not in said and "Spearman" in said
    json.dumps(result, allow_nan=False)


def test_the_page_holds_everything_and_fetches_nothing(result, tmp_path):
    page, numbers, *tables = write(result, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    addresses = re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', text)
    assert set(addresses) == {table.name for table in tables}  # links to the files beside it
    assert "default-src 'none'" in text and "simulated galaxies" in text
    for _, words in sentences(result):
        assert words.split("’")[0][:40].replace("'", "&#x27;").split("&")[0] in text
    assert json.loads(numbers.read_text(encoding="utf-8")) == json.loads(json.dumps(result))
    names = {path.name for path in tables}
    assert names == {"ablation.csv", "areas.csv", "advantages.csv", "curves.csv", "probing.csv", "partial.csv"}
    with open(tmp_path / "ablation.csv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [float(row["delta"]) for row in rows] == [one["delta"] for one in result["ablation"]["features"]]


def bare(**more) -> SparseCodes:
    """Codes of 30 galaxies without truth, images or classes."""
    rng = np.random.default_rng(0)
    indices = np.argsort(rng.random((30, 9)), axis=1)[:, :4]
    values = np.sort(rng.random((30, 4)), axis=1)[:, ::-1]
    return SparseCodes.from_arrays(
        ids=[f"<b>{i}" for i in range(30)], indices=indices, values=values, k=2, features=9, weight=rng.random((1, 9)),
        bias=[1.0], targets=["<i>oh"], **more,
    )  # fmt: skip


def test_what_is_missing_is_said_and_texts_stay_texts(tmp_path, fewer):
    columns = {"kind": np.array(["<u>a"] * 5 + ["b"] * 25), "number": np.linspace(0, 1, 30)}
    found = faithful(bare(columns=columns), classes=["kind"], progress=False)
    assert "0 of these galaxies have a true" in found["ablation"]["missing"]
    assert "--run" in found["regions"]["missing"] and "true <i>oh" in found["partial"]["missing"]
    assert found["probing"]["too_small"] == {"<u>a": 5} and found["probing"]["classes"] == []
    text = write(found, tmp_path)[0].read_text(encoding="utf-8")
    assert "<i>" not in text and "<u>" not in text and "&lt;u&gt;a (5)" in text
    assert "--classes" in faithful(bare(), progress=False)["probing"]["missing"]
    with pytest.raises(SFNetError, match="holds numbers, not classes"):
        faithful(bare(columns=columns), classes=["number"])
    with pytest.raises(SFNetError, match="both values of --mirrored b,c"):
        faithful(bare(columns=columns), classes=["kind"], mirrored=("b", "c"))
    with pytest.raises(SFNetError, match="no validation galaxies"):
        faithful(bare(split=["train"] * 30))
    with pytest.raises(SFNetError, match="in the split 'test'"):
        faithful(bare(), split="test")


def test_the_verb(tmp_path, capsys, monkeypatch):
    codes = bare(truth=np.random.default_rng(1).normal(2, 0.3, 30))
    codes.save(tmp_path / "codes.parquet")
    assert shell(["faithful", str(tmp_path / "codes.parquet"), "--out", str(tmp_path / "out"), "--json", "-q"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert Path(said["page"]).name == "faithful.html" and any("Left out alone" in words for words in said["found"])
    assert any(note.startswith("regions: Not made") for note in said["notes"])
    for options, words in (
        (["--cover", "black"], "--cover is sky"),
        (["--mirrored", "a"], "names two classes"),
        (["--mirrored", "a,b"], "--classes"),
        (["--classes", "nothing"], "no column 'nothing'"),
        (["--target", "mass"], "no target 'mass'"),
    ):
        assert shell(["faithful", str(tmp_path / "codes.parquet"), "--out", str(tmp_path / "out"), *options]) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "file").write_text("x")
    assert shell(["faithful", str(tmp_path / "codes.parquet"), "--out", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err


def test_sentences_say_better_worse_or_not_told_apart():
    """By the interval of the paired difference alone."""
    from sfnet_core.reports.faithful.wording import ORDERS, _partial, _regions

    one = {name: {"value": 0.1, "low": 0.0, "high": 0.2} for name in ORDERS}
    area = {"deletion": one, "insertion": one}
    ends = {"occlusion": (-0.2, -0.1), "light": (-0.1, 0.1), "centre": (0.01, 0.1), "random": (0.2, 0.3)}
    gain = {"map": {name: {"value": 0.0, "low": low, "high": high} for name, (low, high) in ends.items()}}
    gain["map less sky"] = {"map": {"value": 0.1, "low": 0.05, "high": 0.2}}
    found = {"areas": area, "advantage": {"deletion": gain, "insertion": gain}, "n": 9, "cells": [3, 3]}
    said = _regions("sky", found, "dex")[0]
    assert "is worse than occlusion; not told apart from light; better than centre first; better than random" in said
    assert "Minus the empty sky's, as the pages draw it, it is better than contribution map." in said
    features = [
        {"plain": {"value": 0.5, "low": 0.1, "high": 0.8}, "colour": {"value": -0.5, "low": -0.8, "high": -0.1}},
        {"plain": {"value": 0.5, "low": 0.1, "high": 0.8}, "colour": {"value": 0.5, "low": 0.1, "high": 0.8}},
        {"plain": {"value": 0.1, "low": -0.1, "high": 0.3}, "colour": {"value": None, "low": None, "high": None}},
    ]
    (words,) = _partial({"features": features, "controls": ["colour"]}, "oh")
    assert words.startswith("2 of 3 activations correlate with oh") and "at fixed colour 2 do, 1 with the sign" in words
