"""Stability on the pages: shown where the file is of these codes, never in the way where it is not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from sfnet_core.analysis.stability.file import FEW, stability_path, write_stability
from sfnet_core.analysis.stability.seeds import stability
from sfnet_core.analysis.stability.summary import HINT, FeatureStability
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.atlas.page import Atlas
from sfnet_core.explorer.atlas.saved import export_page
from sfnet_core.explorer.explore.page import Explorer

F, SILENT = 8, 7  # feature 7 fires on training galaxies only


@pytest.fixture
def measured(tmp_path, gated, monkeypatch) -> tuple:
    """Codes in a file, measured against two others; feature 7 is silent on validation galaxies."""
    monkeypatch.delenv("SFNET_LABELS", raising=False)
    rng = np.random.default_rng(0)
    n = 200
    held_out = np.arange(n) % 2 == 0
    shared = np.maximum(rng.normal(0.3, 1, (n, 3)), 0)
    made = []
    for scale in (1, 2, 3):
        dense = np.maximum(rng.normal(0.3, 1, (n, F)), 0)
        dense[:, :3] = scale * (shared + 0.1 * dense[:, :3] * (shared > 0))
        dense[held_out, SILENT] = 0
        split = np.where(held_out, "validation", "train")
        made.append(gated(dense, rng.normal(size=F), 8.7, 4, 4, split=split, truth=rng.normal(8.7, 0.2, n)))
    made[0].save(tmp_path / "codes.parquet")
    codes = SparseCodes.open(tmp_path / "codes.parquet")
    return codes, stability(codes, made[1:], permutations=20)


def put(codes: SparseCodes, found) -> None:
    write_stability(stability_path(codes.path), found)


def test_every_switch_and_card_has_its_score_and_the_atlas_sorts_by_it(measured):
    codes, found = measured
    put(codes, found)
    score = {one.feature: one for one in found.features}
    rows = Explorer(codes).toggles.data["rows"]
    assert {row["feature"] for row in rows} == set(score) and len(rows) == F - 1
    for row in rows:
        one = score[row["feature"]]
        assert row["steady"]["rho"] == one.rho and row["steady"]["chance"] == one.by_chance
        assert f"ρ {one.rho:.2f} with its counterparts".replace("-", "\N{MINUS SIGN}") in row["steady"]["words"]
        assert "n = 100, validation" in row["steady"]["words"] and row["steady"]["of"] == 2
    page = Atlas(codes)
    assert ["stability", "stability"] in page.head.data["sorts"]
    page.state.change(sort="stability", descending=True, split="")
    order = [card["feature"] for card in page.card_grid.data["cards"]]
    assert order == [one.feature for one in found.features] + [SILENT]
    silent = page.card_grid.data["cards"][-1]["steady"]
    assert silent["rho"] is None and "fires on none of the galaxies that were compared" in silent["words"]
    page.state.change(descending=False)
    assert [card["feature"] for card in page.card_grid.data["cards"]] == [*order[:-1][::-1], SILENT]
    page.state.change(view="signs", descending=True)
    assert [row["steady"]["rho"] for row in page.tables.data["rows"][:-1]] == [one.rho for one in found.features]
    page.state.change(feature=order[0])
    line = page.feature.data["steadyLine"]
    assert all(f"f{number} of " in line for number in score[order[0]].counterpart) and page.feature.data["steady"]


def test_a_feature_too_rare_to_say_is_marked_everywhere_and_sorted_last(measured):
    codes, found = measured
    assert not FeatureStability(found).about.count("too rare") and found.choice in FeatureStability(found).summary
    first = found.features[0]
    put(codes, replace(found, features=(replace(first, fires=4, rate=0.04), *found.features[1:])))
    words = f"Too rare to judge: it fires on 4 of these galaxies, fewer than {FEW}"
    row = next(row for row in Explorer(codes).toggles.data["rows"] if row["feature"] == first.feature)
    assert row["steady"]["rare"] and row["steady"]["fires"] == 4 and words in row["steady"]["words"]
    assert f"95 % below {first.null_95:.2f}" in row["steady"]["words"]
    page = Atlas(codes)
    assert f"“too rare”: fires on fewer than {FEW}" in page.card_grid.data["steady"]
    for descending in (True, False):
        page.state.change(sort="stability", descending=descending)
        cards = page.card_grid.data["cards"]
        assert cards[-1]["feature"] == first.feature and [card["steady"]["rare"] for card in cards[:-1]] == [False] * 6
    page.state.change(view="signs")
    assert page.tables.data["rows"][-1]["steady"]["rare"]
    page.state.change(feature=first.feature)
    assert words in page.feature.data["steadyLine"] and page.feature.data["steady"]["rare"]


def test_without_a_file_nothing_changes_but_a_hint(measured):
    codes, _ = measured
    page = Explorer(codes)
    assert all(row["steady"] is None for row in page.toggles.data["rows"]) and not page.header.data["notices"]
    page = Atlas(codes)
    assert "stability" not in dict(page.head.data["sorts"]) and not page.card_grid.data["steady"]
    page.head._receive(None, {"do": "sort", "sort": "stability"}, [])
    assert page.state.sort == "contribution"
    page.open_link("sort=stability")
    assert page.state.sort == "contribution" and "left out" in page.head.data["notices"][0]
    page.state.change(view="signs")
    assert all("steady" not in row for row in page.tables.data["rows"])
    page.state.change(feature=1)
    assert page.feature.data["steadyLine"] == HINT and page.feature.data["steady"] is None


def test_a_file_of_other_codes_is_not_shown_and_says_so(measured, gated):
    codes, found = measured
    put(codes, found)
    changed = codes.take(np.arange(len(codes)) > 0)
    changed.save(codes.path)
    for page in (Explorer(SparseCodes.open(codes.path)), Atlas(SparseCodes.open(codes.path))):
        notices = (page.header if isinstance(page, Explorer) else page.head).data["notices"]
        assert "was measured on codes with another fingerprint" in notices[0] and codes.fingerprint[:8] in notices[0]
    assert not FeatureStability.beside(SparseCodes.open(codes.path))


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 9999, b'{"kind": "sfnet stability", "schema": 2, "others": 3}'])
def test_garbage_never_keeps_a_page_from_opening(measured, content):
    codes, _ = measured
    stability_path(codes.path).write_bytes(content)
    page = Explorer(codes)
    assert page.toggles.data["rows"] and "No feature's stability is shown" in page.header.data["notices"][0]
    assert Atlas(codes).card_grid.data["cards"]


def test_hostile_names_and_numbers_stay_text_and_are_never_looked_up(measured):
    codes, found = measured
    data = json.loads(json.dumps(found.as_dict()))
    data["others"][0]["name"] = "<img src=x onerror=alert(1)>\u202e\x00"
    data["features"][0]["feature"] = 32_000  # there is no such feature
    stability_path(codes.path).write_text(json.dumps(data), encoding="utf-8")
    page = Atlas(codes)
    assert len(page.card_grid.data["cards"]) == F - 1 and not page.head.data["notices"]
    page.state.change(feature=found.features[1].feature)
    assert "<img src=x onerror=alert(1)> " in page.feature.data["steadyLine"]
    assert "\u202e" not in page.feature.data["steadyLine"] and "\x00" not in page.feature.data["steadyLine"]


def test_the_folder_of_the_labels_comes_first(measured, tmp_path, monkeypatch):
    codes, found = measured
    monkeypatch.setenv("SFNET_LABELS", str(tmp_path / "mine"))
    put(codes, found)
    assert FeatureStability.beside(codes).found == found
    (tmp_path / "mine" / "codes.stability.json").write_text("{}", encoding="utf-8")
    assert FeatureStability.beside(codes).found == found  # one that can't be read does not hide the other
    write_stability(tmp_path / "own.json", found)
    (tmp_path / "own.json").replace(tmp_path / "mine" / "codes.stability.json")
    stability_path(codes.path).unlink()
    assert FeatureStability.beside(codes).found == found


def test_the_saved_atlas_has_the_scores_too(measured, tmp_path):
    codes, found = measured
    put(codes, found)
    export_page(codes.path, tmp_path / "atlas.html", progress=False)
    text = (tmp_path / "atlas.html").read_text(encoding="utf-8")
    assert f"{found.features[0].rho:.2f} with its counterparts" in text and found.sentence in text
    assert '["stability","stability"]' in text.replace(" ", "")
    stability_path(codes.path).unlink()
    export_page(codes.path, tmp_path / "plain.html", progress=False)
    text = (tmp_path / "plain.html").read_text(encoding="utf-8")
    assert '["stability","stability"]' not in text.replace(" ", "") and found.sentence not in text


def test_opening_a_page_loads_neither_scipy_nor_torch(measured):
    codes, found = measured
    put(codes, found)
    program = (
        "import sys\n"
        "from sfnet_core.codes.table import SparseCodes\n"
        "from sfnet_core.analysis.stability.summary import FeatureStability\n"
        "assert FeatureStability.beside(SparseCodes.open(sys.argv[1]))\n"
        "sys.exit(', '.join(m for m in ('scipy', 'torch', 'pandas') if m in sys.modules) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, codes.path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
