"""Labels: kept, shared between pages and processes, never lost, never trusted."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.annotations import store as labels_store
from sfnet_core.annotations.document import MOST_ITEMS, Document, Roster, Section, merge, read_labels, write_document
from sfnet_core.annotations.labels import Entry, LabelBook, labels_path
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SFNetError

HOSTILE = "<img src=x onerror=alert(1)>"


def make(
    path: Path | None = None, *, weight: float = 1.0, run: str = "", ids: tuple = ("a", "b", HOSTILE)
) -> SparseCodes:
    """Three galaxies of five features; other weights make another fingerprint."""
    codes = SparseCodes.from_arrays(
        ids=ids, indices=np.array([[0, 1], [1, 2], [4, -1]]), values=np.array([[1.0, 0.5], [1, 0.25], [2, 0]]), k=2,
        features=5, weight=np.full((1, 5), weight), bias=[8.7], targets=["oh_p50"],
        provenance={"run_fingerprint": run},
    )  # fmt: skip
    if path is None:
        return codes
    codes.save(path)
    return SparseCodes.open(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.parquet"


@pytest.fixture
def book(path: Path) -> LabelBook:
    return LabelBook.open(make(path))


def again(book: LabelBook) -> LabelBook:
    """Another page on the same codes."""
    return LabelBook.open(book.codes)


# ---- what is kept


def test_what_was_said_is_there_for_the_next_page(book):
    before = book.set_feature(1, label="bar", note="seen in\nbarred spirals", star=True)
    book.set_galaxy("b", label="odd one")
    book.add("features", "bars", [4, 1])
    book.add("galaxies", "to observe", ["b", "a"])
    other = again(book)
    assert not before and not other.trouble and not other.notices
    assert other.feature(1) == book.feature(1)
    assert (other.feature(1).label, other.feature(1).note, other.feature(1).star) == (
        "bar",
        "seen in\nbarred spirals",
        True,
    )
    assert other.galaxy("b").label == "odd one" and not other.galaxy("a") and not other.feature(2)
    assert list(other.features) == [1] and list(other.galaxies) == ["b"]
    assert other.lists("features") == {"bars": (1, 4)} and other.lists("galaxies") == {"to observe": ("a", "b")}


def test_the_file_is_plain_json_beside_the_codes(book, path):
    book.set_feature(1, label="bär")
    file = path.parent / "run.labels.json"
    assert labels_path(path) == file == book.path
    value = json.loads(file.read_text(encoding="utf-8"))
    assert "bär" in file.read_text(encoding="utf-8"), "people can read it"
    assert value["kind"] == "sfnet labels" and value["schema"] == 1 and value["codes"] == book.codes.fingerprint
    assert value["features"][book.codes.fingerprint]["items"]["1"]["label"] == "bär"
    assert sorted(p.name for p in path.parent.iterdir()) == [".run.labels.json.lock", "run.labels.json", "run.parquet"]


def test_the_fields_of_an_entry_are_independent_and_can_be_taken_away(book):
    book.set_feature(1, label="bar", star=True)
    before = book.set_feature(1, label="")
    assert before.label == "bar" and book.feature(1).star and not book.feature(1).label
    book.set_feature(1, star=False)
    assert book.features == {} and again(book).features == {}
    book.set_feature(1, label=before.label, note=before.note, star=before.star)  # as an undo does
    assert again(book).feature(1).label == "bar"


def test_saying_the_same_again_writes_nothing(book):
    book.set_feature(1, label="bar")
    stamp = book.path.stat().st_mtime_ns
    book.set_feature(1, label="bar", star=False)
    assert book.path.stat().st_mtime_ns == stamp


def test_lists_grow_shrink_and_go(book):
    assert book.add("features", "x", [3, 1]) == 2 and book.add("features", "x", [1, np.int16(0)]) == 3
    assert book.remove("features", "x", [1, 2]) == 2 and book.lists("features") == {"x": (0, 3)}
    assert book.add("galaxies", "empty") == 0 and again(book).lists("galaxies") == {"empty": ()}
    book.drop("features", "x")
    assert again(book).lists("features") == {}
    assert book.add("features", "x", [4]) == 1, "a deleted list begins anew"
    for change in (lambda: book.remove("features", "none", [1]), lambda: book.drop("galaxies", "none")):
        with pytest.raises(SFNetError, match="no list 'none'"):
            change()


def test_rows_for_a_filter(book):
    book.set_galaxy("b", label="one", star=True)
    book.set_galaxy(HOSTILE, note="only a note")
    assert book.label_rows() == {1: "one"} and book.star_rows() == {1}
    smaller = SparseCodes.from_arrays(
        ids=["b"], indices=[[0]], values=[[1.0]], k=1, features=5, weight=np.ones((1, 5)), bias=[0.0], targets=["y"]
    )
    other = LabelBook.open(smaller, book.path)
    assert other.label_rows() == {0: "one"} and len(other.galaxies) == 2


def test_t10_hostile_texts_are_kept_literally(book):
    texts = [HOSTILE, "</script><script>alert(1)</script>", '"; DROP TABLE', "{{7*7}}", "a\u202eb", "0" * 120, "=1+1"]
    for text in texts:
        book.set_feature(0, label=text)
        book.set_galaxy(HOSTILE, label=text, note=text + "\n\t" + text)
        book.add("galaxies", text[:80], [HOSTILE])
        other = again(book)
        assert other.feature(0).label == other.galaxy(HOSTILE).label == text
        assert other.galaxy(HOSTILE).note == text + "\n\t" + text
        assert other.lists("galaxies")[text[:80]] == (HOSTILE,)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: b.set_feature(1, label="x" * 121), "121 characters; 120 are the most"),
        (lambda b: b.set_feature(1, note="x" * 4001), "4,001 characters"),
        (lambda b: b.set_feature(1, label="two\nlines"), "line break"),
        (lambda b: b.set_feature(1, label="nul\x00"), r"U\+0000"),
        (lambda b: b.set_feature(1, note="half \ud800"), r"U\+D800"),
        (lambda b: b.set_feature(1, label=7), "must be a text"),
        (lambda b: b.set_feature(1, star="yes"), "true or false"),
        (lambda b: b.set_feature(5, label="x"), "no feature '5'"),
        (lambda b: b.set_feature(-1, label="x"), "no feature"),
        (lambda b: b.set_feature(True, label="x"), "no feature"),
        (lambda b: b.set_feature("1", label="x"), "no feature"),
        (lambda b: b.set_feature(1.0, label="x"), "no feature"),
        (lambda b: b.set_galaxy("nobody", label="x"), "No galaxy 'nobody'"),
        (lambda b: b.set_galaxy("x" * 300, label="x"), "300 characters"),
        (lambda b: b.set_galaxy(3, label="x"), "must be a text"),
        (lambda b: b.add("features", "", [1]), "needs a name"),
        (lambda b: b.add("features", "x" * 81, [1]), "81 characters"),
        (lambda b: b.add("features", "x", [9]), "no feature"),
        (lambda b: b.add("galaxies", "x", ["nobody"]), "No galaxy"),
        (lambda b: b.add("other", "x", [1]), "No galaxy|not of 'other'|no feature"),
        (lambda b: b.lists("other"), "not of 'other'"),
        (lambda b: b.transfer({1: 2}), "the file has: none"),
        (lambda b: b.export(b.path.with_suffix(".parquet")), "to a .json file"),
        (lambda b: b.import_file(b.path.with_name("none.json")), "none.json can't be read"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_changes_nothing(book, change, said):
    book.set_feature(1, label="bar")
    before = book.path.read_bytes()
    with pytest.raises(SFNetError, match=said):
        change(book)
    assert book.path.read_bytes() == before and not book.trouble and book.feature(1).label == "bar"


def test_more_lists_than_a_file_may_hold_are_refused(book):
    for i in range(200):
        book._store.later(lambda d, i=i: d.galaxies.lists.update({f"list {i}": Roster()}))
    with pytest.raises(SFNetError, match="201 lists are more than the 200"):
        book.add("galaxies", "one more", [])
    book.set_feature(1, label="goes on")
    assert len(again(book).lists("galaxies")) == 200


def test_more_entries_than_a_file_may_hold_are_refused():
    with pytest.raises(SFNetError, match="50,001 entries"):
        Section({str(i): Entry("x") for i in range(MOST_ITEMS + 1)}).check("Galaxies")


# ---- two pages


def test_r3_two_pages_never_lose_each_others_entries(book):
    other = again(book)
    book.set_feature(1, label="bar")
    other.set_feature(2, label="ring")  # has not looked at the file since
    book.set_galaxy("a", star=True)
    other.set_feature(1, note="a note to the other's label")
    book.add("features", "list", [1])
    other.add("features", "list", [2])
    for page in (again(book), other):
        assert {j: e.label for j, e in page.features.items()} == {1: "bar", 2: "ring"}
        assert page.feature(1).note and page.galaxy("a").star and page.lists("features") == {"list": (1, 2)}
    assert book.refresh() and book.feature(1).note and not book.refresh()


def test_r3_the_later_of_two_changes_to_one_label_stays(book):
    other = again(book)
    book.set_feature(1, label="first")
    other.set_feature(1, label="second")
    assert book.feature(1).label == "first" and book.refresh() and book.feature(1).label == "second"
    assert again(book).feature(1).revision == 2


def test_a_list_deleted_by_the_other_page_stays_deleted(book):
    book.add("features", "list", [1, 2])
    other = again(book)
    book.drop("features", "list")
    assert other.remove("features", "list", [1]) == 0 and again(book).lists("features") == {}


def test_r3_many_processes_at_once(path):
    """Four processes with 25 changes each, on one file, at the same time: all 100 are there."""
    codes = make(path, ids=("a", "b", "c"))
    program = (
        "import sys\n"
        "from sfnet_core.codes.table import SparseCodes\n"
        "from sfnet_core.annotations.labels import LabelBook\n"
        "book = LabelBook.open(SparseCodes.open(sys.argv[1]))\n"
        "for i in range(25):\n"
        "    book.add('features', f'{sys.argv[2]}-{i}', [i % 5])\n"
        "    book.set_feature(int(sys.argv[2]), note=f'{i}')\n"
        "sys.exit(book.trouble or 0)\n"
    )
    workers = [subprocess.Popen([sys.executable, "-c", program, str(path), str(n)]) for n in range(4)]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0, 0]
    book = LabelBook.open(codes)
    assert set(book.lists("features")) == {f"{n}-{i}" for n in range(4) for i in range(25)}
    assert {j: e.note for j, e in book.features.items()} == dict.fromkeys(range(4), "24")


def test_r3_many_threads_at_once(book):
    def work(n: int) -> None:
        page = again(book)
        for i in range(10):
            page.set_feature(n, note=f"{i}")
            page.add("galaxies", "shared", [("a", "b", HOSTILE)[i % 3]])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    page = again(book)
    assert {j: e.note for j, e in page.features.items()} == dict.fromkeys(range(4), "9")
    assert page.feature(0).revision == 10 and len(page.lists("galaxies")["shared"]) == 3


@contextlib.contextmanager
def held(book: LabelBook):
    """Another program holds the lock."""
    with open(book.path.with_name(f".{book.path.name}.lock"), "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def test_a_lock_that_is_never_given_back(book, monkeypatch):
    book.set_feature(1, label="bar")
    monkeypatch.setattr(labels_store, "WAIT", 0.05)
    with held(book):
        book.set_feature(2, label="ring")
        assert "Another program has been writing run.labels.json" in book.trouble
        assert book.feature(2).label == "ring" and not again(book).feature(2)
    book.set_feature(3, label="both are written now")
    assert not book.trouble and list(again(book).features) == [1, 2, 3]


def test_a_lock_held_for_a_moment_is_waited_for(book):
    book.set_feature(1, label="bar")
    with contextlib.ExitStack() as stack:
        stack.enter_context(held(book))
        timer = threading.Timer(0.1, stack.pop_all().close)
        timer.start()
        book.set_feature(2, label="ring")
        timer.join()
    assert not book.trouble and again(book).feature(2).label == "ring"


def test_a_file_system_without_locks(book, monkeypatch):
    def no_lock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(labels_store.fcntl, "flock", no_lock)
    book.set_feature(1, label="bar")
    assert not book.trouble and again(book).feature(1).label == "bar"


def test_refresh_looks_at_the_file_only_when_it_changed(book, monkeypatch):
    book.set_feature(1, label="bar")
    monkeypatch.setattr(labels_store, "read_file", lambda _: pytest.fail("read again"))
    assert not book.refresh()


def test_a_page_in_memory_takes_in_what_others_write(book, monkeypatch):
    other = again(book)
    with monkeypatch.context() as patch:
        patch.setattr(labels_store, "write_text", refuse(errno.EROFS))
        other.set_feature(2, label="mine")
    book.set_feature(1, label="theirs")
    assert other.refresh() and {j: e.label for j, e in other.features.items()} == {1: "theirs", 2: "mine"}
    assert other.trouble and other.save() and not other.trouble and list(again(book).features) == [1, 2]


# ---- files that can't be written


def refuse(code: int):
    def fail(*_args, **_kwargs):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_read_only_folder_keeps_labels_in_memory(book, monkeypatch, code):
    monkeypatch.setattr(labels_store.os, "open", refuse(code))
    book.set_feature(1, label="bar")
    assert "read-only" in book.trouble and "memory" in book.trouble and str(book.path.parent) not in book.trouble
    assert book.feature(1).label == "bar" and not book.path.exists()


def test_r4_disk_full_leaves_the_old_file(book, monkeypatch):
    book.set_feature(1, label="bar")
    before = book.path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse(errno.ENOSPC))
        book.set_feature(2, label="ring")
    assert book.path.read_bytes() == before and str(book.path) in book.trouble and "bytes were written" in book.trouble
    assert not list(book.path.parent.glob("*.part")) and book.feature(2).label == "ring"
    book.set_feature(3, label="there is room again")
    assert not book.trouble and list(again(book).features) == [1, 2, 3]


def test_codes_without_a_file():
    book = LabelBook.open(make())
    assert book.path is None and not book.trouble
    book.set_feature(1, label="bar")
    assert "memory" in book.trouble and book.feature(1).label == "bar" and not book.refresh()
    assert json.loads(book.export_text())["codes"] == book.codes.fingerprint


def test_a_folder_that_is_gone(book):
    for file in book.path.parent.iterdir():
        file.unlink()
    book.path.parent.rmdir()
    book.set_feature(1, label="bar")
    assert "No such file" in book.trouble and book.feature(1).label == "bar"


def test_a_file_deleted_under_the_page_is_written_again_whole(book):
    book.set_feature(1, label="bar")
    book.path.unlink()
    assert not book.refresh() and book.feature(1).label == "bar"
    book.set_feature(2, label="ring")
    assert list(again(book).features) == [1, 2]


def test_a_link_stays_a_link(book, tmp_path):
    real = tmp_path / "elsewhere.json"
    book.path.symlink_to(real)
    linked = again(book)
    linked.set_feature(1, label="bar")
    assert book.path.is_symlink() and real.is_file() and again(book).feature(1).label == "bar"


# ---- other codes


def test_labels_of_other_codes_are_kept_and_not_shown(book, path):
    book.set_feature(1, label="bar")
    book.set_galaxy("a", label="a galaxy is a galaxy")
    retrained = LabelBook.open(make(path, weight=2.0))
    assert retrained.fingerprint != book.fingerprint and retrained.features == {}
    assert retrained.galaxy("a").label == "a galaxy is a galaxy"
    assert len(retrained.notices) == 1 and "1 feature label(s) in run.labels.json" in retrained.notices[0]
    assert retrained.others() == {book.fingerprint: 1}
    retrained.set_feature(1, label="something else")
    assert again(retrained).feature(1).label == "something else" and again(book).feature(1).label == "bar"


def test_the_same_networks_labels_come_along(path):
    book = LabelBook.open(make(path, run="abc123"))
    book.set_feature(1, label="bar")
    book.add("features", "list", [1, 4])
    more = LabelBook.open(make(path, run="abc123", ids=("x", "y", "z")))
    assert more.fingerprint != book.fingerprint and more.feature(1).label == "bar" and "same network" in more.notices[0]
    assert not again(book).notices, "opening writes nothing"
    more.set_feature(1, label="")
    more.set_feature(2, label="ring")
    once_more = again(more)
    assert list(once_more.features) == [2] and once_more.lists("features") == {"list": (1, 4)} and not once_more.notices
    assert again(book).feature(1).label == "bar"


def test_transfer_by_matched_features(book, path):
    book.set_feature(0, label="bar", star=True)
    book.set_feature(1, label="ring")
    book.set_feature(2, label="unmatched")
    book.add("features", "both", [0, 1, 2])
    new = LabelBook.open(make(path, weight=2.0))
    new.set_feature(4, label="named already")
    assert new.transfer({0: 3, 1: 4, 3: 0}) == 1
    page = again(new)
    assert {j: e.label for j, e in page.features.items()} == {3: "bar", 4: "named already"}
    assert page.feature(3).star and page.feature(3).origin == f"f0 of {book.fingerprint[:12]}"
    assert page.lists("features") == {"both": (3, 4)} and again(book).feature(0).label == "bar"
    assert new.transfer({0: 3}) == 0
    with pytest.raises(SFNetError, match="no feature '9'"):
        new.transfer({0: 9})
    with pytest.raises(SFNetError, match="no features of codes with fingerprint beef"):
        new.transfer({0: 1}, source="beef")


def test_a_provenance_that_is_no_fingerprint_does_no_harm(path):
    book = LabelBook.open(make(path, run="../<b>"))
    book.set_feature(1, label="bar")
    assert again(book).feature(1).label == "bar" and not again(book).trouble


# ---- export and import


def test_export_and_import(book, tmp_path):
    book.set_feature(1, label="bar", star=True)
    book.set_galaxy("a", note="note")
    book.add("features", "list", [1])
    file = book.export(tmp_path / "mine.json")
    (tmp_path / "other").mkdir()
    other = LabelBook.open(make(tmp_path / "other" / "run.parquet"))
    other.add("features", "list", [2])
    assert other.import_file(file).startswith("2 label(s) came in and 0 were replaced")
    assert other.feature(1) == book.feature(1) and other.galaxy("a").note == "note"
    assert again(other).lists("features") == {"list": (1, 2)}
    assert other.import_text(file.read_bytes()).startswith("0 label(s) came in and 0 were replaced")
    book.set_feature(1, label="later")
    other.set_feature(2, label="other")
    assert "1 were replaced" in other.import_text(book.export_text())
    assert other.feature(1).label == "later" and other.feature(2).label == "other"
    assert "0 label(s) came in and 0 were replaced" in other.import_file(file), "an older copy brings nothing back"


def test_an_older_copy_does_not_bring_back_what_was_taken_away(book, tmp_path):
    book.set_feature(1, label="bar")
    old = book.export_text()
    book.set_feature(1, label="")
    book.import_text(old)
    assert not book.feature(1)


def test_import_of_other_codes(book, tmp_path):
    foreign = LabelBook.open(make(weight=3.0))
    foreign.set_feature(1, label="theirs")
    assert "1 of features belong to other codes" in book.import_text(foreign.export_text())
    assert book.features == {} and again(book).others() == {foreign.fingerprint: 1}


def test_import_of_the_same_networks_codes():
    mine, theirs = LabelBook.open(make(run="abc")), LabelBook.open(make(run="abc", ids=("x", "y", "z")))
    theirs.set_feature(1, label="bar")
    assert mine.import_text(theirs.export_text()).startswith("1 label(s) came in") and mine.feature(1).label == "bar"


def test_imported_numbers_beyond_the_codes_are_not_shown(book):
    text = json.dumps({
        "kind": "sfnet labels", "schema": 1,
        "features": {book.fingerprint: {"items": {"4999": {"label": "x"}}, "lists": {"l": {"members": [1, 4999]}}}},
    })  # fmt: skip
    book.import_text(text)
    assert book.features == {} and book.lists("features") == {"l": (1,)}


# ---- hostile files

GOOD = {"kind": "sfnet labels", "schema": 1}
ENTRY = {"label": "x", "revision": 1, "time": "2026-01-31T12:00:00.000Z"}
BAD = [
    (b"", "not valid JSON"),
    (b"{", "not valid JSON"),
    (b"\xff\xfe\x00", "not valid JSON"),
    (b"[" * 200_000, "nested too deeply"),
    (b'{"a":' * 100_000, "nested too deeply"),
    (b"[]", "not a JSON object"),
    (b"null", "not a JSON object"),
    (b'{"kind": "something"}', "`kind`"),
    (b'{"kind": "sfnet labels", "schema": NaN}', "not valid JSON"),
    ({**GOOD, "schema": 2}, "`schema` is 2; this version reads 1"),
    ({**GOOD, "schema": True}, "`schema` is True"),
    ({**GOOD, "schema": "x" * 5000}, "`schema` is .x"),
    (b'{"kind": "sfnet labels", "schema": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ({**GOOD, "features": []}, "`features` must be object"),
    ({**GOOD, "features": {"../x": {}}}, "`features` .*matching"),
    ({**GOOD, "features": {"ab": {"run": 3}}}, "run` must be str"),
    ({**GOOD, "features": {f"{i:x}": {} for i in range(1, 70)}}, "`features` must be object of length <= 64"),
    ({**GOOD, "features": {"ab": {"items": {"-1": ENTRY}}}}, "no feature's number"),
    ({**GOOD, "features": {"ab": {"items": {"01": ENTRY}}}}, "no feature's number"),
    ({**GOOD, "features": {"ab": {"items": {"１": ENTRY}}}}, "no feature's number"),
    ({**GOOD, "features": {"ab": {"items": {"1": "bar"}}}}, "items.* must be object"),
    ({**GOOD, "features": {"ab": {"items": {"1": {"label": 3}}}}}, "label` must be str"),
    ({**GOOD, "features": {"ab": {"items": {"1": {"label": "x" * 121}}}}}, "`label` has 121 characters"),
    ({**GOOD, "features": {"ab": {"items": {"1": {"note": "\x07"}}}}}, r"`note` holds a character .*U\+0007"),
    (b'{"kind": "sfnet labels", "schema": 1, "galaxies": {"items": {"a": {"label": "\\ud800"}}}}', "not valid JSON"),
    (b'{"kind": "sfnet labels", "schema": 1, "galaxies": {"items": {"\\ud800": {}}}}', "not valid JSON"),
    ({**GOOD, "galaxies": {"items": {"a": {"star": 1}}}}, "star` must be bool"),
    ({**GOOD, "galaxies": {"items": {"a": {"revision": -1}}}}, "revision` must be"),
    ({**GOOD, "galaxies": {"items": {"a": {"revision": True}}}}, "revision` must be"),
    ({**GOOD, "galaxies": {"items": {"a": {"revision": 1e300}}}}, "revision` must be"),
    ({**GOOD, "galaxies": {"items": {"a": {"time": "yesterday"}}}}, "time` must be"),
    ({**GOOD, "galaxies": {"items": {"a" * 257: {}}}}, "an identifier has 257 characters"),
    ({**GOOD, "galaxies": {"lists": {"l": {"members": "abc"}}}}, "members` must be array"),
    ({**GOOD, "galaxies": {"lists": {"l": {"members": [1]}}}}, "an identifier must be a text"),
    ({**GOOD, "galaxies": {"lists": {"l": {"members": ["a"] * 50_001}}}}, "members` must be array of length <= 50000"),
    ({**GOOD, "galaxies": {"lists": {f"{i}": {} for i in range(201)}}}, "lists` must be object of length <= 200"),
    ({**GOOD, "galaxies": {"lists": {"l" * 81: {}}}}, "81 characters"),
    ({**GOOD, "features": {"ab": {"lists": {"l": {"members": [True]}}}}}, "members.* must be"),
    ({**GOOD, "features": {"ab": {"lists": {"l": {"members": [[]]}}}}}, "members.* must be"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), BAD, ids=range(len(BAD)))
def test_hostile_files_are_refused_with_a_sentence(book, content, said):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(SFNetError, match=said) as caught:
        book.import_text(content)
    assert len(str(caught.value)) < 500 and str(caught.value).isprintable()
    book.path.write_bytes(content)
    opened = again(book)
    assert opened.features == {} and "memory" in opened.trouble and "run.labels.json" in opened.trouble
    opened.set_feature(1, label="bar")
    assert opened.feature(1).label == "bar" and opened.trouble
    assert book.path.read_bytes() == content, "what can't be read is never overwritten"
    book.path.unlink()
    opened.set_feature(2, label="ring")
    assert not opened.trouble and list(again(opened).features) == [1, 2]


def test_a_file_damaged_under_the_page(book):
    book.set_feature(1, label="bar")
    book.path.write_text("{")
    assert book.refresh() and "not valid JSON" in book.trouble and book.feature(1).label == "bar"
    assert not book.refresh()
    book.path.unlink()
    book.set_feature(2, label="ring")
    assert not book.trouble and list(again(book).features) == [1, 2]


def test_a_pipe_a_folder_and_a_giant_are_not_read(book):
    os.mkfifo(book.path)
    assert book.path.name in again(book).trouble
    book.path.unlink()
    book.path.mkdir()
    assert again(book).trouble
    book.path.rmdir()
    with open(book.path, "wb") as handle:
        handle.truncate(1 << 30)  # a sparse gigabyte
    assert "33,554,432 are read at most" in again(book).trouble
    with pytest.raises(SFNetError, match="at most"):
        book.import_file(book.path)


def test_what_is_unknown_in_an_entry_is_ignored():
    text = json.dumps({**GOOD, "more": 1, "galaxies": {"items": {"a": {**ENTRY, "colour": "red"}}}})
    assert read_labels(text, "x").galaxies.items == {"a": Entry("x", revision=1, time=ENTRY["time"])}


# ---- merging and writing, as properties

times = st.sampled_from(["", "2026-01-31T12:00:00.000Z", "2026-01-31T12:00:00.001Z", "2027-01-01T00:00:00.000Z"])
texts = st.sampled_from(["", "a", "b", HOSTILE, "é\u202e"])
entries = st.builds(Entry, texts, texts, st.booleans(), st.integers(0, 3), times, texts)
rosters = st.booleans().flatmap(
    lambda gone: st.builds(
        Roster, st.just(()) if gone else st.frozensets(st.integers(0, 5)).map(lambda s: tuple(sorted(s))),
        st.integers(0, 3), times, st.just(gone),
    )
)  # fmt: skip
sections = st.builds(
    Section, st.dictionaries(st.integers(0, 3), entries, max_size=4),
    st.dictionaries(texts.filter(bool), rosters, max_size=2), st.sampled_from(["", "ab"]),
)  # fmt: skip
galaxies = st.builds(Section, st.dictionaries(texts, entries, max_size=3))
documents = st.builds(Document, st.dictionaries(st.sampled_from(["aa", "bb"]), sections, max_size=2), galaxies)


@settings(deadline=None)
@given(documents, documents, documents)
def test_merging_keeps_the_later_whatever_the_order(a, b, c):
    assert merge(a, b) == merge(b, a) and merge(a, a) == a and merge(merge(a, b), b) == merge(a, b)
    together = merge(merge(a, b), c)
    for name in {*a.features, *b.features, *c.features}:
        versions = [d.features[name].items for d in (a, b, c) if name in d.features]
        for key in set().union(*versions):
            best = max((v[key] for v in versions if key in v), key=lambda e: e.order)
            assert together.features[name].items[key] == best
            assert merge(a, merge(b, c)).features[name].items[key] == best


def test_a_list_deleted_later_is_deleted_in_the_merge_and_one_made_anew_later_is_not():
    early = Roster((1, 2), 1, "2026-01-31T12:00:00.000Z")
    gone = Roster((), 2, "2026-02-01T12:00:00.000Z", gone=True)
    anew = Roster((3,), 3, "2026-03-01T12:00:00.000Z")
    one, two, three = (Document({"ab": Section(lists={"l": roster})}) for roster in (early, gone, anew))
    assert merge(one, two).features["ab"].lists["l"] == gone
    assert merge(merge(one, two), three).features["ab"].lists["l"] == anew
    assert merge(one, three).features["ab"].lists["l"].members == (1, 2, 3)


@settings(deadline=None)
@given(documents)
def test_what_is_written_is_read(document):
    found = read_labels(write_document(document, "ab"), "x")
    kept = {name: s for name, s in document.features.items() if s.items or s.lists}
    assert found == Document(kept, document.galaxies)


def test_labels_are_light():
    program = (
        "import sys, sfnet_core.annotations.labels, sfnet_core.analysis.enrichment, sfnet_core.analysis.neighbours\n"
        "import sfnet_core.analysis.contribution_differences, sfnet_core.analysis.ds9\n"
        "import sfnet_core.data.filters.completion, sfnet_core.data.filters.masks\n"
        "heavy = ('torch', 'pandas', 'astropy', 'scipy', 'bokeh', 'ipywidgets', 'anywidget', 'PIL')\n"
        "sys.exit(', '.join(m for m in heavy if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_restore_puts_back_what_is_named_and_nothing_else(book):
    book.set_feature(1, label="one", star=True)
    book.add("features", "some", [1, 2])
    entries, lists = book.snapshot("features")
    book.set_feature(1, label="two")
    book.set_feature(3, label="three")
    book.remove("features", "some", [1])
    book.add("features", "new", [4])
    other = again(book)
    book.restore("features", {1: entries[1]}, {"some": lists["some"], "new": lists.get("new")})
    assert (book.feature(1).label, book.feature(1).star, book.feature(3).label) == ("one", True, "three")
    assert book.lists("features") == {"some": (1, 2)}
    assert other.refresh() and other.features == book.features and other.lists("features") == book.lists("features")
    assert book.feature(1).revision > entries[1].revision  # it is a change of its own: the latest one
