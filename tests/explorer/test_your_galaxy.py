"""The page about a visitor's own galaxy: its arithmetic against brute force, and what must not come in."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import struct
import subprocess
import sys
import threading
import zlib
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfnet_core.analysis.neighbours import nearest_to_code, similarity
from sfnet_core.codes.empty_sky import blank_map
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset, sample_folder
from sfnet_core.explorer.your_galaxy import engine
from sfnet_core.explorer.your_galaxy import inputs as doors
from sfnet_core.explorer.your_galaxy.checks import Training
from sfnet_core.explorer.your_galaxy.engine import Engine, ImageOptions, find_run, mismatch
from sfnet_core.explorer.your_galaxy.page import YourGalaxy
from sfnet_core.explorer.your_galaxy.similarity import LOOKS, FeatureRanges, Span, look, share_below, typical_nearest
from sfnet_core.explorer.your_galaxy.worker import Worker
from sfnet_core.utils.errors import SFNetError


def png(pixels: np.ndarray, **how) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **how)
    return buffer.getvalue()


def say(page: YourGalaxy, buffers: list[bytes] | None = None, **content) -> None:
    """A message as it comes from the browser."""
    page.controller.view._receive(page.controller.view, content, [memoryview(b) for b in buffers or []])


@pytest.fixture(scope="module")
def sample():
    return sample_codes(), sample_dataset()


@pytest.fixture
def page(sample, monkeypatch) -> YourGalaxy:
    for name in ("SFNET_RUN", "SFNET_IMAGES"):
        monkeypatch.delenv(name, raising=False)
    return YourGalaxy(*sample)


# -- arithmetic against brute force --------------------------------------------------------------------------------


@pytest.fixture
def dense() -> np.ndarray:
    """(60, 9) activations with zeros, ties, an empty galaxy and twins."""
    rng = np.random.default_rng(3)
    a = np.round(np.maximum(rng.normal(0.2, 1, (60, 9)), 0), 1).astype(np.float32)
    a[7] = 0
    a[20:23] = a[5]
    return a


def kept(row: np.ndarray, k: int) -> np.ndarray:
    """The gated activations of one galaxy, dense."""
    out = np.zeros(len(row))
    for j in sorted(range(len(row)), key=lambda j: (-row[j], j))[:k]:
        out[j] = row[j]
    return out


def brute_similarity(a: np.ndarray, b: np.ndarray) -> tuple[float, int]:
    norm = np.sqrt((a**2).sum() * (b**2).sum())
    return (float((a * b).sum() / norm) if norm else 0.0), int(((a > 0) & (b > 0)).sum())


def test_similarity_equals_brute_force(gated, dense):
    codes = gated(dense, np.ones(9), 0.0, k=3, r=2)
    for row in range(len(dense)):
        cosine, shared = similarity(codes, codes.indices[row, :3], codes.values[row, :3])
        for other in range(len(dense)):
            expected = brute_similarity(kept(dense[row], 3), kept(dense[other], 3))
            assert cosine[other] == pytest.approx(expected[0], abs=1e-12)
            assert shared[other] == expected[1]


@pytest.mark.parametrize("by", ["cosine", "shared"])
@pytest.mark.parametrize("n", [0, 1, 7, 59, 500])
def test_nearest_equals_a_full_sort(gated, dense, by, n):
    codes = gated(dense, np.ones(9), 0.0, k=3, r=2)
    for row in (5, 7, 20):
        kept_ones = codes.indices[row, :3], codes.values[row, :3]
        cosine, shared = similarity(codes, *kept_ones)
        first, second = (cosine, shared) if by == "cosine" else (shared, cosine)
        expected = sorted((-first[i], -second[i], i) for i in range(60) if i != row and shared[i])[:n]
        found = nearest_to_code(codes, *kept_ones, n, by=by, skip=row)
        assert found.rows.tolist() == [i for *_, i in expected]
        np.testing.assert_array_equal(found.cosine, cosine[found.rows])


def test_a_twin_is_nearest_and_the_galaxy_itself_is_not_listed(gated, dense):
    codes = gated(dense, np.ones(9), 0.0, k=3, r=2)
    found = nearest_to_code(codes, codes.indices[5, :3], codes.values[5, :3], 3, skip=5)
    assert found.rows.tolist() == [20, 21, 22]
    assert found.cosine == pytest.approx(1.0)


def test_typical_nearest_is_the_best_other_cosine(gated, dense):
    codes, rows = gated(dense, np.ones(9), 0.0, k=3, r=2), np.arange(0, 60, 2)
    best = [max(brute_similarity(kept(dense[i], 3), kept(dense[j], 3))[0] for j in rows if j != i) for i in rows]
    assert typical_nearest(codes, rows) == pytest.approx(np.sort(best))
    assert len(typical_nearest(codes, rows, most=4)) == 4
    assert len(typical_nearest(codes, rows[:1])) == 0


def test_feature_ranges_equal_brute_force(gated, dense):
    codes, rows = gated(dense, np.ones(9), 0.0, k=3, r=2), np.arange(10, 50)
    ranges = FeatureRanges.of(codes, rows)
    gate = np.array([kept(dense[i], 3) for i in rows])
    for feature in range(9):
        column = gate[:, feature][gate[:, feature] > 0]
        assert ranges.fires[feature] == len(column)
        assert ranges.low[feature] == (column.min() if len(column) else np.inf)
        assert ranges.high[feature] == (column.max() if len(column) else -np.inf)


def test_look_measures_what_it_says():
    flat = np.full((1, 32, 32, 3), (10, 20, 30), dtype=np.uint8)
    assert {name: float(value[0]) for name, value in look(flat).items()} == {
        "background": 20.0, "grain": 0.0, "brightness": 0.0, "colour": 0.0,
    }  # fmt: skip
    lit = flat.copy()
    lit[:, 8:24, 8:24] = (110, 20, 50)  # the central quarter: +100 red, +20 blue
    found = look(lit)
    assert found["brightness"][0] == pytest.approx(40.0) and found["colour"][0] == pytest.approx(80.0)
    framed = np.pad(lit, ((0, 0), (9, 9), (9, 9), (0, 0)), constant_values=255)  # outside the crop: not looked at
    assert {n: v[0] for n, v in look(framed, crop=32).items()} == {n: v[0] for n, v in found.items()}
    many = np.random.default_rng(0).integers(0, 255, (70, 24, 24, 3), dtype=np.uint8)
    one_by_one = [look(many[i : i + 1]) for i in range(70)]
    assert all(look(many)[name] == pytest.approx([o[name][0] for o in one_by_one]) for name in LOOKS)


def test_small_helpers():
    assert share_below(2.0, np.array([1.0, 2.0, 3.0, np.nan])) == pytest.approx(1 / 3)
    assert np.isnan(share_below(2.0, np.array([np.nan])))
    span = Span.of(np.array([3.0, np.nan, 1.0]))
    assert (span.n, span.low, span.high, span.holds(1.0), span.holds(3.1)) == (2, 1.0, 3.0, True, False)
    assert Span.of(np.array([])).n == 0


# -- one galaxy ----------------------------------------------------------------------------------------------------


def minus(text: str) -> str:
    return text.replace("\N{MINUS SIGN}", "-")


def add_up(data: dict) -> Decimal:
    """The displayed bias and terms, added as decimals."""
    return Decimal(minus(data["bias"])) + sum(Decimal(minus(term["text"])) for term in data["terms"])


def test_an_identifier_shows_the_files_numbers(page, sample):
    codes, row = sample[0], 5
    say(page, do="find", text=str(codes.ids[row]))
    data = page.inspector.data
    assert data["id"] == codes.ids[row] and f"{codes.prediction()[row]:.4f}" in page.status()
    assert minus(data["prediction"]) == f"{codes.prediction()[row]:.4f}" and add_up(data) == Decimal(data["prediction"])
    assert row not in [codes.index_of(g["id"]) for g in page.neighbours.data["galaxies"]]
    assert f"galaxy={codes.ids[row]}" in page.query
    assert not {"image size", "pixel scale"} & {c["name"] for c in page.checks.data["checks"]}


def test_an_uploaded_cutout_has_the_code_that_inference_gave_it(page, sample):
    codes, dataset = sample
    row = int(np.flatnonzero(codes.split == "validation")[3])
    say(page, [png(dataset.cutouts[row])], do="image", name="mine.png")
    assert page.controller.view.data["trouble"] == ""
    subject = page.galaxy
    assert (subject.features == codes.indices[row, : codes.k]).all()
    np.testing.assert_allclose(subject.activations, codes.values[row, : codes.k], rtol=1e-5)  # other processors round
    assert subject.codes.prediction()[0] == pytest.approx(codes.prediction()[row], abs=1e-6)
    data = page.inspector.data
    assert data["id"] == "mine.png" and add_up(data) == Decimal(minus(data["prediction"]))
    total = sum(term["contribution"] for term in data["terms"])
    blank = blank_map(codes.weight[0], codes.sky.maps, codes.k).sum()  # the loaded codes' sky, not this image's own
    assert np.sum(data["cells"]) == pytest.approx(total - blank, abs=1e-6)  # less the empty sky, native grid
    page.inspector._receive(page.inspector, {"do": "sky", "less": False}, [])
    assert np.sum(page.inspector.data["cells"]) == pytest.approx(total, abs=1e-6)  # all contributions
    assert "sky=0" in page.query
    assert page.neighbours.data["galaxies"][0]["id"] == codes.ids[row]
    assert page.neighbours.data["galaxies"][0]["likeness"].startswith("1.0000")
    assert page.query == "" or "galaxy" not in page.query
    states = {c["name"]: c["state"] for c in page.checks.data["checks"]}
    assert states["image size"] == "good" and states["pixel scale"] == "unknown" and states["kind"] == "warn"


def test_undo_goes_back_to_the_image_and_names_are_told_apart(page, sample):
    data = png(sample[1].cutouts[0])
    say(page, [data], do="image", name="a.png")
    page.open_row(9)
    assert page.galaxy.row == 9
    page.state.undo()
    assert page.galaxy.row == -1 and page.inspector.data["id"] == "a.png"
    say(page, [png(sample[1].cutouts[1])], do="image", name="a.png")
    assert page.inspector.data["id"] == "a.png (2)"


def test_what_is_unlike_the_training_data_is_said(page, sample):
    odd = np.random.default_rng(0).integers(120, 255, (128, 128, 3), dtype=np.uint8)
    say(page, [png(odd)], do="image", name="noise.png")
    warned = {c["name"] for c in page.checks.data["checks"] if c["state"] == "warn"}
    assert {"sky background", "sky noise", "activations as a whole"} <= warned
    assert page.checks.data["warnings"] == len(warned)
    assert page.inspector.data["unlike"].startswith("Novel: ")
    page.open_row(int(np.argmin(sample[0].unlike)))
    assert page.inspector.data["unlike"] == ""
    states = {c["name"]: c["state"] for c in page.checks.data["checks"]}
    assert states["activations as a whole"] == "good"


def test_activations_outside_the_trained_range_and_unshared_features_are_said(gated):
    codes = gated(np.tile([[3.0, 2.0, 1.0, 0, 0], [2.0, 3.0, 1.0, 0, 0]], (30, 1)), np.ones(5), 0.0, k=2, r=1)
    other = gated([[0, 9.0, 0, 0, 0.5]], np.ones(5), 0.0, k=2, r=1)
    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.explorer.your_galaxy.galaxy import Galaxy

    training = Training(Scene(codes), None)
    trained = {"size": [], "crop": None, "scale": None, "simulated": False}
    found = {c.name: c for c in training.checks(Galaxy("x", other, 0), trained, 0, lambda f: f"f{f}")}
    assert "above the largest" in found["activation of f1"].why and found["activation of f1"].state == "warn"
    assert found["activation of f4"].trained == "never fires" and found["activation of f4"].state == "warn"
    assert "none keeps all" in found["nearest galaxy"].why
    assert "outside" in found["prediction"].why
    same = {c.name: c for c in training.checks(Galaxy("x", codes.take([0]), 0), trained, 0, lambda f: f"f{f}")}
    assert {c.state for c in same.values()} == {"good"}


def test_a_galaxy_without_features_is_the_bias_alone(gated):
    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.explorer.your_galaxy.galaxy import Galaxy

    codes = gated(np.tile([[3.0, 2.0, 1.0]], (30, 1)), np.ones(3), 0.5, k=2, r=1)
    empty = gated(np.zeros((1, 3)), np.ones(3), 0.5, k=2, r=1)
    trained = {"size": [], "crop": None, "scale": None, "simulated": False}
    found = Training(Scene(codes), None).checks(Galaxy("x", empty, 0), trained, 0, str)
    assert [c.state for c in found if c.name == "active features"] == ["warn"]


# -- T23: size and scale -------------------------------------------------------------------------------------------


def test_t23_another_size_is_refused_with_both_values_until_the_visitor_goes_on(page, sample):
    big = np.asarray(Image.fromarray(sample[1].cutouts[2]).resize((200, 200)))
    page.open_row(0)
    say(page, [png(big)], do="image", name="big.png")
    shown = page.controller.view.data
    assert shown["refused"] and "128×128" in shown["trouble"] and "200×200" in shown["trouble"]
    assert page.galaxy.row == 0  # nothing was computed
    say(page, do="options", scale="", anyway=True, resample=True)
    assert page.galaxy.rgb.shape == (128, 128, 3) and page.galaxy.given == (200, 200)
    check = next(c for c in page.checks.data["checks"] if c["name"] == "image size")
    assert check["state"] == "warn" and "resampled" in check["why"]
    say(page, do="options", scale="", anyway=True, resample=False)
    assert page.galaxy.rgb.shape == (200, 200, 3)
    say(page, do="options", scale="", anyway=False, resample=False)
    assert page.controller.view.data["refused"]


def test_t23_another_scale_is_refused_and_resampling_carries_the_scale_along(page, sample):
    cutout = sample[1].cutouts[2]
    say(page, do="options", scale="0.396", anyway=False, resample=True)
    say(page, [png(cutout)], do="image", name="x.png")
    assert "0.198" in page.controller.view.data["trouble"] and "0.396" in page.controller.view.data["trouble"]
    say(page, do="options", scale="0.198", anyway=False, resample=True)
    assert page.controller.view.data["trouble"] == ""
    assert {c["name"]: c["state"] for c in page.checks.data["checks"]}["pixel scale"] == "good"
    big = np.asarray(Image.fromarray(cutout).resize((256, 256)))
    say(page, do="options", scale="0.099", anyway=True, resample=True)
    say(page, [png(big)], do="image", name="big.png")
    assert page.galaxy.scale == pytest.approx(0.198)


def test_t23_an_image_smaller_than_the_crop_is_refused_even_so(page):
    small = np.zeros((40, 40, 3), dtype=np.uint8)
    say(page, do="options", scale="", anyway=True, resample=False)
    say(page, [png(small)], do="image", name="small.png")
    assert "96 px" in page.controller.view.data["trouble"] and "40×40" in page.controller.view.data["trouble"]


def test_t23_weights_that_did_not_make_the_codes_are_refused_with_both_fingerprints(sample, tmp_path):
    codes = sample[0]
    changed = codes.take(slice(None))
    changed.provenance = codes.provenance | {"run_fingerprint": "0" * 24}
    with pytest.raises(SFNetError, match="0" * 24) as refused:
        Engine(changed, sample_folder() / "sample-run").prepare()
    assert codes.provenance["run_fingerprint"] in str(refused.value)
    allowed = Engine(changed, sample_folder() / "sample-run", allow_mismatch=True)
    allowed.prepare()
    assert allowed.ready and "allowed" in allowed.notes[0]


def test_mismatch_names_only_what_differs():
    trained = {"size": [128, 128], "scale": 0.2}
    assert mismatch(trained, (128, 128), None) == [] and mismatch(trained, (128, 128), 0.201) == []
    assert len(mismatch(trained, (128, 129), 0.3)) == 2
    assert mismatch({"size": [], "scale": None}, (1, 2), 0.3) == []


# -- what must not come in -----------------------------------------------------------------------------------------


def huge_png() -> bytes:
    """The header of a PNG of 20,000 × 20,000 px; 400 million pixels that must never be decoded."""
    body = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0" * 64


GOOD = png(np.zeros((128, 128, 3), dtype=np.uint8))
HOSTILE = {
    "empty": (b"", "empty"),
    "noise": (bytes(range(256)) * 40, "neither JPEG nor PNG"),
    "gif": (b"GIF89a" + b"\0" * 100, "GIF"),
    "tiff": (b"II*\x00" + b"\0" * 100, "TIFF"),
    "eps": (b"%!PS-Adobe-3.0\n(" + b"x" * 100, "EPS"),
    "html": (b"<img src=x onerror=alert(1)>", "HTML"),
    "huge": (huge_png(), "more than"),
    "truncated": (GOOD[: len(GOOD) // 2], "truncated"),
    "grey": (png(np.zeros((128, 128), dtype=np.uint8)), "grey"),
    "rgba": (png(np.zeros((128, 128, 4), dtype=np.uint8)), "RGBA"),
    "16-bit": (png(np.zeros((128, 128), dtype=np.uint16)), "16 bits"),
    "1x1": (png(np.zeros((1, 1, 3), dtype=np.uint8)), "1×1"),
    "too many bytes": (b"\xff\xd8\xff" + b"\0" * doors.MOST_BYTES, "at most"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_t17_a_hostile_upload_is_refused_with_a_sentence(page, name):
    data, word = HOSTILE[name]
    say(page, [data], do="image", name="galaxy.jpg")
    assert word in page.controller.view.data["trouble"] and not page.controller.view.data["busy"]
    assert page.galaxy is None and page.inspector.data["id"] == ""


@pytest.mark.parametrize(
    ("content", "buffers"),
    [
        ({"do": "image", "name": "x.png"}, []),
        ({"do": "image", "name": "x.png"}, [GOOD, GOOD]),
        ({"do": "image", "name": 7}, [GOOD]),
        ({"do": "image", "name": "x" * 1000}, [GOOD]),
        ({"do": "image", "name": "x.png", "buffers": ["not bytes"]}, []),
        ({"do": "find", "text": "x" * 5000}, []),
        ({"do": "find", "text": None}, []),
        ({"do": "options", "scale": "", "anyway": 1, "resample": True}, []),
        ({"do": "options", "scale": "NaN", "anyway": True, "resample": True}, []),
        ({"do": "options", "scale": "1e9", "anyway": True, "resample": True}, []),
        ({"do": "folder", "text": ["/etc"]}, []),
        ({"do": "__class__"}, []),
        ("image", []),
    ],
)
def test_messages_that_are_not_understood_change_nothing(page, content, buffers):
    view = page.controller.view
    view._receive(view, content, [memoryview(b) for b in buffers])
    assert page.galaxy is None and page.controller.options == ImageOptions() and page.controller.done is None


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """An allowed folder with an image and a link out of it, and the secret it leads to."""
    inner, outer = tmp_path / "images", tmp_path / "secret"
    (inner / "deep").mkdir(parents=True)
    outer.mkdir()
    (inner / "deep" / "a.png").write_bytes(GOOD)
    (outer / "b.png").write_bytes(GOOD)
    (inner / "link.png").symlink_to(outer / "b.png")
    (inner / "out").symlink_to(outer)
    return inner, outer


def test_t12_only_paths_below_an_allowed_folder_are_read(folders):
    inner, outer = folders
    allowed = [inner.resolve()]
    assert doors.inside("deep/a.png", allowed) == doors.inside(str(inner / "deep/a.png"), allowed)
    assert doors.inside("deep/../deep", allowed).is_dir()
    outside = [
        "../secret/b.png", str(outer / "b.png"), "/etc/passwd", "/etc/no-such-file", "C:\\x", "a\0.png", "link.png",
        "out/b.png", "out", "", "x" * 300, "x" * 3000, "deep/\u202egnp.a", "~/a.png", "~root",
    ]  # fmt: skip
    for text in outside:
        with pytest.raises(SFNetError, match="nothing of that name"):
            doors.inside(text, allowed)
    with pytest.raises(SFNetError, match="--images"):
        doors.inside("deep/a.png", [])


def test_t12_the_same_through_the_page(page, folders, monkeypatch):
    inner, outer = folders
    say(page, do="find", text=str(inner / "deep/a.png"))
    assert page.image is None and "No galaxy" in page.controller.view.data["trouble"]
    monkeypatch.setenv("SFNET_IMAGES", str(inner))
    say(page, do="find", text=str(outer / "b.png"))
    assert page.image is None and "nothing of that name" in page.controller.view.data["trouble"]
    say(page, do="find", text="deep/a.png")
    assert page.controller.view.data["trouble"] == "" and page.inspector.data["id"] == "a.png"
    for text in ("../secret", "/etc", "deep/a.png"):
        say(page, do="folder", text=text)
        assert page.controller.done is None and page.controller.view.data["batch"]["trouble"]


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "http://169.254.169.254/latest/",
        "https://example.org/a.jpg",
        "ftp://x/a.png",
        "HTTPS://x/a.png",
    ],
)
def test_t18_no_address_is_fetched(page, address, monkeypatch):
    monkeypatch.setattr("socket.socket", None)
    say(page, do="find", text=address)
    assert "can't be fetched" in page.controller.view.data["trouble"] and page.galaxy is None


def test_t10_names_are_data_and_control_characters_are_not_shown():
    assert doors.shown_name("<img src=x onerror=alert(1)>.png") == "<img src=x onerror=alert(1)>.png"
    assert doors.shown_name("/etc/passwd") == "passwd" and doors.shown_name("C:\\dir\\a.png") == "a.png"
    assert "\u202e" not in doors.shown_name("a\u202egnp.exe") and doors.shown_name("\0") == "\ufffd"
    assert len(doors.shown_name("x" * 5000)) <= 80 and doors.shown_name(" ") == "image"


def test_t11_a_permalink_is_checked(page, sample):
    page.open_link("?galaxy=nobody&third=no-such-plot&sort=9&feature=1000000&off=1,2&page=3")
    assert len(page.head.data["notices"]) == 4 and page.galaxy is None and not page.state.off
    page.open_link(f"?galaxy={sample[0].ids[4]}&sort=shared&third=margin_prediction")
    assert page.galaxy.row == 4 and page.neighbours.data["by"] == "shared" and page.state.third == "margin_prediction"


# -- the network ---------------------------------------------------------------------------------------------------


def test_without_torch_images_are_refused_with_a_sentence_and_identifiers_work(page, sample, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a))
    say(page, [GOOD], do="image", name="x.png")
    assert 'pip install "sfnet-core[torch]"' in page.controller.view.data["trouble"]
    say(page, do="prepare")
    assert not page.controller.view.data["busy"]
    say(page, do="find", text=str(sample[0].ids[1]))
    assert page.galaxy.row == 1


def test_the_run_is_found_beside_the_codes_or_by_name(sample, tmp_path, monkeypatch):
    codes = sample[0]
    monkeypatch.delenv("SFNET_RUN", raising=False)
    assert find_run(codes) == sample_folder() / "sample-run"
    codes.save(tmp_path / "mine-codes.parquet")
    moved = type(codes).open(tmp_path / "mine-codes.parquet")
    assert find_run(moved) is None and "--run" in Engine(moved).why_not
    (tmp_path / "mine-model.safetensors").write_bytes(b"")
    assert find_run(moved) == tmp_path / "mine-model.safetensors"
    monkeypatch.setenv("SFNET_RUN", str(tmp_path / "other"))
    assert find_run(moved) == tmp_path / "other"
    moved.provenance["run"] = "../../etc"
    monkeypatch.delenv("SFNET_RUN")
    assert find_run(moved) == tmp_path / "mine-model.safetensors"


def test_the_page_and_an_identifier_never_load_torch():
    program = (
        "import sys\n"
        "from sfnet_core.explorer.your_galaxy.page import your_galaxy\n"
        "page = your_galaxy()\n"
        "page.open_row(3)\n"
        "assert page.engine.why_not == ''\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_folder_becomes_a_codes_file_and_lists_what_was_set_aside(page, sample, folders, tmp_path, monkeypatch):
    codes, dataset = sample
    inner, _ = folders
    (inner / "many").mkdir()
    for row in range(3):
        (inner / "many" / f"{codes.ids[row]}.png").write_bytes(png(dataset.cutouts[row]))
    (inner / "many" / "broken.png").write_bytes(png(dataset.cutouts[0])[:900])
    monkeypatch.setenv("SFNET_IMAGES", str(inner))
    monkeypatch.setenv("SFNET_OUTPUT", str(tmp_path / "out"))
    say(page, do="folder", text="many")
    batch = page.controller.view.data["batch"]
    assert batch["trouble"] == "" and batch["done"]["galaxies"] == 3, batch
    assert ["broken" in name for name, _reason in batch["done"]["aside"]] == [True]
    made = type(codes).open(page.controller.done.codes)
    assert made.ids.tolist() == codes.ids[:3].tolist()
    np.testing.assert_allclose(made.values, codes.values[:3], rtol=1e-5, atol=1e-6)
    assert (made.indices == codes.indices[:3]).all()
    sent = []
    monkeypatch.setattr(page.controller.view, "send", lambda message, buffers: sent.append((message, buffers)))
    say(page, do="codes-file")
    assert sent[0][1][0] == page.controller.done.codes.read_bytes()


# -- work in the background ----------------------------------------------------------------------------------------


def test_only_the_newest_waiting_job_runs_and_answers_come_on_the_asking_thread():
    async def story() -> list:
        worker, begun, gate, seen, ready = Worker(), threading.Event(), threading.Event(), [], asyncio.Event()
        here = threading.current_thread()

        def done(result, trouble) -> None:
            assert threading.current_thread() is here
            seen.append((result, trouble))
            if result == "last":
                ready.set()

        def first(tell) -> str:
            assert threading.current_thread() is not here
            begun.set()
            gate.wait(60)
            return "first"

        worker.submit(first, done, lambda line: None)
        assert await asyncio.to_thread(begun.wait, 60)
        for i in range(50):
            worker.submit(lambda tell, i=i: i, done, lambda line: None)
        worker.submit(lambda tell: "last", done, lambda line: None)
        gate.set()
        await asyncio.wait_for(ready.wait(), 60)
        return seen

    assert asyncio.run(story()) == [("first", ""), ("last", "")]


def test_a_failing_job_gives_a_sentence_and_the_next_one_runs(caplog):
    answers = []

    def mistake(tell):
        raise SFNetError("that was wrong.")

    def fault(tell):
        raise ZeroDivisionError("/secret/path")

    worker = Worker()
    for job in (mistake, fault, lambda tell: 3):
        worker.submit(job, lambda *a: answers.append(a), lambda line: None)
    assert answers[0] == (None, "that was wrong.") and answers[2] == (3, "")
    assert "secret" not in answers[1][1] and "log" in answers[1][1]


def test_engine_names_no_torch_at_import():
    assert "import torch" not in Path(engine.__file__).read_text(encoding="utf-8")
