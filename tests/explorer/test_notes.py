"""Labels on the pages: written by messages, named everywhere, undone, shared with other pages, asked for in filters."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sfnet_core.annotations import store as labels_store
from sfnet_core.annotations.labels import Entry, LabelBook, labels_path, own_labels_path
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.filters.completion import complete
from sfnet_core.explorer.atlas.page import Atlas
from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared.label_editor import MOST_UPLOAD, LabelEditor, brief
from sfnet_core.explorer.shared.linked import LinkedFigures
from sfnet_core.explorer.shared.quantities import untexed
from sfnet_core.explorer.shared.sample import sample_codes, sample_folder
from sfnet_core.explorer.shared.state import State, pack_rows
from sfnet_core.explorer.your_galaxy.page import YourGalaxy
from sfnet_core.utils.errors import SFNetError

HOSTILE = '$$x^2$$ <img src=x onerror=alert(1)> \\(y\\) @{id} "q"'


@pytest.fixture(scope="module")
def original(made_up, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("notes") / "run.parquet"
    made_up(90, features=24, map_shape=(2, 2)).save(path)
    return path


@pytest.fixture
def path(original, tmp_path) -> Path:
    return Path(shutil.copy(original, tmp_path / "run.parquet"))


@pytest.fixture
def page(path) -> Explorer:
    return Explorer(SparseCodes.open(path))


def send(view, buffers=(), **message) -> None:
    view._receive(None, message, list(buffers))


def write(page, field: str, words: str, *, feature: int | None = None, galaxy: int | None = None, sitting: int = 1):
    feature = page.state.feature if feature is None and galaxy is None else feature
    subject = {"kind": "features", "key": feature}
    if galaxy is not None:
        subject = {"kind": "galaxies", "key": str(page.codes.ids[galaxy])}
    send(page.notes, do="write", field=field, text=words, sitting=sitting, **subject)


def star(page, row: int) -> None:
    send(page.notes, do="star", kind="galaxies", key=str(page.codes.ids[row]))


def file_of(path: Path) -> dict:
    return json.loads(labels_path(path).read_text(encoding="utf-8"))


# -- named everywhere ----------------------------------------------------------------------------------------------


def everywhere(page: Explorer, feature: int) -> dict[str, str]:
    """What each place on the explorer calls a feature that fires on the galaxy in focus."""
    state = page.state
    state.change(feature=feature, tab="galaxy", map=str(feature), sort="activation", third="activation_prediction")
    found = {
        "toggles": next(row["label"] for row in page.toggles.data["rows"] if row["feature"] == feature),
        "title": page.plots.panels[0].figure.title.text,
        "axis": page.plots.panels[0].figure.xaxis[0].axis_label,
        "third plot": page.plots.panels[2].figure.xaxis[0].axis_label,
        "equation": next(term["label"] for term in page.inspector.data["terms"] if term["feature"] == feature),
        "map": page.inspector.data["mapnote"],
        "gallery": page.gallery.data["label"],
    }
    rows = page.scene.view(state)
    fires = rows[page.scene.activation(feature)[rows] > 0]
    state.change(tab="selection", selection=pack_rows(fires[: len(fires) // 2 + 1]))
    found["selection"] = str(page.selection.data["blocks"])
    state.change(tab="compare", pinned=int(rows[page.scene.activation(feature)[rows] == 0][0]), selection=b"")
    found["compare"] = str(page.comparison.data["blocks"])
    state.change(tab="near")
    found["neighbours"] = str(page.neighbours.data["blocks"])
    state.change(tab="notes")
    found["notes"] = str(page.notes.data["named"])
    return found


def strongest(page: Explorer) -> int:
    return int(page.scene.terms(page.state, page.state.galaxy)[0]["feature"])


def test_a_label_is_shown_wherever_the_feature_is_named(page, path):
    feature = strongest(page)
    name = f"f{feature} · blue discs"
    assert not any("blue" in words for words in everywhere(page, feature).values())
    write(page, "label", "  blue discs ", feature=feature)
    assert page.label(feature) == name
    for place, words in everywhere(page, feature).items():
        assert name in words, place
    atlas = Atlas(SparseCodes.open(path))
    assert atlas.label(feature) == name
    assert name in [card["label"] for card in atlas.card_grid.data["cards"]]
    atlas.state.change(find="BLUE")
    assert [card["feature"] for card in atlas.card_grid.data["cards"]] == [feature]
    atlas.state.change(find="", view="signs")
    assert name in [row["label"] for row in atlas.tables.data["rows"]]
    atlas.state.change(view="matrix")
    assert name in atlas.tables.data["labels"]
    atlas.state.change(feature=feature)
    assert atlas.feature.data["label"] == name and atlas.feature.plot["label"] == name
    assert atlas.strip.data["features"]["label"] == "blue discs"
    yours = YourGalaxy(SparseCodes.open(path))
    yours.open_row(page.state.galaxy)
    assert name in [term["label"] for term in yours.inspector.data["terms"]]


def test_a_change_redraws_every_view_that_names_it_in_one_go(page, monkeypatch):
    sent: list[str] = []
    monkeypatch.setattr(LinkedFigures, "send", lambda self, content, buffers=None: sent.append("plots"))
    views = ("toggles", "inspector", "gallery", "notes", "plot_menu", "k_slider")
    for name in views:
        getattr(page, name).observe(lambda _change, name=name: sent.append(name), "data")
    in_focus, other = page.state.feature, strongest(page)
    assert in_focus != other
    write(page, "label", "blue", feature=other)
    assert {name: sent.count(name) for name in set(sent)} == {"toggles": 1, "inspector": 1, "notes": 1}
    sent.clear()
    write(page, "label", "red", feature=in_focus)
    assert {name: sent.count(name) for name in set(sent)} == {
        **{"toggles": 1, "gallery": 1, "notes": 1},  # the gallery offers to sort by this feature
        **({"inspector": 1} if f"'f{in_focus} · red'" in str(page.inspector.data) else {}),  # as a runner-up, say
        "plots": 3,  # header, metadata and content of one patch
    }


def test_a_pane_in_front_is_renamed_at_once(page):
    feature, state = strongest(page), page.state
    rows = page.scene.view(state)
    fires = rows[page.scene.activation(feature)[rows] > 0]
    state.change(selection=pack_rows(fires[: len(fires) // 2 + 1]), pinned=int(np.setdiff1d(rows, fires)[0]))
    panes = (("selection", page.selection), ("compare", page.comparison), ("near", page.neighbours))
    for sitting, (tab, pane) in enumerate(panes):
        state.change(tab=tab)
        write(page, "label", f"seen in {tab}", feature=feature, sitting=sitting)
        assert f"f{feature} · seen in {tab}" in str(pane.data["blocks"]), tab


def test_neighbours_and_the_compared_have_their_star_and_label_at_once(page):
    def tiles(pane) -> dict[str, dict]:
        return {item["id"]: item for b in pane.data["blocks"] if b["kind"] == "galaxies" for item in b["items"]}

    page.state.change(tab="near")
    other = page.codes.index_of(next(iter(tiles(page.neighbours))))
    assert not any(tile["star"] or tile["label"] for tile in tiles(page.neighbours).values())
    star(page, other)
    write(page, "label", "odd", galaxy=other)
    marked = {key: tile["label"] for key, tile in tiles(page.neighbours).items() if tile["star"]}
    assert marked == {page.codes.ids[other]: "odd"}
    page.state.change(tab="compare", pinned=other)
    assert {key: tile["star"] for key, tile in tiles(page.comparison).items()} == {
        page.codes.ids[other]: True,
        page.codes.ids[page.state.galaxy]: False,
    }
    star(page, other)
    assert not any(tile["star"] for tile in tiles(page.comparison).values())


def test_galaxies_have_their_star_and_label_in_the_gallery_and_the_inspector(page):
    row = page.state.galaxy
    write(page, "label", "merger?", galaxy=row)
    write(page, "note", "two nuclei\nseen in g", galaxy=row)
    star(page, row)
    tile = next(g for g in page.gallery.data["galaxies"] if g["id"] == page.codes.ids[row])
    assert (tile["star"], tile["label"]) == (True, "merger?")
    said = page.inspector.data["said"]
    assert (said["star"], said["label"], said["note"]) == (True, "merger?", "two nuclei\nseen in g")
    star(page, row)
    assert page.inspector.data["said"]["star"] is False
    assert not any(g["star"] for g in page.gallery.data["galaxies"])


def test_starred_features_come_first_or_alone(page):
    features = [row["feature"] for row in page.toggles.data["rows"]]
    chosen = [features[5], features[2]]
    for feature in chosen:
        send(page.notes, do="star", kind="features", key=feature)
    send(page.toggles, do="stars", stars="first")
    shown = [row["feature"] for row in page.toggles.data["rows"]]
    rest = [f for f in features if f not in chosen]
    assert shown == [features[2], features[5], *rest] and page.query == "stars=first"
    send(page.toggles, do="stars", stars="only")
    assert [row["feature"] for row in page.toggles.data["rows"]] == [features[2], features[5]]
    assert page.toggles.data["active"] == len(features)
    send(page.toggles, do="none")  # all of them, whatever the list shows
    assert page.state.off == set(features)
    for value in ("all", None, 1, "x" * 10**6):
        send(page.toggles, do="stars", stars=value)
    assert page.state.stars == "only"


# -- kept ----------------------------------------------------------------------------------------------------------


def test_what_is_written_is_on_disk_at_once_and_opens_again(page, path):
    assert not labels_path(path).exists()  # opening a page writes nothing
    assert page.notes.data["saved"] == {"ok": True, "text": "Saved as you write: run.labels.json, beside the codes"}
    write(page, "label", "blue", feature=3)
    write(page, "note", "a\r\nb", feature=3)
    send(page.notes, do="join", kind="features", key=3, list=" colour ")
    assert page.notes.data["saved"]["text"].startswith("Saved: run.labels.json")
    items = next(iter(file_of(path)["features"].values()))
    assert items["items"]["3"]["label"] == "blue" and items["items"]["3"]["note"] == "a\nb"
    assert items["lists"]["colour"]["members"] == [3]
    again = Explorer(SparseCodes.open(path))
    again.state.change(feature=3, tab="notes")
    form = again.notes.data["features"]
    assert (form["label"], form["note"], form["on"], form["name"]) == ("blue", "a\nb", ["colour"], "f3")
    assert again.notes.data["featureLists"] == [["colour", [[3, "f3 · blue"]]]]


def test_opening_reckons_no_fingerprint_where_there_are_no_labels(path, monkeypatch):
    monkeypatch.setattr(SparseCodes, "fingerprint", property(lambda self: pytest.fail("read all the codes")))
    page = Explorer(SparseCodes.open(path))
    page.state.change(split="", feature=2)
    assert page.label(2) == "f2"


def test_a_folder_that_cannot_be_written_is_said_and_nothing_is_lost(page, path, monkeypatch):
    def refuse(*_a, **_k):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(labels_store, "write_text", refuse)
        write(page, "label", "blue", feature=3)
        assert page.label(3) == "f3 · blue" and not labels_path(path).exists()
        saved = page.notes.data["saved"]
        assert not saved["ok"] and "read-only" in saved["text"] and str(path.parent) not in saved["text"]
        send(page.notes, do="save")
        assert not page.notes.data["saved"]["ok"]
    send(page.notes, do="save")
    assert page.notes.data["saved"]["ok"] and next(iter(file_of(path)["features"].values()))["items"]["3"]


def test_codes_without_a_file_keep_labels_while_the_page_is_open(made_up):
    page = Explorer(made_up(30, features=8))
    assert "while this page is open" in page.notes.data["saved"]["text"]
    write(page, "label", "blue", feature=3)
    assert page.label(3) == "f3 · blue" and "no file" in page.notes.data["saved"]["text"]
    assert not page.notes.data["saved"]["ok"]


def test_the_samples_labels_are_the_users_and_not_the_installations(tmp_path, monkeypatch):
    monkeypatch.setenv("SFNET_CACHE", str(tmp_path / "cache"))
    before = sorted(sample_folder().iterdir())
    codes = sample_codes()
    assert own_labels_path(codes) == tmp_path / "cache" / "sample-codes.labels.json"
    page = Explorer(codes)
    write(page, "label", "blue", feature=3)
    assert page.notes.data["saved"]["text"] == "Saved: sample-codes.labels.json, in SFNet's cache folder"
    assert (tmp_path / "cache" / "sample-codes.labels.json").is_file() and sorted(sample_folder().iterdir()) == before
    copy = SparseCodes.open(shutil.copy(codes.path, tmp_path / "mine.parquet"))
    assert own_labels_path(copy) is None  # a copy is the user's own file


def test_labels_of_codes_that_nobody_may_write_beside_are_in_a_folder_of_ones_own(path, tmp_path, monkeypatch):
    monkeypatch.setenv("SFNET_LABELS", str(tmp_path / "mine" / "labels"))
    page = Explorer(SparseCodes.open(path))
    write(page, "label", "blue", feature=3)
    assert page.notes.data["saved"]["text"] == "Saved: run.labels.json, in your labels folder"
    assert (tmp_path / "mine" / "labels" / "run.labels.json").is_file() and not labels_path(path).exists()
    assert Atlas(SparseCodes.open(path)).label(3) == "f3 · blue"
    monkeypatch.setenv("SFNET_LABELS", str(path / "no" / "folder"))
    page = Explorer(SparseCodes.open(path))
    write(page, "label", "blue", feature=3)
    assert page.label(3) == "f3 · blue" and "Not saved" in page.notes.data["saved"]["text"]


def test_what_is_wrong_with_the_labels_file_is_said_when_the_page_opens(path):
    labels_path(path).write_text("{", encoding="utf-8")
    page = Explorer(SparseCodes.open(path))
    assert any(labels_path(path).name in notice for notice in page.header.data["notices"])
    write(page, "label", "blue", feature=3)
    assert labels_path(path).read_text(encoding="utf-8") == "{" and not page.notes.data["saved"]["ok"]
    assert any(labels_path(path).name in notice for notice in Atlas(SparseCodes.open(path)).head.data["notices"])


# -- other pages ---------------------------------------------------------------------------------------------------


def test_r3_two_pages_see_each_others_changes_and_lose_none(page, path):
    other, atlas = Explorer(SparseCodes.open(path)), Atlas(SparseCodes.open(path))
    feature = page.state.feature
    write(page, "label", "blue", feature=feature)
    assert other.toggles.data["rows"][0]["label"] == f"f{feature}"
    send(other.notes, do="look")
    assert other.toggles.data["rows"][0]["label"] == f"f{feature} · blue"
    assert other.plots.panels[0].figure.title.text.startswith(f"f{feature} · blue")
    other.inspector.observe(lambda _c: pytest.fail("redrawn for nothing"), "data")
    send(other.notes, do="look")
    other.inspector.unobserve_all("data")
    write(other, "note", "of the other", feature=feature)
    star(other, 4)
    page.state.change(page=0, sort="z")  # any change of the page looks too
    assert page.labels.book.feature(feature).note == "of the other" and page.labels.book.star_rows() == {4}
    send(atlas.strip, do="look")
    assert f"f{feature} · blue" in [card["label"] for card in atlas.card_grid.data["cards"]]
    assert other.labels.book.features == page.labels.book.features


def test_undo_leaves_what_the_other_page_wrote(page, path):
    other = Explorer(SparseCodes.open(path))
    write(page, "label", "mine", feature=3)
    send(other.notes, do="look")
    write(other, "label", "theirs", feature=5)
    write(other, "note", "theirs too", feature=3)
    send(page.notes, do="look")
    assert page.state.undo()
    book = LabelBook.open(SparseCodes.open(path))
    assert book.feature(5).label == "theirs" and book.feature(3).label == ""


def test_undo_leaves_what_the_other_page_wrote_in_the_same_moment(page, path, monkeypatch):
    other = Explorer(SparseCodes.open(path))
    monkeypatch.setattr(page.labels.book, "refresh", lambda: False)  # its news came too late to be looked at
    write(other, "label", "theirs", feature=5)
    write(page, "label", "mine", feature=3)
    assert page.state.undo()
    book = LabelBook.open(SparseCodes.open(path))
    assert book.feature(5).label == "theirs" and book.feature(3).label == ""


def test_undo_of_an_import_leaves_what_the_other_page_wrote_before_it(page, path, tmp_path):
    other = Explorer(SparseCodes.open(path))
    stranger = Explorer(SparseCodes.open(shutil.copy(path, tmp_path / "stranger.parquet")))
    write(stranger, "label", "strange", feature=7)
    write(other, "label", "theirs", feature=5)
    send(page.notes, [stranger.labels.book.export_text().encode()], do="import")
    assert page.label(7) == "f7 · strange" and page.state.undo()
    book = LabelBook.open(SparseCodes.open(path))
    assert book.feature(5).label == "theirs" and not book.feature(7)


# -- undo ----------------------------------------------------------------------------------------------------------


def test_labels_and_choices_are_undone_in_the_order_they_were_done(page):
    state = page.state
    write(page, "label", "one", feature=3)
    state.change(split="train")
    send(page.notes, do="join", kind="features", key=3, list="colour")
    write(page, "label", "two", feature=3, sitting=2)
    seen = []
    for _ in range(4):
        assert state.undo()
        seen.append((page.label(3), state.split, tuple(page.labels.book.lists("features"))))
    assert seen == [
        ("f3 · one", "train", ("colour",)),
        ("f3 · one", "train", ()),
        ("f3 · one", "validation", ()),
        ("f3", "validation", ()),
    ]
    assert not state.undo()
    while state.redo():
        pass
    assert (page.label(3), state.split) == ("f3 · two", "train")
    assert page.labels.book.lists("features") == {"colour": (3,)}


def test_a_label_after_an_undo_leaves_nothing_to_redo(page):
    write(page, "label", "one", feature=3)
    page.state.undo()
    write(page, "label", "other", feature=4, sitting=2)
    assert not page.state.redo() and page.label(3) == "f3" and page.label(4) == "f4 · other"


def test_what_is_typed_in_one_sitting_is_one_step(page):
    for words in ("b", "blu", "blue discs"):
        write(page, "label", words, feature=3, sitting=7)
    write(page, "label", "blue discs, edge-on", feature=3, sitting=8)
    assert page.state.undo() and page.label(3) == "f3 · blue discs"
    assert page.state.undo() and page.label(3) == "f3"
    assert not page.state.undo()


def test_an_undo_that_is_refused_stays_on_the_list():
    state, told = State(4, 4), []
    state.on_change(told.append)

    def refuse() -> None:
        raise SFNetError("no")

    state.record(refuse, lambda: None)
    with pytest.raises(SFNetError):
        state.undo()
    assert told == [frozenset({"labels"})]
    with pytest.raises(SFNetError):
        state.undo()
    state.forget()
    assert not state.undo()


ACTS = st.one_of(
    st.tuples(st.just("label"), st.integers(0, 3), st.sampled_from(["", "a", "b"])),
    st.tuples(st.just("star"), st.integers(0, 3), st.none()),
    st.tuples(st.just("join"), st.integers(0, 3), st.sampled_from(["x", "y"])),
    st.tuples(st.just("leave"), st.integers(0, 3), st.sampled_from(["x", "y"])),
    st.tuples(st.just("drop"), st.none(), st.sampled_from(["x", "y"])),
    st.tuples(st.just("choice"), st.integers(0, 3), st.none()),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(acts=st.lists(ACTS, max_size=12), kind=st.sampled_from(["features", "galaxies"]))
def test_undoing_everything_and_redoing_it_gives_both_ends_again(made_up, acts, kind):
    codes = SHARED.setdefault("codes", made_up(10, features=8))
    state = State(codes.features, len(codes))
    naming = LabelEditor(codes, state)
    book, ids = naming.book, codes.ids.tolist()
    naming.set(kind, 0 if kind == "features" else ids[0], label="first", star=True)
    naming.collect(kind, "x", [1 if kind == "features" else ids[1]], add=True)
    state.forget()

    def now() -> tuple:
        return getattr(book, kind), book.lists(kind), state.feature

    def plain(what: tuple) -> tuple:
        entries, lists, feature = what
        return {key: (e.label, e.note, e.star) for key, e in entries.items()}, lists, feature

    start = plain(now())
    actions = naming.actions()
    for i, (act, place, words) in enumerate(acts):
        key = place if kind == "features" or place is None else ids[place]
        message = {"kind": kind, "key": key, "list": words, "field": "label", "text": words, "sitting": i}
        if act == "choice":
            state.change(feature=place)
        else:
            try:
                actions["write" if act == "label" else act](message)
            except SFNetError as error:
                assert "There is no list" in str(error)
    end = plain(now())
    while state.undo():
        pass
    assert plain(now()) == start
    while state.redo():
        pass
    assert plain(now()) == end


SHARED: dict[str, SparseCodes] = {}


# -- lists and filters ---------------------------------------------------------------------------------------------


def shown_ids(page: Explorer) -> set[int]:
    return set(page.scene.view(page.state).tolist())


def test_stars_lists_and_labels_in_filters(page):
    page.state.change(split="")
    for row in (3, 5, 8):
        star(page, row)
    for row, words in ((5, "Merger, late"), (6, "merger?"), (7, "disc")):
        write(page, "label", words, galaxy=row)
    write(page, "note", "strange\nlines", galaxy=9)
    for row, name in ((5, "mergers"), (6, "mergers"), (6, 'the "odd" ones'), (9, 'the "odd" ones')):
        send(page.notes, do="join", kind="galaxies", key=str(page.codes.ids[row]), list=name)
    z = page.codes.column("z")
    for words, rows in (
        ("star", {3, 5, 8}),
        ('label contains "merger"', {5, 6}),
        ('label = "disc"', {7}),
        ("label is known and not star", {6, 7}),
        ('note contains "LINES"', {9}),
        ('list = "mergers"', {5, 6}),
        ('list = "the ""odd"" ones" and list = "mergers"', {6}),
        ('list in ("mergers", "nothing")', {5, 6}),
        ('list != "mergers"', {9}),
        ('list not in ("mergers")', {9}),
        ('list contains "ODD"', {6, 9}),
        ("list is known", {5, 6, 9}),
        ('list = "no such list"', set()),
        (f"star and z > {float(z[3])!r}", {row for row in (3, 5, 8) if z[row] > z[3]}),
    ):
        send(page.header, do="filter", filter=words)
        assert page.state.filter == words and shown_ids(page) == rows, words
    send(page.header, do="filter", filter="not list is known")
    assert shown_ids(page) == set(range(90)) - {5, 6, 9}
    names = page.scene.names(0)
    assert {"star", "label", "note", "list"} <= set(names.words())
    assert complete("lis", 3, names)[0] == "list"
    assert complete('list = "', 8, names) == ['"mergers"', '"the ""odd"" ones"']
    assert '"disc"' in complete("label = ", 8, names)
    send(page.header, do="filter", filter="star > 3")
    assert "yes or no" in str(page.header.data["notices"]) or page.state.filter == "not list is known"


def test_a_filter_follows_the_labels(page):
    page.state.change(split="")
    star(page, 3)
    send(page.header, do="filter", filter="star")
    assert shown_ids(page) == {3} and " N 1 " in page.header.data["status"]
    star(page, 8)
    assert shown_ids(page) == {3, 8} and {g["id"] for g in page.gallery.data["galaxies"]} == set(page.codes.ids[[3, 8]])
    assert " N 2 " in page.header.data["status"] and len(page.plots.source.data["id"]) == 2
    page.state.undo()
    assert shown_ids(page) == {3} and len(page.plots.source.data["id"]) == 1
    send(page.notes, do="join", kind="galaxies", key=str(page.codes.ids[4]), list="odd")
    send(page.notes, do="filter-list", list="odd")
    assert page.state.filter == 'list = "odd"' and shown_ids(page) == {4}
    send(page.notes, do="drop", kind="galaxies", list="odd")
    assert shown_ids(page) == set() and page.gallery.data["galaxies"] == []
    page.state.undo()
    assert shown_ids(page) == {4}
    send(page.notes, do="filter-list", list="odd")
    assert page.state.filter == ""
    send(page.notes, do="filter", of="star")
    assert shown_ids(page) == {3}
    send(page.notes, do="filter", of="label")
    assert page.state.filter == "label is known" and shown_ids(page) == set()


def test_a_filter_of_another_page_follows_too(page, path):
    other = Explorer(SparseCodes.open(path))
    star(page, 3)
    page.state.change(split="", filter="star")
    star(other, 5)
    send(page.notes, do="look")
    assert shown_ids(page) == {3, 5} and len(page.gallery.data["galaxies"]) == 2


def test_the_selection_goes_on_a_list(page):
    rows = page.scene.view(page.state)[:7]
    send(page.notes, do="join-selected", list="chosen")
    assert "No galaxy is selected" in page.header.data["notices"][-1]
    page.state.change(selection=pack_rows(rows), tab="notes")
    assert page.notes.data["selected"] == 7
    send(page.notes, do="join-selected", list="chosen")
    assert page.labels.book.lists("galaxies") == {"chosen": tuple(sorted(page.codes.ids[rows].tolist()))}
    assert page.notes.data["galaxyLists"] == [["chosen", 7]]
    page.state.undo()
    assert page.labels.book.lists("galaxies") == {} and page.notes.data["galaxyLists"] == []


# -- export and import ---------------------------------------------------------------------------------------------


def test_export_and_import_and_their_undo(page, path, tmp_path, monkeypatch):
    write(page, "label", "blue", feature=3)
    sent = []
    monkeypatch.setattr(page.notes, "send", lambda content, buffers=None: sent.append((content, buffers)))
    send(page.notes, do="export")
    content, [data] = sent[0]
    assert content == {"download": "run.labels.json", "mime": "application/json"}
    assert json.loads(data) == file_of(path)
    other_path = Path(shutil.copy(path, tmp_path / "other.parquet"))
    other = Explorer(SparseCodes.open(other_path))
    write(other, "label", "older, of another feature", feature=5)
    send(other.notes, [memoryview(data)], do="import")
    assert other.label(3) == "f3 · blue" and other.label(5).endswith("another feature")
    assert "1 label(s) came in" in other.header.data["notices"][-1]
    other.state.undo()
    assert other.label(3) == "f3" and other.label(5).endswith("another feature")
    other.state.redo()
    assert other.label(3) == "f3 · blue" and "3" in next(iter(file_of(other_path)["features"].values()))["items"]


BAD_FILES = [
    b"", b"{", b"[]", b"null", b'{"kind": "sfnet labels", "schema": 99}', b"\xff\xfe", b"[" * 100_000,
    b'{"kind": "sfnet labels", "schema": 1, "galaxies": {"items": {"a": {"label": 5}}}}',
]  # fmt: skip


@pytest.mark.parametrize("data", BAD_FILES, ids=lambda d: d[:20].decode("latin-1"))
def test_t3_a_file_that_is_no_labels_file_is_refused_with_a_sentence(page, path, data):
    write(page, "label", "blue", feature=3)
    before, book = page.state.values(), page.labels.book.export_text()
    send(page.notes, [data], do="import")
    assert "The file" in page.header.data["notices"][-1] and page.header.data["notices"][-1].endswith((".", '".'))
    assert page.state.values() == before and page.labels.book.export_text() == book
    assert page.state.undo() and page.label(3) == "f3" and not page.state.undo()


def test_t3_an_import_of_the_wrong_size_or_shape_changes_nothing(page):
    send(page.notes, [b" " * (MOST_UPLOAD + 1)], do="import")
    assert f"{MOST_UPLOAD + 1:,} bytes" in page.header.data["notices"][-1]
    for buffers in ([], [b"{}", b"{}"], [5], [None]):
        send(page.notes, buffers, do="import")
    assert not page.state.undo() and page.labels.book.features == {}


# -- hostile -------------------------------------------------------------------------------------------------------


def test_t10_labels_stay_texts_in_every_view_and_no_formula_in_a_plot(page, path):
    feature, row = strongest(page), page.state.galaxy
    write(page, "label", HOSTILE, feature=feature)
    write(page, "label", HOSTILE, galaxy=row)
    write(page, "note", HOSTILE, galaxy=row)
    send(page.notes, do="join", kind="galaxies", key=str(page.codes.ids[row]), list=HOSTILE)
    name = f"f{feature} · {HOSTILE}"
    assert page.label(feature) == name
    found = everywhere(page, feature)
    assert found["toggles"] == found["equation"] == name and found["map"].startswith(name)
    for place in ("title", "axis", "third plot"):
        assert "$$" not in found[place] and f"f{feature} · $$x^2$$ <" in found[place].replace("\u200b", "")
    page.state.change(tab="galaxy", sort="z")
    assert page.inspector.data["said"]["label"] == HOSTILE
    assert HOSTILE in [g["label"] for g in page.gallery.data["galaxies"]]
    send(page.notes, do="filter-list", list=HOSTILE)
    assert shown_ids(page) == {row}
    assert all(isinstance(panel.hover.tooltips, list | type(None)) for panel in page.plots.panels)  # never HTML
    assert Atlas(SparseCodes.open(path)).label(feature) == name


def test_t10_marks_that_turn_the_text_end_with_the_label(page):
    write(page, "label", "\u202eeulb\u2066", feature=3)
    assert page.label(3) == "f3 · eulb"
    assert page.labels.book.feature(3).label == "\u202eeulb\u2066"  # kept as it was written


SUBJECTS = [
    {"kind": kind, "key": key}
    for kind, key in [
        ("features", -1), ("features", 10**9), ("features", 24), ("features", True), ("features", 1.0),
        ("features", "3"), ("features", None), ("features", [3]), ("features", float("nan")), ("galaxies", "nobody"),
        ("galaxies", 3), ("galaxies", ""), ("galaxies", "x" * 10**6), ("galaxies", None), ("galaxies", ["a"]),
        ("galaxies", "../x"), ("other", 3), (None, 3), (["features"], 3), ("__class__", 3), ("x" * 10**6, 3),
    ]
]  # fmt: skip
GOOD = {"kind": "features", "key": 3}
WRONG = [
    *({"do": "write", "field": "label", "text": "x", "sitting": 1, **subject} for subject in SUBJECTS),
    *({"do": do, "list": "x", **subject} for do in ("star", "join", "leave") for subject in SUBJECTS),
    *(
        {"do": "write", "field": field, "text": text, "sitting": sitting, **GOOD}
        for field, text, sitting in [
            ("star", "x", 1), ("__dict__", "x", 1), (None, "x", 1), ("label", None, 1), ("label", 5, 1),
            ("label", [], 1), ("label", "x" * 121, 1), ("label", "x" * 100_000_000, 1), ("label", "a\nb", 1),
            ("label", "a\0b", 1), ("note", "x" * 4001, 1), ("note", "a\x1bb", 1), ("label", "\ud800", 1),
            ("label", "x", "1"), ("label", "x", None), ("label", "x", 1.5),
        ]
    ),
    *({"do": "join", **GOOD, "list": name} for name in ("", "  ", "x" * 81, "a\nb", None, 5, [], "x" * 10**6)),
    *({"do": do, **GOOD, "list": "nothing"} for do in ("leave", "drop")),
    *({"do": do} for do in ("write", "star", "join", "leave", "drop", "join-selected")),
    *({"do": do} for do in ("filter", "filter-list", "focus")),
    *({"do": "filter", "of": of} for of in ("note", None, 5, "__class__", "x" * 10**6)),
    *({"do": "filter-list", "list": name} for name in ("nothing", None, 5, [], "x" * 10**6)),
    {"do": "import"}, {"do": "restore"}, {"do": "look", "serial": 10**9}, {"do": "focus", "feature": 10**9},
]  # fmt: skip


def test_t3_ill_typed_messages_change_nothing(page, path):
    write(page, "label", "blue", feature=5)
    views = (page.notes, page.inspector)
    before, text, book = page.state.values(), labels_path(path).read_bytes(), page.labels.book.export_text()
    for message in WRONG:
        for view in views:
            view._receive(None, message, [])
        assert page.state.values() == before, str(message)[:200]
        assert labels_path(path).read_bytes() == text and page.labels.book.export_text() == book, str(message)[:200]
    assert page.state.undo() and not page.state.undo()  # nothing else was put on the list
    atlas = Atlas(SparseCodes.open(path))
    for message in WRONG:
        atlas.strip._receive(None, message, [])
    assert not atlas.state.undo()


def test_t3_whatever_is_written_into_data_is_not_read_back(page):
    kept = dict(page.notes.data)
    for value in ({}, {"features": {"key": 3}, "galaxies": None}, {"x": "y" * 10**6}):
        state = {"method": "update", "state": {"data": value}, "buffer_paths": []}
        page.notes._handle_msg({"content": {"data": state}, "buffers": []})
        page.notes.draw(page.state.query)
        assert page.notes.data == kept
    assert page.labels.book.features == {}


# -- pieces --------------------------------------------------------------------------------------------------------


def test_a_name_is_cut_to_its_room():
    assert brief("short") == "short" and brief("x" * 28) == "x" * 28
    assert brief("x" * 29) == "x" * 27 + "…" and brief("blue discs", 6) == "blue…"


@given(st.text(alphabet="$\\([)] a", max_size=30))
def test_no_text_is_a_formula_to_bokeh(words):
    out = untexed(words)
    assert not any(mark in out for mark in ("$$", "\\(", "\\["))
    assert out.replace("\u200b", "") == words


def test_the_notes_pane_without_a_feature_or_a_galaxy(page):
    page.state.change(feature=-1, galaxy=-1, tab="notes")
    assert page.notes.data["features"] is None and page.notes.data["galaxies"] is None and page.notes.data["shown"]
    assert page.labels.galaxy("nobody") == Entry()


def test_the_overview_counts_and_orders(page):
    page.state.change(tab="notes")
    write(page, "label", "b", feature=7)
    write(page, "note", "a note only", feature=2)
    send(page.notes, do="star", kind="features", key=9)
    star(page, 4)
    write(page, "label", "odd", galaxy=5)
    data = page.notes.data
    assert data["named"] == [[9, "f9", True, False], [2, "f2", False, True], [7, "f7 · b", False, False]]
    assert (data["starred"], data["labelled"]) == (1, 1) and np.all([data["more"] == 0, data["written"] == 5])
