"""Packing: the catalogue's order, every odd image named, nothing half done, whatever happens in the middle."""

from __future__ import annotations

import errno
import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from sfnet_core.data import packing as pack_module
from sfnet_core.data import store
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.packing import pack
from sfnet_core.utils.errors import SetAside, SFNetError


def picture(seed, height=24, width=24):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def survey(tmp_path):
    """Twelve galaxies ``g0`` … ``g11`` as PNG, and a catalogue in another order than their names."""
    (tmp_path / "images").mkdir()
    rows = ["name,RA,DEC,oh_p50"]
    for i in reversed(range(12)):
        Image.fromarray(picture(i)).save(tmp_path / "images" / f"g{i}.png")
        rows.append(f"g{i},{i},{-i},{8 + i / 10}")
    (tmp_path / "galaxies.csv").write_text("\n".join(rows))
    return tmp_path


def run(survey, **options):
    return pack(survey / "galaxies.csv", survey / "images", survey / "out", **{"progress": False} | options)


def left(survey):
    """What lies beside the catalogue and the images, hidden files included."""
    return sorted(path.name for path in survey.iterdir() if path.name not in ("galaxies.csv", "images"))


def test_pack_keeps_the_catalogues_order_and_columns(survey, capsys):
    dataset = run(survey, pixel_scale=0.396, progress=True)
    assert dataset.ids.tolist() == [f"g{i}" for i in reversed(range(12))]
    for row, i in enumerate(reversed(range(12))):
        np.testing.assert_array_equal(dataset.cutouts[row], picture(i))
    assert dataset.columns == ["id", "ra", "dec", "oh_p50"]
    np.testing.assert_array_equal(dataset.column("ra"), np.arange(12.0)[::-1])
    np.testing.assert_allclose(dataset.column("oh_p50"), 8 + np.arange(12)[::-1] / 10)
    assert (dataset.pixel_scale, dataset.simulated, dataset.set_aside) == (0.396, False, [])
    assert dataset.meta["source"] == "galaxies.csv and images"
    assert dataset.meta["renamed"] == {"ra": "RA", "dec": "DEC"}
    assert capsys.readouterr().out == ""
    dataset.verify()


def test_the_same_inputs_give_the_same_files(survey):
    run(survey)
    first = {path.name: path.read_bytes() for path in (survey / "out").iterdir()}
    for image in (survey / "images").iterdir():
        image.touch()
    run(survey, overwrite=True)
    assert {path.name: path.read_bytes() for path in (survey / "out").iterdir()} == first
    assert left(survey) == ["out"]


def test_without_a_catalogue_the_files_are_the_galaxies(survey):
    dataset = pack(None, survey / "images", survey / "out", progress=False)
    assert dataset.ids.tolist() == sorted(f"g{i}" for i in range(12))
    assert dataset.columns == ["id"]
    np.testing.assert_array_equal(dataset.cutouts[dataset.index_of("g7")], picture(7))


def test_a_missing_image_and_a_spare_one(survey):
    (survey / "images/g5.png").rename(survey / "images/unknown.png")
    dataset = run(survey)
    assert dataset.set_aside == [SetAside("no image of this name in images", row=7, id="g5")]
    assert "g5" not in dataset.ids
    assert dataset.meta["notes"] == ["1 images belong to no row of the catalogue and were not packed."]


def test_no_row_with_an_image_says_which_names_were_tried(survey):
    (survey / "galaxies.csv").write_text("name,x\nNGC 1,1\nNGC 2,2\n")
    with pytest.raises(SFNetError, match=r"None of the 2 .*'name'.*'NGC 1'.*such as 'g0'.*--id-column"):
        run(survey)
    assert left(survey) == []


def test_r7_a_corrupt_image_in_the_middle_is_set_aside_and_the_others_are_unchanged(survey):
    whole = run(survey)
    expected = {id: whole.cutouts[row].copy() for row, id in enumerate(whole.ids)}
    path = survey / "images/g6.png"
    path.write_bytes(path.read_bytes()[:300])
    dataset = run(survey, overwrite=True)
    assert [(a.row, a.id, a.file) for a in dataset.set_aside] == [(6, "g6", "g6.png")]
    assert "corrupt or truncated" in dataset.set_aside[0].reason
    assert len(dataset) == 11
    for row, id in enumerate(dataset.ids):
        np.testing.assert_array_equal(dataset.cutouts[row], expected[id])
    np.testing.assert_allclose(dataset.column("ra"), [11, 10, 9, 8, 7, 5, 4, 3, 2, 1, 0])
    dataset.verify()


def test_r7_nan_pixels_in_one_cube_set_that_galaxy_aside(tmp_path):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for i in range(5):
        cube = rng.uniform(0, 0.05, (3, 16, 16)).astype(np.float32)
        if i == 2:
            cube[0, 8, 8] = np.nan
        fits.PrimaryHDU(cube).writeto(tmp_path / f"images/g{i}.fits")
    dataset = pack(None, tmp_path / "images", tmp_path / "out", stretch=0.2, q=6, bands="grz", progress=False)
    assert dataset.ids.tolist() == ["g0", "g1", "g3", "g4"]
    assert [(a.id, a.file) for a in dataset.set_aside] == [("g2", "g2.fits")]
    assert "NaN" in dataset.set_aside[0].reason
    assert dataset.meta["lupton"] == {"stretch": 0.2, "q": 6, "minimum": 0.0}
    assert dataset.meta["bands"] == "grz"


def test_t17_every_kind_of_bad_image_beside_good_ones(survey):
    images = survey / "images"
    (images / "g0.png").write_bytes(b"")
    (images / "g1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    Image.fromarray(picture(2)[..., 0]).save(images / "g2.png")
    Image.fromarray(picture(3, 1, 1)).save(images / "g3.png")
    dataset = run(survey)
    assert len(dataset) == 8
    assert {a.id for a in dataset.set_aside} == {"g0", "g1", "g2", "g3"}
    assert all(a.reason and a.file == f"{a.id}.png" and a.row for a in dataset.set_aside)


def test_images_unlike_the_majority_are_set_aside_with_their_size(survey):
    Image.fromarray(picture(0, 30, 20)).save(survey / "images/g0.png")
    dataset = run(survey, pixel_scale=0.5)
    assert dataset.cutouts.shape == (11, 24, 24, 3)
    assert [a.id for a in dataset.set_aside] == ["g0"]
    assert "20×30 px, but most images have 24×24; --size" in dataset.set_aside[0].reason
    resampled = run(survey, size=12, pixel_scale=0.5, overwrite=True)
    assert resampled.cutouts.shape == (12, 12, 12, 3)
    assert resampled.set_aside == []
    assert resampled.pixel_scale is None  # two scales became one size
    assert "2 sizes before resampling" in resampled.meta["notes"][0]


def test_the_pixel_scale_follows_the_resampling(survey):
    assert run(survey, size=12, pixel_scale=0.4).pixel_scale == pytest.approx(0.8)
    assert run(survey, size=12, overwrite=True).pixel_scale is None


def test_t12_hostile_identifiers_leave_no_trace_outside(survey, tmp_path_factory):
    outside = survey / "secret.png"
    Image.fromarray(picture(99)).save(outside)
    bad = ["../secret", str(outside), "C:\\x", "a\x00b", "x" * 300]
    rows = "\n".join([f"{name},1,1,8" for name in bad] + ["g1,1,1,8", "<img src=x onerror=alert(1)>,1,1,8"])
    (survey / "galaxies.csv").write_text(f"name,ra,dec,oh\n{rows}\n")
    Image.fromarray(picture(5)).save(survey / "images/<img src=x onerror=alert(1)>.png")
    dataset = run(survey)
    assert dataset.ids.tolist() == ["g1", "<img src=x onerror=alert(1)>"]
    assert [a.row for a in dataset.set_aside] == [1, 2, 3, 4, 5]
    assert left(survey) == ["out", "secret.png"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 4}, "size is 4"),
        ({"size": 10_000}, "size is 10000"),
        ({"pixel_scale": 0}, "pixel scale is 0"),
        ({"pixel_scale": float("nan")}, "pixel scale is nan"),
        ({"bands": "gg"}, "bands are 'gg'"),
        ({"resample": "nearest"}, "'nearest' is not known"),
        ({"id_column": "objID"}, "no column 'objID'"),
    ],
)
def test_wrong_arguments_get_a_sentence(survey, options, says):
    with pytest.raises(SFNetError, match=says):
        run(survey, **options)
    assert left(survey) == []


def test_folders_without_a_usable_image_get_a_sentence(survey):
    (survey / "empty").mkdir()
    with pytest.raises(SFNetError, match="no image in"):
        pack(None, survey / "empty", survey / "out")
    (survey / "empty/a.jpg").write_bytes(b"x")
    with pytest.raises(SFNetError, match=r"Not one of 1 images could be read; the first: .*a\.jpg: it is neither"):
        pack(None, survey / "empty", survey / "out", progress=False)
    (survey / "galaxies.csv").write_text("id,x\na,1\na,2\n")
    with pytest.raises(SFNetError, match=r"the first: row 1 · a · a\.jpg: it is neither"):
        pack(survey / "galaxies.csv", survey / "empty", survey / "out", progress=False)
    assert left(survey) == ["empty"]


def test_r4_a_full_disk_in_the_middle(survey, monkeypatch):
    run(survey)
    before = {path.name: path.read_bytes() for path in (survey / "out").iterdir()}
    append, count = store.DatasetWriter.append, []

    def fills_up(self, cutout):
        count.append(1)
        if len(count) == 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, cutout)

    monkeypatch.setattr(store.DatasetWriter, "append", fills_up)
    with pytest.raises(SFNetError, match=r"No space left while writing .*/out \([\d,]+ bytes were written"):
        run(survey, overwrite=True)
    assert {path.name: path.read_bytes() for path in (survey / "out").iterdir()} == before
    assert left(survey) == ["out"]


def test_r3_a_second_pack_is_refused_while_the_first_one_works(survey, monkeypatch):
    append, refused = store.DatasetWriter.append, []

    def tries_again(self, cutout):
        if not refused:
            with pytest.raises(SFNetError, match="Another process is writing") as caught:
                Dataset.create(survey / "out", ["a"], [cutout])
            refused.append(caught.value)
        append(self, cutout)

    monkeypatch.setattr(store.DatasetWriter, "append", tries_again)
    run(survey).verify()
    assert refused


def test_ctrl_c_leaves_nothing_and_the_next_run_succeeds(survey):
    """A real SIGINT in a real process, in the middle of the images."""
    code = (
        "import sys, time\nfrom sfnet_core.data import packing as p, store as s\n"
        "append = s.DatasetWriter.append\n"
        "def slow(self, cutout):\n    append(self, cutout)\n    print('one', flush=True)\n    time.sleep(0.2)\n"
        "s.DatasetWriter.append = slow\n"
        "p.pack(sys.argv[1], sys.argv[2], sys.argv[3], progress=False)\n"
    )
    arguments = [str(survey / name) for name in ("galaxies.csv", "images", "out")]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert [process.stdout.readline() for _ in range(3)] == ["one\n"] * 3
    assert left(survey) == [".out.part"]
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 130, 1)
    assert "KeyboardInterrupt" in error
    assert left(survey) == []
    run(survey).verify()


def test_memory_does_not_grow_with_the_number_of_images(survey, monkeypatch):
    """However slowly rows are written, only a few images wait in memory."""
    read, waiting, most = pack_module.read_source, [0], [0]
    append = store.DatasetWriter.append

    def counted(*args, **kwargs):
        waiting[0] += 1
        most[0] = max(most[0], waiting[0])
        return read(*args, **kwargs)

    def slow(self, cutout):
        time.sleep(0.0005)
        waiting[0] -= 1
        append(self, cutout)

    monkeypatch.setattr(pack_module, "WORKERS", 2)
    monkeypatch.setattr(pack_module, "read_source", counted)
    monkeypatch.setattr(store.DatasetWriter, "append", slow)
    for i in range(12, 400):
        Image.fromarray(picture(i)).save(survey / "images" / f"g{i}.png")
    assert len(pack(None, survey / "images", survey / "out", progress=False)) == 400
    assert most[0] <= 8 * 6


def test_set_aside_rows_are_json(survey):
    (survey / "images/g5.png").unlink()
    run(survey)
    assert json.loads((survey / "out/dataset.json").read_text())["set_aside"] == [
        {"reason": "no image of this name in images", "row": 7, "id": "g5"}
    ]
