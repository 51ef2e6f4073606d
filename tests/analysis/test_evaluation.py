"""Evaluation by split against plain formulas."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from sfnet_core.analysis.evaluation import active_features, evaluate, report
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SetAside, SFNetError

simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]


@pytest.fixture
def codes() -> SparseCodes:
    base = simulated_codes(400, seed=9)
    truth = base.truth().copy()
    truth[::10] = np.nan
    return SparseCodes.from_arrays(
        ids=base.ids, indices=base.indices, values=base.values, k=4, features=512, bias=[base.bias[0], 0.0],
        weight=np.vstack([base.weight, np.zeros((1, 512))]), targets=["oh_p50", "unknown"], units=["dex", ""],
        truth={"oh_p50": truth}, prediction_d4=np.stack([base.prediction() + 0.02, np.zeros(400)], axis=1),
        split=np.array(["train", "validation", "validation", ""] * 100), simulated=True,
        provenance={"notes": ["The pixel scale is unknown."]}, set_aside=[SetAside("corrupt image", row=3)],
    )  # fmt: skip


def test_numbers_by_split(codes):
    found = evaluate(codes, intervals=50)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["targets"]["oh_p50"]["splits"]) == ["validation", "train", "no split"]
    for split, name in (("train", "train"), ("validation", "validation"), ("", "no split")):
        rows = (codes.split == split) & np.isfinite(codes.truth())
        m = found["targets"]["oh_p50"]["splits"][name]
        residual = codes.prediction()[rows] - codes.truth()[rows]
        assert m["n"] == rows.sum() and m["n"] + m["n_left_out"] == (codes.split == split).sum()
        assert m["rmse"] == pytest.approx(np.sqrt(np.mean(residual**2)))
        assert m["bias"] == pytest.approx(residual.mean()) and m["d4"]["bias"] == pytest.approx(residual.mean() + 0.02)
        assert m["intervals"]["rmse"][0] < m["rmse"] < m["intervals"]["rmse"][1]
    blank = found["targets"]["unknown"]["splits"]["train"]
    assert blank["n"] == 0 and blank["rmse"] is None and found["targets"]["unknown"]["unit"] == ""
    assert (found["set_aside"], found["simulated"], found["k"]) == (1, True, 4)
    assert "intervals" not in evaluate(codes, intervals=0)["targets"]["oh_p50"]["splits"]["train"]


def test_active_features_by_counting(codes):
    for rows in (np.arange(400), np.flatnonzero(codes.split == "train"), np.array([0])):
        share = [np.mean([j in codes.indices[i, :4] for i in rows]) for j in range(512)]
        plain = {
            "any": sum(s > 0 for s in share),
            "1_percent": sum(s >= 0.01 for s in share),
            "10_percent": sum(s >= 0.1 for s in share),
        }
        assert active_features(codes, rows) == plain


def test_report_for_people(codes):
    text = report(evaluate(codes, intervals=20))
    for words in (
        "simulated galaxies",
        "oh_p50 [dex]",
        "validation",
        "mean of 8 views",
        "≥ 10 %",
        "pixel scale is unknown",
        "–",
    ):
        assert words in text
    assert "without a known oh_p50" in text and report(evaluate(codes, intervals=0))


def test_nothing_to_evaluate():
    with pytest.raises(SFNetError, match="no galaxies"):
        evaluate(simulated_codes(0))


def test_the_prediction_interval_is_the_one_of_the_validation_galaxies():
    codes = SparseCodes.open("data/sample-codes.parquet")
    found = evaluate(codes, intervals=0)["targets"]["oh_p50"]["splits"]
    assert "prediction_interval" not in found["train"]
    sure, rows = found["validation"]["prediction_interval"], codes.split == "validation"
    prediction, limits = codes.prediction(), np.quantile(codes.prediction()[~rows], [0.25, 0.5, 0.75])
    assert sure["level"] == 0.9 and sure["limits"] == limits.tolist(), "the validation galaxies set no limits"
    for i, radius in enumerate(sure["radii"]):
        group = rows & (np.digitize(prediction, limits) == i)
        errors = np.sort(np.abs(prediction - codes.truth())[group])
        assert radius == errors[int(np.ceil((group.sum() + 1) * 0.9)) - 1]
    words = report(evaluate(codes, intervals=0))
    assert f"prediction ± {sure['radii'][0]:.3f} below {limits[0]:.2f}, " in words
    assert f"{sure['radii'][3]:.3f} from {limits[2]:.2f}; it holds for" in words
    parts = sure["coverage_by_prediction"]
    assert sum(part["n"] for part in parts) == sure["coverage"]["n"] == 240
    assert sum(part["n"] * part["inside"] for part in parts) == pytest.approx(240 * sure["coverage"]["inside"])
    assert (
        evaluate(codes.take(np.flatnonzero(rows)[:8]), intervals=0)["targets"]["oh_p50"]["splits"]["validation"][
            "prediction_interval"
        ]
        is None
    )
