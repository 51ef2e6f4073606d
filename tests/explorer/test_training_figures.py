"""Figures of a training as files: before it, with its curves so far, and what their captions say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from sfnet_core.explorer.train.page import TrainPage, train_page
from sfnet_core.explorer.train.progress import Progress

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def page(tiny_dataset, tmp_path, monkeypatch) -> TrainPage:
    monkeypatch.setenv("SFNET_RUNS", str(tmp_path / "runs"))
    return train_page(tiny_dataset.path, width=4, k=2)


def made(page: TrainPage, epochs: int) -> None:
    """Put made-up progress of ``epochs`` epochs into the figures."""
    plan = {"n_train": 18, "n_validation": 6, "features": 32, "baseline": 0.3}
    rows = [
        {"epoch": e, "train_rmse": 0.4 / e, "validation_rmse": 0.5 / e, "loss": 1.0 / e, "active": 4 + e,
         "active_percent": 3 + e}
        for e in range(1, epochs + 1)
    ]  # fmt: skip
    truth = np.linspace(8.4, 8.9, 6)
    progress = Progress("oh_p50", 10, "dex", (8.4, 8.9), plan=plan, history=rows, truth=truth, prediction=truth + 0.01)
    progress.ids = np.array([f"g{i}" for i in range(6)])
    page.curves.draw(progress)


def circles(svg: str) -> dict[str, int]:
    groups = [g for g in ET.fromstring(svg).iter(f"{SVG}g") if g.find(f"{SVG}title") is not None]
    return {g.findtext(f"{SVG}title"): len(g.findall(f"{SVG}circle")) for g in groups}


def test_before_a_training_the_figures_are_empty_and_can_be_saved(page):
    for key in page.figures.names():
        assert sum(circles(page.figures.svg(key)).values()) == 0
        assert page.figures.caption(key).count("\n") >= 4


def test_the_curves_so_far(page):
    made(page, 3)
    found = circles(page.figures.svg("rmse"))
    assert found["training, each epoch"] == found["validation, each epoch"] == 3
    assert circles(page.figures.svg("against"))["held-out galaxies"] == 6
    assert circles(page.figures.svg("active"))["on any galaxy, each epoch"] == 3
    assert circles(page.figures.svg("loss"))["training loss, each epoch"] == 3
    facts = page.figures.caption("rmse").split("\n")
    assert facts[0] == "Validation RMSE 0.1667 dex"
    assert facts[1] == "n = 18 train, 6 validation, observed galaxies"
    assert facts[2] == "x: epoch; y: RMSE of oh_p50 [dex]"
    assert facts[3].startswith("Slate: training; blue-green: validation")
    assert any(fact.startswith("Data: ") and page.session.dataset.fingerprint[:12] in fact for fact in facts)
    assert any(fact.startswith("Recipe: ") for fact in facts) and any("k = 2 of 32" in fact for fact in facts)


def test_no_folder_of_this_machine_is_in_a_caption(page):
    made(page, 2)
    for key in page.figures.names():
        words = page.figures.caption(key, "")
        assert str(Path(page.session.dataset.path).parent) not in words and str(page.session.folder) not in words
        root = ET.fromstring(page.figures.svg(key))
        assert root.find(f"{SVG}desc").text == words
