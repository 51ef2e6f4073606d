"""Figures of a training as files: before it, with its curves so far, and what their captions say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfnet_core.explorer.train.page import TrainPage, train_page
from sfnet_core.explorer.train.progress import Progress


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


def drawn(page: TrainPage, key: str) -> dict[str, int]:
    """How many points each layer of a figure has, by its name."""
    return {layer.name: len(layer.x) for layer in page.figures.figure(key).layers}


def test_before_a_training_the_figures_are_empty_and_can_be_saved(page, tmp_path):
    for key in page.figures.names():
        guides = {"predicted = true": 2}
        assert drawn(page, key) == {name: guides.get(name, 0) for name in drawn(page, key)}
        assert page.figures.save(tmp_path / f"{key}.svg", key).stat().st_size > 1000
        assert page.figures.caption(key).count("\n") >= 4


def test_the_curves_so_far(page):
    made(page, 3)
    assert drawn(page, "rmse") | {"training": 3, "validation": 3} == drawn(page, "rmse")
    assert drawn(page, "against")["held-out galaxies"] == 6
    assert drawn(page, "active")["on any galaxy"] == 3 and drawn(page, "loss") == {"training loss": 3}
    assert page.figures.figure("rmse").y_label == "RMSE of oh_p50 [dex]" and page.figures.figure("loss").y_log
    facts = page.figures.caption("rmse").split("\n")
    assert facts[0] == "Validation RMSE 0.1667 dex"
    assert facts[1] == "n = 18 train, 6 validation, observed galaxies"
    assert facts[2] == "x: epoch; y: RMSE of oh_p50 [dex]"
    assert facts[3].startswith("Slate: training; blue-green: validation")
    assert any(fact.startswith("Data: ") and page.session.dataset.fingerprint[:12] in fact for fact in facts)
    assert any(fact.startswith("Recipe: ") for fact in facts) and any("k = 2 of 32" in fact for fact in facts)


def test_no_folder_of_this_machine_is_in_a_figure(page, tmp_path):
    made(page, 2)
    for key in page.figures.names():
        words = page.figures.caption(key, "")
        assert str(Path(page.session.dataset.path).parent) not in words and str(page.session.folder) not in words
        written = page.figures.save(tmp_path / "x.svg", key).read_text("utf-8")
        assert str(Path(page.session.dataset.path).parent) not in written
