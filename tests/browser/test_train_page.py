"""Training in a real browser: choose, start, see the curves grow, stop, resume, end, and go on to the explorer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect
from waiting import until

from sfnet_core.codes.table import SparseCodes
from sfnet_core.stats.metrics import rmse
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import folder_lock

EPOCHS = 250  # more than are over before a slow browser has pressed Stop

# The curve's points as the browser has them: the finite values of a column of the one source that has it.
POINTS = """(name) => {
  for (const document of Bokeh.documents)
    for (const model of document._all_models.values())
      if (model.type === "ColumnDataSource" && model.data[name])
        return Array.from(model.data[name]).filter(Number.isFinite);
  return [];
}"""


@pytest.fixture(scope="module")
def address(serve, tiny_dataset) -> str:
    return serve(None, tiny_dataset.path).replace("explore.ipynb", "train.ipynb")


@pytest.fixture
def train(open_page, address, tmp_path):
    """``train(epochs=…)`` opens the page by a permalink; the run goes to ``tmp_path / "run"``."""

    def open_it(**choices):
        query = urlencode({"width": 4, "k": 2, "out": str(tmp_path / "run"), **choices})
        page = open_page(f"{address}&{query}")
        expect(page.locator(".sf-train .sf-status")).to_have_text("Ready to train")
        return page

    return open_it


def wait_for(page, phase: str) -> None:
    page.wait_for_selector(f".sf-status[data-phase='{phase}']", timeout=120_000)


def facts(page, section: str) -> dict[str, str]:
    """A <dl> of the right-hand pane."""
    names, values = (page.locator(f"{section} {tag}").all_inner_texts() for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def test_choose_start_watch_stop_resume_and_explore(train, open_page, tmp_path):
    page = train(epochs=EPOCHS)
    assert page.input_value("[data-choice=k]") == "2" and page.input_value("[data-choice=epochs]") == str(EPOCHS)
    page.fill("[data-choice=k]", "3")
    page.press("[data-choice=k]", "Enter")
    expect(page.locator(".sf-this")).to_contain_text("k = 3 of 32 features")
    page.fill("[data-choice=seed]", "5")
    page.press("[data-choice=seed]", "Tab")
    expect(page.locator(".sf-this")).to_contain_text("seed 5")
    assert page.evaluate(POINTS, "validation_rmse") == []

    page.click("[data-action=start]")
    expect(page.locator("[data-action=stop]")).to_be_enabled()
    page.wait_for_function(f"() => ({POINTS})('validation_rmse').length >= 2", timeout=60_000)
    assert page.is_disabled("[data-choice=k]") and page.is_disabled("[data-action=start]")
    page.click("[data-action=stop]")
    wait_for(page, "stopped")
    done = int(re.match(rf"Stopped after (\d+) of {EPOCHS} epochs", page.inner_text(".sf-status"))[1])
    assert len(page.evaluate(POINTS, "validation_rmse")) == len(page.evaluate(POINTS, "active")) == done < EPOCHS
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"

    page.click("[data-action=resume]")
    wait_for(page, "finished")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["config"]["k"], record["config"]["seed"]) == ("finished", 3, 5)
    curve = page.evaluate(POINTS, "validation_rmse")
    assert len(curve) == EPOCHS and curve[-1] == pytest.approx(record["metrics"]["validation_rmse"])

    codes = SparseCodes.open(tmp_path / "run" / "codes.parquet")
    held = codes.split == "validation"
    value = rmse(codes.truth()[held], codes.prediction()[held])
    assert page.inner_text(".sf-headline") == f"Validation RMSE {value:.4f} dex"
    assert facts(page, ".sf-end")["Galaxies"] == f"n = {held.sum()}, validation"
    commands = page.locator(".sf-end code").all_inner_texts()
    assert commands[0].startswith("sfnet infer") and commands[1].startswith("sfnet explore")
    told = page.locator(".sf-example .sf-now").all_inner_texts()
    shown = page.locator(".sf-example .sf-number:not(.sf-now)").all_inner_texts()
    assert len(told) == held.sum() and shown == [f"{t:.2f}" for t in np.sort(codes.truth()[held])]

    page.click("button[data-action=explore]")
    link = page.wait_for_selector("a[data-action=explore]", timeout=60_000)
    explorer = open_page(link.get_attribute("href"))
    assert f"RMSE {value:.4f} dex" in explorer.inner_text(".sf-status")


def test_an_answer_to_one_field_leaves_what_is_typed_in_another(train):
    page = train()
    page.fill("[data-choice=k]", "3")
    page.press("[data-choice=k]", "Enter")
    page.fill("[data-choice=seed]", "5")  # before the answer about k, and not sent yet
    expect(page.locator(".sf-this")).to_contain_text("k = 3 of 32 features")
    expect(page.locator("[data-choice=seed]")).to_have_value("5")
    page.press("[data-choice=seed]", "Tab")
    expect(page.locator(".sf-this")).to_contain_text("seed 5")
    page.fill("[data-choice=seed]", "6")
    page.fill("[data-choice=seed]", "5")  # thought better of it: nothing to send
    page.press("[data-choice=seed]", "Tab")
    page.press("[data-choice=alive]", " ")
    expect(page.locator(".sf-this")).to_contain_text("--alive")
    expect(page.locator("[data-choice=seed]")).to_have_value("5")


def test_bad_input_is_a_sentence_and_the_field_goes_back(train):
    page = train()
    page.fill("[data-choice=k]", "999")
    page.press("[data-choice=k]", "Enter")
    expect(page.locator(".sf-notice")).to_contain_text("k is the number of features kept, from 1 to the 32")
    expect(page.locator("[data-choice=k]")).to_have_value("2")
    page.fill("[data-choice=dataset]", "/no/such/folder")
    page.press("[data-choice=dataset]", "Enter")
    expect(page.locator(".sf-notice")).to_contain_text("There is no dataset at /no/such/folder")
    page.click(".sf-notice button")
    expect(page.locator(".sf-notice")).to_be_hidden()


def test_the_address_is_a_permalink_of_the_choices(train, open_page):
    page = train(seed=4)
    page.select_option("[data-choice=target]", "z")
    expect(page.locator(".sf-strip-of + *, .sf-examples .sf-caption").first).to_contain_text("z")
    page.wait_for_function("() => location.search.includes('target=z')")
    query = parse_qs(urlsplit(page.url).query)
    assert (query["target"], query["seed"], query["width"]) == (["z"], ["4"], ["4"])
    again = open_page(page.url)
    assert again.input_value("[data-choice=target]") == "z" and again.input_value("[data-choice=seed]") == "4"


def test_closing_the_page_stops_the_training_so_that_it_can_be_resumed(train, tmp_path):
    page = train(epochs=5000)
    page.click("[data-action=start]")
    page.wait_for_function(f"() => ({POINTS})('train_rmse').length >= 1", timeout=60_000)
    page.goto("about:blank")
    run = tmp_path / "run"
    until(lambda: not training(run))
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    page.go_back()
    page.wait_for_selector(".sf-page", timeout=90_000)
    expect(page.locator("[data-choice=out]")).to_have_value(str(run))
    expect(page.locator("[data-action=resume]")).to_be_enabled()


def training(run: Path) -> bool:
    """Whether a process holds the writer's place in the run's folder."""
    try:
        with folder_lock(run, "looking"):
            return False
    except SFNetError:
        return True


@pytest.mark.parametrize("size", [(1440, 900), (1024, 768)], ids=str)
def test_everything_fits_the_window(train, size):
    page = train()
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.wait_for_timeout(300)
    for selector in ("[data-action=start]", "[data-choice=codes]", ".sf-plots", ".sf-report h2", ".sf-example"):
        box = page.locator(selector).first.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= size[0], selector
        assert box["y"] >= 0 and box["y"] + box["height"] <= size[1], selector
    page.wait_for_function("() => document.documentElement.scrollHeight <= innerHeight + 1")
