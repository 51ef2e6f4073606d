"""The training page without a browser: choices, folders, the process that trains, and what the views are told."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from sfnet_core.astro.emission_lines import LINES
from sfnet_core.cli.verbs import app
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.packing import pack
from sfnet_core.explorer.shared import sample
from sfnet_core.explorer.train import session as session_room
from sfnet_core.explorer.train import worker
from sfnet_core.explorer.train.choices import WIDTHS, Choices, free_folder, from_config, look_into, targets_of, usable
from sfnet_core.explorer.train.page import TrainPage, spread, train_page
from sfnet_core.explorer.train.process import Process
from sfnet_core.explorer.train.progress import Progress, duration
from sfnet_core.inference.runner import infer
from sfnet_core.model.run import Run
from sfnet_core.stats.metrics import rmse
from sfnet_core.training.recipes import RECIPES, choose
from sfnet_core.utils.errors import SFNetError

SMALL = {"width": 4, "k": 2}
EPOCHS = 120  # some of which are still to come when a second one was drawn


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch) -> Path:
    """Where runs go when no folder is named."""
    monkeypatch.setenv("SFNET_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("SFNET_DATASET", raising=False)
    return tmp_path / "runs"


@pytest.fixture
def page(tiny_dataset) -> TrainPage:
    """A page on the 24 galaxies; nothing has been trained."""
    page = train_page(tiny_dataset.path, **SMALL)
    yield page
    page.session.close()
    page.session.wait(60)


def notices(page: TrainPage) -> str:
    return " ".join(page.top.data["notices"])


@pytest.fixture(scope="module")
def trained(tiny_dataset, tmp_path_factory) -> TrainPage:
    """A page after a training of two epochs with its codes."""
    out = tmp_path_factory.mktemp("trained") / "run"
    page = train_page(tiny_dataset.path, start=True, out=str(out), epochs=2, seed=3, **SMALL)
    page.session.wait(120)
    return page


# -- choices -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"k": 0}, "k is the number of features kept, from 1 to the 128"),
        ({"k": 33, "width": 4}, "from 1 to the 32 that this width has"),
        ({"k": 2.5}, "k must be a whole number, not '2.5'"),
        ({"k": True}, "k must be a whole number"),
        ({"k": "many"}, "k must be a whole number, not 'many'"),
        ({"width": 5}, "one of 4, 8, 16, 32, 64"),
        ({"epochs": -1}, "from 0 to 10,000"),
        ({"seed": 2**31}, "from 0 to 2,147,483,647"),
        ({"recipe": "magic"}, f"There is no recipe 'magic'; there are: {', '.join(RECIPES)}"),
        ({"validation": 1}, "from 5 % to 90 %, not 100 %"),
        ({"validation": float("nan")}, "from 5 % to 90 %"),
        ({"validation": None}, "must be a number"),
        ({"out": "a\0b"}, "not the name of a folder"),
        ({"wight": 4}, "There is no choice 'wight' here; there are: dataset, target, k"),
    ],
    ids=str,
)
def test_a_choice_that_cannot_be_is_refused_with_a_sentence(choice, words):
    with pytest.raises(SFNetError, match=re.escape(words)):
        Choices().change(**choice)


STORED = signature(infer).parameters["runners_up"].default

CHOICES = st.builds(
    Choices,
    dataset=st.text("abc/ &=?é", max_size=12),
    target=st.text("abc_", max_size=8),
    k=st.integers(1, 32),
    width=st.sampled_from(WIDTHS),
    epochs=st.integers(0, 500),
    seed=st.integers(0, 2**31 - 1),
    recipe=st.sampled_from(["", *RECIPES]),
    validation=st.floats(0.05, 0.9),
    out=st.text("abc/~ %", max_size=12),
    alive=st.booleans(),
    taught=st.booleans(),
    every_k=st.booleans(),
    codes=st.booleans(),
)


@given(choices=CHOICES)
def test_a_permalink_gives_the_choices_back(choices):
    found, troubles = Choices.read_query("?" + choices.query())
    assert Choices().change(**found) == choices and not troubles


@settings(max_examples=20, deadline=None)
@given(choices=CHOICES)
def test_the_shells_command_trains_what_the_page_trains(choices):
    words = shlex.split(choices.command(Path("/data"), Path("/run")))
    assert words[:2] == ["sfnet", "train"]
    read = get_command(app).commands["train"].make_context("train", words[2:]).params
    same = {name: value for name, value in choices.arguments().items() if name != "validation"}
    assert same == {name: read[name] for name in same} and float(read["validation"]) == pytest.approx(
        choices.validation
    )
    recipe = choices.recipe_for(500)
    assert recipe == choose(500, read["recipe"], read["epochs"], read["multi_k"], read["alive"], read["taught"])
    assert bool(recipe.multi_k) == choices.every_k and bool(recipe.balance) == choices.alive
    assert bool(recipe.variants) == choices.taught
    if choices.every_k:
        assert recipe.multi_k == min(choices.k + STORED, 8 * choices.width)


@given(choices=CHOICES)
def test_a_training_begun_with_options_shows_them_again(choices):
    recipe = choices.recipe_for(500)
    config = choices.arguments() | {"target": ["oh_p50"], "recipe": recipe.as_dict()}
    shown = from_config(Choices(), config)
    assert (shown.alive, shown.taught, shown.every_k) == (choices.alive, choices.taught, choices.every_k)
    assert shown.recipe_for(500) == recipe


def test_a_link_says_what_it_left_out():
    found, troubles = Choices.read_query("?k=many&token=secret&feature=3&seed=4")
    assert found == {"seed": 4} and len(troubles) == 1 and "“k” was left out" in troubles[0]


def test_numeric_columns_can_be_targets(tiny_dataset):
    assert list(targets_of(tiny_dataset)) == ["oh_p50", "z"]


def test_examples_are_spread_evenly_over_the_known_values():
    values = np.array([np.nan, *range(100), np.inf])
    chosen = values[spread(values, 5)]
    assert chosen.tolist() == sorted(chosen) and len(chosen) == 5 and np.isfinite(chosen).all()
    assert spread(np.array([3.0, np.nan, 1.0])).tolist() == [2, 0]
    assert len(spread(np.full(4, np.nan))) == 0


# -- folders -------------------------------------------------------------------------------------------------------


def test_what_a_folder_holds(tmp_path):
    assert look_into(tmp_path / "none").kind == "free"
    (tmp_path / ".lock").touch()
    assert look_into(tmp_path).kind == "free"
    (tmp_path / "thesis.tex").touch()
    assert look_into(tmp_path).kind == "foreign"
    (tmp_path / "run.json").write_text('{"config": []}')
    assert look_into(tmp_path).kind == "foreign"
    record = {"config": {"recipe": {"epochs": 60}}, "metrics": {"epoch": 7}}
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert look_into(tmp_path).kind == "finished"
    (tmp_path / "last.ckpt").touch()
    found = look_into(tmp_path)
    assert (found.kind, found.epoch, found.epochs) == ("unfinished", 7, 60)
    assert "7 of 60 epochs are done" in found.sentence
    with pytest.raises(SFNetError, match=r"run\.json can't be used as the run's folder"):
        look_into(tmp_path / "run.json")


def test_a_new_folder_is_found_beside_the_taken_ones(tmp_path):
    for name in ("run", "run-2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    assert free_folder(tmp_path, "run") == tmp_path / "run-3"


# -- the page before a training ------------------------------------------------------------------------------------


def test_opening_the_page_trains_nothing_and_makes_no_folder(page, runs):
    assert page.session.process is None and not runs.exists()
    assert page.top.data["startable"] and not page.top.data["stoppable"] and not page.top.data["resumable"]
    assert page.top.data["status"] == "Ready to train"
    assert page.session.folder == runs / "tiny-oh_p50-k2-w4-seed0"
    assert dict(page.report.data["rows"])["Galaxies"] == "about 19 train, 5 validation"
    assert len(page.examples.pictures) == 12 and all(bytes(p).startswith(b"\xff\xd8") for p in page.examples.pictures)
    assert page.examples.data["truth"] == sorted(page.examples.data["truth"])


def test_the_kernel_stays_free_of_torch(tiny_dataset):
    program = (
        "import sys\n"
        "from sfnet_core.explorer.train.page import train_page\n"
        "page = train_page(sys.argv[1])\n"
        "page.session.change(k=2)\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, tiny_dataset.path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_bad_input_is_a_sentence_and_changes_nothing(page, tmp_path):
    before = page.session.choices
    mistakes = (
        ("k", 99, "k is the number of features kept"),
        ("dataset", str(tmp_path / "nowhere"), "There is no dataset at"),
        ("target", "id", "no numeric column 'id' to predict; it has: oh_p50, z"),
        ("out", __file__, "can't be used as the run's folder"),
        ("nonsense", 1, "There is no choice 'nonsense'"),
    )
    for number, (name, value, words) in enumerate(mistakes, start=7):
        page.form._receive(None, {"do": "choose", "name": name, "value": value, "number": number}, [])
        assert words in page.top.data["notices"][-1]
        assert page.session.choices == before
        assert page.form.data["answered"] == number  # the browser puts the old value back
    page.top._receive(None, {"do": "dismiss"}, [])
    assert page.top.data["notices"] == []


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {"do": "choose"},
        {"do": "choose", "name": 3},
        {"do": "choose", "name": "k", "value": 3},
        {"do": "open-link"},
        {"do": []},
    ],
)
def test_a_hostile_message_is_dropped(page, content):
    before = page.session.choices
    page.form._receive(None, content, [])
    page.top._receive(None, content, [])
    assert page.session.choices == before and page.session.phase == "ready"


def test_start_needs_an_empty_folder(page, tmp_path):
    (tmp_path / "thesis.tex").touch()
    page.session.change(out=str(tmp_path))
    assert not page.top.data["startable"] and "other files" in page.form.data["folder"]
    page.top._receive(None, {"do": "start"}, [])
    assert "holds other files" in notices(page) and page.session.process is None
    page.top._receive(None, {"do": "resume"}, [])
    assert "holds no unfinished training" in notices(page)
    page.form._receive(None, {"do": "new-folder"}, [])
    assert page.top.data["startable"]


def test_without_the_sample_the_page_says_so_and_a_dataset_can_still_be_chosen(monkeypatch, tiny_dataset):
    def missing():
        raise SFNetError("The embedded sample is missing from this installation.")

    monkeypatch.setattr(sample, "sample_folder", missing)
    page = train_page()
    assert "sample is missing" in notices(page) and page.top.data["status"] == "Choose a dataset"
    assert not page.top.data["startable"]
    page.top._receive(None, {"do": "start"}, [])
    assert "Choose a dataset first" in notices(page)
    page.session.change(dataset=str(tiny_dataset.path))
    assert page.top.data["startable"] and page.session.choices.target == "oh_p50"


def test_without_torch_start_says_what_to_install(page, monkeypatch):
    monkeypatch.setattr(session_room.importlib.util, "find_spec", lambda name: None)
    page.top._receive(None, {"do": "start"}, [])
    assert 'pip install "sfnet-core[torch]"' in notices(page)


def test_a_permalink_fills_the_form(page, tmp_path):
    page.open_link(f"?k=3&seed=8&out={tmp_path / 'here'}&epochs=few&token=abc")
    choices = page.session.choices
    assert (choices.k, choices.seed, page.session.folder) == (3, 8, tmp_path / "here")
    assert "“epochs” was left out" in notices(page)
    page.open_link("?k=4000")
    assert "The link could not be followed: k is the number" in notices(page) and page.session.choices.k == 3


# -- a training ----------------------------------------------------------------------------------------------------


def test_the_page_follows_a_training_to_its_end(trained, tiny_dataset):
    session, progress = trained.session, trained.session.progress
    assert session.phase == "finished" and trained.top.data["notices"] == []
    assert [row["epoch"] for row in progress.history] == [1, 2]
    record = json.loads((session.folder / "run.json").read_text())
    assert record["metrics"]["validation_rmse"] == progress.history[-1]["validation_rmse"]
    held = record["split"]["validation"]
    assert progress.n_validation == len(held) and progress.ids.tolist() == held
    assert progress.truth == pytest.approx([tiny_dataset.column("oh_p50")[tiny_dataset.index_of(i)] for i in held])


def test_the_predictions_told_are_the_ones_that_the_rmse_is_of(trained):
    progress = trained.session.progress
    assert rmse(progress.truth, progress.prediction) == pytest.approx(progress.history[-1]["validation_rmse"], rel=1e-9)
    spent = np.array(json.loads((trained.session.folder / "run.json").read_text())["split"]["train"])
    assert not set(spent) & set(progress.ids)


def test_the_numbers_at_the_end_are_those_of_the_codes(trained):
    codes = SparseCodes.open(trained.session.folder / "codes.parquet")
    held = codes.split == "validation"
    value = rmse(codes.truth()[held], codes.prediction()[held])
    end = trained.report.data["result"]
    assert end["headline"] == f"Validation RMSE {value:.4f} dex"
    assert dict(end["rows"])["Galaxies"] == f"n = {held.sum()}, validation"
    fires = len(np.unique(codes.indices[held, : codes.k][codes.values[held, : codes.k] > 0]))
    assert trained.session.progress.history[-1]["active"] == pytest.approx(fires, abs=2)  # bfloat16 where there is one
    assert trained.report.data["explore"]["state"] == "offer"


def test_every_figure_has_units_n_and_split(trained):
    n = f"n = {trained.session.progress.n_validation}"
    rmse_figure, against, active, loss = trained.curves.figures
    for figure in (rmse_figure, against, active):
        assert n in figure.title.text or "validation" in figure.title.text
        assert "validation" in figure.title.text
    assert "train" in loss.title.text and "n = 19" in loss.title.text
    assert rmse_figure.yaxis[0].axis_label == "RMSE of oh_p50 [dex]"
    assert against.xaxis[0].axis_label == "true oh_p50 [dex]"
    assert len(trained.curves.history.data["epoch"]) == 2
    assert np.isfinite(trained.curves.history.data["loss"]).all()


def test_a_taught_training_says_so(page):
    """What its own errors are of, and how good its teacher is."""
    page.session.change(taught=True)
    recipe = dict(page.report.data["rows"])["Recipe"]
    assert "taught by photometry on 421 pictures of each galaxy" in recipe and "20 epochs" in recipe
    page.session._hear(
        {
            **{"event": "plan", "epochs": 20, "unit": "dex", "done": 0, "steps": 250, "history": [], "truth": [8.5]},
            **{"rows": [0], "n_train": 19, "n_left_out": 0, "n_validation": 5, "recipe": recipe, "device": "cpu"},
            **{"precision": "float32", "side": 32, "n_examples": 7999, "teacher": "The teacher's own RMSE is 0.1."},
        }
    )
    rows = dict(page.report.data["rows"])
    assert rows["Teacher"] == "a Gaussian process on photometry. The teacher's own RMSE is 0.1."
    rmse_figure, _, _, loss = page.curves.figures
    assert rmse_figure.title.text.endswith("n = 7,999 pictures, 5 validation")
    assert loss.title.text.endswith("n = 7,999 pictures, as the teacher says")


def test_the_loss_is_the_squared_error_in_units_of_the_variance(trained, tiny_dataset):
    record = json.loads((trained.session.folder / "run.json").read_text())
    truth = tiny_dataset.column("oh_p50")[[tiny_dataset.index_of(i) for i in record["split"]["train"]]]
    for row in trained.session.progress.history:
        assert row["loss"] == pytest.approx(row["train_rmse"] ** 2 / truth.var())


def test_the_same_in_a_shell_gives_the_same_weights(trained, sfnet, tmp_path):
    """The commands on the page are the truth: what the page watches does not change what is learned."""
    words = shlex.split(trained.report.data["command"])[1:]
    words[words.index("--out") + 1] = str(tmp_path / "again")
    assert sfnet(*words)[0] == 0
    for name in ("model.safetensors", "history.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (trained.session.folder / name).read_bytes()
    infer = shlex.split(trained.report.data["next"][0][1])[1:]
    infer[infer.index("--out") + 1] = str(tmp_path / "codes.parquet")
    assert sfnet(*infer)[0] == 0
    assert (tmp_path / "codes.parquet").read_bytes() == (trained.session.folder / "codes.parquet").read_bytes()


def test_a_finished_run_is_not_overwritten(trained):
    trained.top._receive(None, {"do": "start"}, [])
    assert "will not be overwritten" in notices(trained)
    trained.top.dismiss()


def test_stop_leaves_a_run_that_resume_finishes(page):
    session = page.session
    session.change(epochs=EPOCHS, codes=False)

    def stop_after_two(kind: str) -> None:
        page.draw(kind)
        if len(session.progress.history) >= 2:
            session.stop()

    session.listen(stop_after_two, page.top.notify)
    session.start()
    with pytest.raises(SFNetError, match="training is running"):
        session.change(k=1)
    session.wait(120)
    assert session.phase == "stopped" and page.top.data["resumable"] and not page.top.data["startable"]
    done = len(session.progress.history)
    assert 2 <= done < EPOCHS and look_into(session.folder).epoch == done
    assert f"Stopped after {done} of {EPOCHS} epochs" in page.top.data["status"]
    assert any("Resume" in note for note in page.report.data["result"]["notes"])

    again = TrainPage(Choices().change(dataset=session.choices.dataset, out=str(session.folder), codes=False))
    assert again.top.data["resumable"] and f"{done} of {EPOCHS}" in again.form.data["folder"]
    again.session.resume()
    assert (again.session.choices.k, again.session.choices.width, again.session.choices.epochs) == (2, 4, EPOCHS)
    again.session.wait(120)
    assert again.session.phase == "finished"
    assert [row["epoch"] for row in again.session.progress.history] == list(range(1, EPOCHS + 1))
    assert [r["validation_rmse"] for r in again.session.progress.history[:done]] == [
        r["validation_rmse"] for r in session.progress.history
    ]


def test_a_stop_before_the_first_step_writes_nothing(page):
    page.session.start()
    page.top._receive(None, {"do": "stop"}, [])
    assert page.session.phase == "stopping"
    page.session.wait(60)
    assert page.session.phase == "ready" and not list(page.session.folder.glob("*.*"))
    assert page.top.data["startable"]


def test_a_stop_in_the_last_step_leaves_a_finished_run_that_is_said(tiny_dataset, tmp_path, monkeypatch):
    from sfnet_core.training import loop as training

    def last(self, *arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return {"any": 1, "1%": 1, "10%": 1}

    monkeypatch.setattr(training._Training, "_active", last)
    choices = Choices(target="oh_p50", k=2, width=4, epochs=1).arguments()
    said = []
    job = {"dataset": str(tiny_dataset.path), "out": str(tmp_path / "run"), "choices": choices, "codes": True}
    with pytest.raises(KeyboardInterrupt):
        worker.work(job, lambda event, **more: said.append((event, more.get("status"))))
    assert said[-1] == ("run", "finished") and look_into(tmp_path / "run").kind == "finished"


def test_a_training_whose_page_is_gone_stops_and_can_be_resumed(tiny_dataset, tmp_path):
    out = tmp_path / "run"
    choices = Choices(target="oh_p50", k=2, width=4, epochs=5000).arguments()
    job = {"dataset": str(tiny_dataset.path), "out": str(out), "choices": choices}
    command = [sys.executable, "-m", worker.__name__, json.dumps(job)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        for line in child.stdout:
            if json.loads(line)["event"] == "epoch":
                break
        child.stdout.close()  # what a kernel's end does
        try:
            assert child.wait(60) == 130
        finally:
            child.kill()
    assert look_into(out).kind == "unfinished"
    assert json.loads((out / "run.json").read_text())["status"] == "interrupted"


def test_a_training_that_no_browser_shows_any_more_stops(page, monkeypatch):
    session = page.session
    session.change(epochs=5000, codes=False)

    def browser(kind: str) -> None:
        if kind == "plan":
            page.top._receive(None, {"do": "here"}, [])
            monkeypatch.setattr(session_room, "UNSEEN_SECONDS", -1)  # and nothing more is heard of it

    session.listen(browser, page.top.notify)
    session.start()
    session.wait(60)
    assert session.phase == "stopped" and look_into(session.folder).kind == "unfinished"


def test_epochs_that_come_fast_are_drawn_now_and_then(page, monkeypatch):
    session, told, now = page.session, [], [100.0]
    monkeypatch.setattr(session_room.time, "monotonic", lambda: now[0])
    session.listen(told.append, page.top.notify)
    plan = {"epochs": 100, "unit": "dex", "done": 0, "steps": 2, "history": [], "truth": [8.5], "rows": [0]}
    session._hear({"event": "plan", **plan})
    for epoch in range(1, 31):  # 1.5 s
        now[0] += 0.05
        session._hear({"event": "epoch", "epoch": epoch, "validation_rmse": 0.1, "predictions": [8.5]})
    assert told == ["plan", "all", "all", "all"]
    session._hear({"event": "step", "done": 61})
    now[0] += 0.5
    session._hear({"event": "step", "done": 62})  # a long epoch: what was left out before is drawn
    session._hear({"event": "step", "done": 63})
    assert told[4:] == ["step", "all", "step"] and len(session.progress.history) == 30
    session._ended(0, "")
    assert told[-1] == "all"


def test_what_the_training_refuses_is_said_on_the_page(page):
    page.session.change(validation=0.9)
    page.session.start()
    page.session.wait(60)
    assert "galaxies for training; at least 8 are needed" in notices(page)
    assert page.session.phase == "ready" and page.top.data["startable"]


def test_a_process_that_dies_is_said_with_its_last_words(page, monkeypatch):
    monkeypatch.setattr(session_room, "WORKER", "sfnet_core.explorer.train.nowhere")
    page.session.start()
    page.session.wait(60)
    assert "The training ended by itself (status 1)" in notices(page) and "nowhere" in notices(page)
    assert not page.session.busy


def test_only_events_are_heard_from_a_process(tmp_path, monkeypatch):
    (tmp_path / "chatter.py").write_text("print('hello', [1], '{\"event\": \"x\"}', sep='\\n'); raise SystemExit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    heard, ends = [], []
    Process("chatter", "", heard.append, lambda *end: ends.append(end)).wait(60)
    assert heard == [{"event": "x"}] and ends == [(7, "")]


# -- time left -----------------------------------------------------------------------------------------------------


def test_time_left_follows_the_pace_since_the_start(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("sfnet_core.explorer.train.progress.time.monotonic", lambda: now[0])
    plan = {
        "event": "plan",
        "epochs": 10,
        "steps": 10,
        "done": 20,
        "history": [],
        "truth": [],
        "rows": [],
        "unit": "dex",
    }
    progress = Progress("oh_p50", 10)
    progress.take(plan, np.array(["a"]))
    assert progress.left is None and progress.sentence == "Epoch 1 of 10"
    progress.take({"event": "step", "done": 20}, np.array(["a"]))
    now[0] += 5
    progress.take({"event": "step", "done": 30}, np.array(["a"]))
    assert progress.left == pytest.approx(35.0) and progress.share == 0.3
    assert progress.sentence.endswith("35 s left")


def test_durations_read_well():
    assert [duration(s) for s in (0.4, 59.4, 60, 187, 3729)] == ["0 s", "59 s", "1:00 min", "3:07 min", "1:02:09 h"]


# -- the four lines ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_lines(tiny_folder, tmp_path_factory):
    """The 24 galaxies with four line fluxes and their errors; two of them without one."""
    folder = tmp_path_factory.mktemp("lines")
    rows = (tiny_folder / "galaxies.csv").read_text(encoding="utf-8").splitlines()
    columns = list(LINES.values())
    rng = np.random.default_rng(0)
    table = [",".join([rows[0], *columns, *(f"{name}_err" for name in columns)])]
    for i, row in enumerate(rows[1:]):
        fluxes = np.exp(rng.normal(4, 1, 4))
        if i in (3, 5):
            fluxes[i % 4] = -1
        table.append(",".join([row, *(f"{value:.4f}" for value in fluxes), *["0.5"] * 4]))
    (folder / "galaxies.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    return pack(folder / "galaxies.csv", tiny_folder / "images", folder / "packed", progress=False)


def test_the_four_lines_are_a_target_where_the_dataset_has_them(with_lines, tiny_dataset):
    assert "lines" not in targets_of(tiny_dataset)
    found = targets_of(with_lines)
    assert list(found)[-1] == "lines" and "[OIII]" in found["lines"] and "h_alpha_flux" in found
    rows, unit, span = usable(with_lines, "lines")
    nii = with_lines.column("nii_6584_flux")
    assert len(rows) == 22 and not {3, 5} & set(rows.tolist()) and unit == "dex"
    assert span == pytest.approx((np.log10(nii[rows].min()), np.log10(nii[rows].max())))


def test_the_four_lines_are_trained_shown_and_resumed(with_lines, tmp_path):
    out = tmp_path / "run"
    page = train_page(with_lines.path, out=str(out), epochs=2, seed=3, target="lines", codes=True, **SMALL)
    assert "2 without all four lines measured left out" in str(page.report.data["rows"])
    assert "--target lines" in page.report.data["command"] and "log_N2" in page.examples.data["caption"]
    page.session.start()
    page.session.wait(120)
    assert page.session.phase == "finished", notices(page)
    progress, codes = page.session.progress, SparseCodes.open(out / "codes.parquet")
    assert codes.targets == list(LINES) and progress.shown == "log_N2"
    held = [codes.index_of(name) for name in progress.ids]
    np.testing.assert_allclose(progress.truth, codes.truth("log_N2")[held], atol=1e-6)
    np.testing.assert_allclose(progress.prediction, codes.prediction("log_N2")[held], atol=0.05)
    run = Run.open(out)
    scale = np.array([codes.truth(name)[codes.in_split("train")].std() for name in LINES])
    each = np.array([run.history[-1][f"train_rmse_{name}"] for name in LINES])
    assert progress.history[-1]["loss"] == pytest.approx(np.mean((each / scale) ** 2), rel=1e-4)
    error = [codes.truth(name)[held] - codes.truth(name)[codes.in_split("train")].mean() for name in LINES]
    assert progress.baseline == pytest.approx(np.sqrt(np.mean(np.square(error))), rel=1e-6)
    assert page.curves.against.xaxis[0].axis_label == "true log_N2 [dex]"
    rows = dict(page.report.data["result"]["rows"])
    for name in LINES:
        assert rows[name].startswith(f"{rmse(codes.truth(name)[held], codes.prediction(name)[held]):.4f}")
    assert f"{run.history[-1]['validation_rmse']:.4f}" in page.report.data["result"]["headline"]
    again = from_config(Choices(), run.config)
    assert again.target == "lines" and again.k == 2
    with pytest.raises(SFNetError, match="--resume"):
        from_config(Choices(), {**run.config, "target": ["oh_p50", "z"]})
