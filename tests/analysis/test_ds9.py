"""Regions as DS9 reads them (by a reader written from its manual), selections as tables, captions."""

from __future__ import annotations

import csv
import errno
import os
import re
import runpy
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.ds9 import SELECTION_FORMATS, caption, export_selection, region_text, write_regions
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SFNetError

simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]


def make(ids, ra=None, dec=None, **more) -> SparseCodes:
    n = len(ids)
    return SparseCodes.from_arrays(
        ids=ids, indices=np.zeros((n, 1)), values=np.ones((n, 1)), k=1, features=2, weight=np.ones((1, 2)), bias=[8.0],
        targets=["oh_p50"], units=["dex"], ra=ra, dec=dec, **more,
    )  # fmt: skip


def read_ds9(text: str) -> tuple[list[str], list[tuple[float, float, float, str]]]:
    """Comment lines and circles (RA, Dec, arcsec, text) as DS9's manual has it: one command a line or between ``;``
    outside quotes; properties after #; texts between {}, "" or '' up to the first closing one."""
    comments, circles, frame = [], [], None
    for line in text.split("\n"):
        if line.startswith("#"):
            comments.append(line[1:].strip())
        elif line == "fk5":
            frame = line
        elif match := re.fullmatch(
            r'circle\((\S+?),(\S+?),(\S+?)"\) # text=(?:\{([^}]*)\}|"([^"]*)"|\'([^\']*)\')', line
        ):
            assert frame == "fk5"
            circles.append((*map(float, match.groups()[:3]), next(g for g in match.groups()[3:] if g is not None)))
        elif line and not line.startswith("global "):
            raise AssertionError(f"DS9 would not know {line!r}")
    return comments, circles


def test_circles_in_fk5():
    codes = make(["a", "b", "c"], ra=[150.1, 359.99999999, -10.0], dec=[2.2, -45.5, 89.123456789])
    comments, circles = read_ds9(region_text(codes, [0, 1, 2], radius=2.5))
    assert comments[0] == "Region file format: DS9 version 4.1"
    assert circles == [(150.1, 2.2, 2.5, "a"), (0.0, -45.5, 2.5, "b"), (350.0, 89.1234568, 2.5, "c")]


def test_rows_a_mask_and_what_has_no_position():
    codes = make(["a", "b", "c", "d"], ra=[1.0, np.nan, 3.0, 4.0], dec=[1.0, 2.0, np.nan, -99.0])
    comments, circles = read_ds9(region_text(codes, np.array([True, True, True, True]), comment="one\ntwo"))
    assert [c[3] for c in circles] == ["a"]
    assert comments[1:] == ["one", "two", "3 without RA and Dec left out"]
    assert [c[3] for c in read_ds9(region_text(codes, 0))[1]] == ["a"]
    with pytest.raises(SFNetError, match="None of these galaxies has a position"):
        region_text(codes, [1, 2, 3])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"radius": 0}, "radius"),
        ({"radius": float("nan")}, "radius"),
        ({"radius": 1e9}, "radius"),
        ({"colour": "x;"}, "no colour"),
    ],
)
def test_options_that_make_no_sense(options, said):
    with pytest.raises(SFNetError, match=said):
        region_text(make(["a"], ra=[1.0], dec=[1.0]), [0], **options)


def test_no_positions_no_regions():
    with pytest.raises(SFNetError, match="no RA and Dec"):
        region_text(make(["a"]), [0])


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("<img src=x onerror=alert(1)>", None),
        ("brace}", None),
        ('{both} and "quotes"', None),
        ('{all} of "them" it\'s', '(all) of "them" it\'s'),
        ("a\nfk5\ncircle(0,0,9)", "a fk5 circle(0,0,9)"),
        ("a; circle(0,0,9)", None),
        ("a\rb\x0bc\x85d\u2028e", "a b c d e"),
        ("# comment", None),
        ("", None),
        ("NGC 3ñ 銀河", None),
    ],
)
def test_t10_an_identifier_stays_in_its_place(name, read):
    _, circles = read_ds9(region_text(make([name], ra=[1.0], dec=[2.0]), [0], comment=f"of {name}"))
    assert circles == [(1.0, 2.0, 5.0, name if read is None else read)]


@settings(deadline=None)
@given(st.lists(st.text(max_size=30).map(lambda name: name.rstrip("\0")), min_size=1, max_size=4, unique=True))
def test_every_identifier_gives_one_circle(names):
    comments, circles = read_ds9(
        region_text(make(names, ra=np.ones(len(names)), dec=np.ones(len(names))), range(len(names)))
    )
    assert len(circles) == len(names) and len(comments) == 1
    for name, (*_, text) in zip(names, circles, strict=True):
        if not set(name) & set("{}\"'") and name.isprintable():
            assert text == name


def test_r4_disk_full_leaves_the_old_file(tmp_path, monkeypatch):
    codes, path = make(["a"], ra=[1.0], dec=[2.0]), tmp_path / "x.reg"
    assert write_regions(codes, [0], path) == path
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SFNetError, match="No space left while writing"):
        write_regions(codes, [0], path, radius=9)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


# ---- selections


@pytest.mark.parametrize("suffix", SELECTION_FORMATS)
def test_a_selection_in_every_format(tmp_path, suffix):
    codes = simulated_codes(60, features=20, k=3)
    rows = np.array([5, 50, 7])
    path = export_selection(codes, rows, tmp_path / f"selection{suffix}", comment="three galaxies")
    if suffix == ".reg":
        comments, circles = read_ds9(path.read_text(encoding="utf-8"))
        assert "three galaxies" in comments
        found = [circle[3] for circle in circles]
    elif suffix == ".parquet":
        import pyarrow.parquet as pq

        found = pq.read_table(path)["id"].to_pylist()
    elif suffix == ".csv":
        with open(path, newline="", encoding="utf-8") as handle:
            found = [row["id"] for row in csv.DictReader(handle)]
    else:
        from astropy.table import Table

        kind = {".ecsv": "ascii.ecsv", ".fits": "fits"}.get(suffix, "votable")
        found = [str(i) for i in Table.read(path, format=kind)["id"].astype(str)]
    assert found == codes.ids[rows].tolist()


def test_a_selection_by_mask(tmp_path):
    codes = make(["a", "b", "c"], ra=[1.0] * 3, dec=[2.0] * 3)
    path = export_selection(codes, np.array([True, False, True]), tmp_path / "x.REG")
    assert [c[3] for c in read_ds9(path.read_text())[1]] == ["a", "c"]


@pytest.mark.parametrize(
    ("rows", "name", "said"),
    [
        ([], "x.csv", "No galaxy is selected"),
        ([0], "x.exe", "not exported to '.exe'"),
        ([0], "x", "without ending"),
        ([9], "x.csv", "outside"),
    ],
)
def test_selections_that_cannot_be_exported(tmp_path, rows, name, said):
    with pytest.raises(SFNetError, match=said):
        export_selection(make(["a"], ra=[1.0], dec=[1.0]), rows, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_codes_file_itself_is_safe(tmp_path):
    make(["a", "b"]).save(tmp_path / "codes.parquet")
    codes = SparseCodes.open(tmp_path / "codes.parquet")
    with pytest.raises(SFNetError, match="codes file itself"):
        export_selection(codes, [0], tmp_path / "codes.parquet")
    assert len(SparseCodes.open(tmp_path / "codes.parquet")) == 2


def test_t21_formulas_in_a_selections_csv_are_neutralised(tmp_path):
    names = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "plain", "-1.5"]
    codes = make(names, columns={"kind": np.array(names), "x": np.linspace(-3, 3, 7)})
    with open(export_selection(codes, np.arange(7), tmp_path / "x.csv"), newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    for column in ("id", "kind"):
        assert [row[column] for row in rows] == [f"'{name}" for name in names[:5]] + names[5:]
    assert [float(row["x"]) for row in rows] == np.linspace(-3, 3, 7).tolist(), "numbers are untouched"


# ---- captions


def test_a_caption_says_what_who_and_when():
    codes = simulated_codes(30, features=20, k=3)
    text = caption(
        codes, n=1240, split="validation", what="Activation of feature 3", filter="oh_p50 > 9", on=date(2026, 1, 31),
        link="http://localhost:8866/explore.ipynb?feature=3",
    )  # fmt: skip
    assert text.splitlines() == [
        "Activation of feature 3",
        f"1,240 {'simulated' if codes.simulated else 'observed'} galaxies, validation split",
        "Filter: oh_p50 > 9",
        f"Data: simulated codes; codes {codes.fingerprint[:12]}",
        "Weights: made up; k = 3 of 20 features; target oh_p50 [dex]",
        "SFNet, 2026-01-31",
        "http://localhost:8866/explore.ipynb?feature=3",
    ]


def test_a_caption_from_little():
    codes = make(["a"], simulated=True)
    lines = caption(codes, n=1).splitlines()
    assert lines[0] == "1 simulated galaxy, all splits" and "unknown name" in lines[1] and "unknown origin" in lines[2]
    assert re.fullmatch(r"SFNet, \d{4}-\d\d-\d\d", lines[-1])


def test_a_captions_texts_stay_on_their_lines():
    provenance = {"dataset": "<b>\nx", "run": {"no": "text"}, "weights": "w" * 500, "dataset_fingerprint": 3}
    lines = caption(make(["a"], provenance=provenance), n=2, what="two\nlines", filter=" ").splitlines()
    assert lines[0] == "two lines" and lines[2].startswith("Data: <b> x (3)") and len(lines) == 5
    assert max(map(len, lines)) < 250
