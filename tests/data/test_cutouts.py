"""Images: read exactly, refused by name, never a way out of the folder."""

from __future__ import annotations

import io
import os
import struct
import sys

import numpy as np
import pytest
from PIL import Image

from sfnet_core.data.cutouts import ImageRefused, encode_jpeg, find_images, image_size, read_image, resize, scan_images
from sfnet_core.utils.errors import SFNetError


def blob(height=32, width=32):
    """A smooth off-centre source whose colours differ and that no mirror or turn maps to itself."""
    y, x = np.mgrid[:height, :width]
    light = np.exp(-((y - height / 3) ** 2 + (x - width / 4) ** 2) / 40)
    return (light[..., None] * [220, 160, 90] + x[..., None] * [0, 0.5, 1]).astype(np.uint8)


def save(path, array=None, mode=None, **options):
    image = Image.fromarray(blob() if array is None else array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


# Reading


def test_png_is_read_exactly(tmp_path):
    np.testing.assert_array_equal(read_image(save(tmp_path / "a.png")), blob())


def test_jpeg_is_what_pillow_reads_within_one_level(tmp_path, monkeypatch):
    path = save(tmp_path / "a.jpg", quality=95, subsampling=0)
    ours = read_image(path)
    assert ours.dtype == np.uint8
    assert ours.flags.c_contiguous
    with Image.open(path) as image:
        pillow = np.array(image)
    assert np.abs(ours.astype(int) - pillow).max() <= 1
    monkeypatch.setitem(sys.modules, "simplejpeg", None)  # as where there is no wheel
    np.testing.assert_array_equal(read_image(path), pillow)


def test_what_a_file_is_its_bytes_say(tmp_path):
    path = save(tmp_path / "really_a.jpg", format="PNG")
    np.testing.assert_array_equal(read_image(path), blob())
    assert image_size(path) == (32, 32)


def test_exif_does_not_turn_a_galaxy(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = read_image(save(tmp_path / "a.jpg", blob(32, 48), quality=95))
    np.testing.assert_array_equal(read_image(save(tmp_path / "b.jpg", blob(32, 48), quality=95, exif=exif)), plain)


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"quality": 30, "subsampling": 2}, {"restart_marker_blocks": 2}]
)
def test_jpeg_variants(tmp_path, options):
    path = save(tmp_path / "a.jpg", blob(40, 24), **options)
    assert image_size(path) == (40, 24)
    assert read_image(path).shape == (40, 24, 3)


def test_encode_jpeg_keeps_the_picture(monkeypatch):
    for _ in range(2):
        with Image.open(io.BytesIO(encode_jpeg(blob(), quality=95))) as image:
            assert image.format == "JPEG"
            assert np.abs(np.array(image).astype(int) - blob()).max() <= 12
        monkeypatch.setitem(sys.modules, "simplejpeg", None)
    with Image.open(io.BytesIO(encode_jpeg(blob()[:, ::-1]))) as image:  # not contiguous
        assert image.size == (32, 32)


# T17, item by item


def huge_jpeg(path):
    """A real JPEG whose header claims 20,000×20,000 pixels."""
    data = bytearray(encode_jpeg(blob()))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 20_000, 20_000)
    path.write_bytes(data)


def huge_png(path):
    save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 20_000, 20_000)
    path.write_bytes(data)


def cut(path, share=0.6):
    save(path, np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def jpeg_12_bit(path):
    data = bytearray(encode_jpeg(blob()))
    data[data.index(b"\xff\xc0") + 4] = 12
    path.write_bytes(data)


def png_16_bit_rgb(path):
    """Pillow would read this as 8 bits without a word."""
    save(path)
    data = bytearray(path.read_bytes())
    data[24] = 16
    path.write_bytes(data)


T17 = {
    "a 20,000 px JPEG": ("jpg", huge_jpeg, "20000×20000 pixels"),
    "a 20,000 px PNG": ("png", huge_png, "20000×20000 pixels"),
    "EPS": ("jpg", lambda p: p.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"), "EPS, not JPEG or PNG"),
    "PSD": ("jpg", lambda p: p.write_bytes(b"8BPS" + bytes(99)), "PSD, not JPEG or PNG"),
    "TIFF": ("jpg", lambda p: save(p, format="TIFF"), "TIFF, not JPEG or PNG"),
    "GIF": ("png", lambda p: save(p, format="GIF"), "GIF, not JPEG or PNG"),
    "a web page": ("jpg", lambda p: p.write_bytes(b"\n<!DOCTYPE html><html>404</html>"), "HTML or XML"),
    "noise": ("jpg", lambda p: p.write_bytes(bytes(range(256))), "neither JPEG nor PNG"),
    "a truncated JPEG": ("jpg", cut, "corrupt or truncated"),
    "a truncated PNG": ("png", cut, "corrupt or truncated"),
    "a JPEG's first bytes": ("jpg", lambda p: p.write_bytes(b"\xff\xd8\xff\xe0"), "corrupt or truncated"),
    "a PNG's first bytes": ("png", lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"), "corrupt or truncated"),
    "a 16-bit grey PNG": ("png", lambda p: save(p, np.full((32, 32), 999, np.uint16)), "grey, 16 bits"),
    "a 16-bit RGB PNG": ("png", png_16_bit_rgb, "RGB, 16 bits"),
    "a 12-bit JPEG": ("jpg", jpeg_12_bit, "12 bits"),
    "a grey JPEG": ("jpg", lambda p: save(p, mode="L"), "grey"),
    "a grey PNG": ("png", lambda p: save(p, mode="L"), "grey"),
    "a CMYK JPEG": ("jpg", lambda p: save(p, mode="CMYK"), "CMYK"),
    "an RGBA PNG": ("png", lambda p: save(p, mode="RGBA"), "RGBA"),
    "a palette PNG": ("png", lambda p: save(p, mode="P"), "palette"),
    "1×1 px": ("jpg", lambda p: save(p, np.zeros((1, 1, 3), np.uint8)), "1×1 pixels"),
    "zero bytes": ("jpg", lambda p: p.write_bytes(b""), "empty"),
    "a folder": ("jpg", lambda p: p.mkdir(), "cannot be read"),
}


@pytest.mark.parametrize("case", T17)
def test_t17_is_refused_with_the_reason(tmp_path, case):
    suffix, make, says = T17[case]
    path = tmp_path / f"x.{suffix}"
    make(path)
    with pytest.raises(ImageRefused, match=says) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert str(path) not in caught.value.reason


def test_t17_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    import simplejpeg

    def never(*_, **__):
        raise AssertionError("decoded")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", never)
    monkeypatch.setattr(Image, "open", never)
    for suffix, make in (("jpg", huge_jpeg), ("png", huge_png)):
        path = tmp_path / f"x.{suffix}"
        make(path)
        with pytest.raises(ImageRefused, match="20000"):
            read_image(path)
    big = tmp_path / "padded.jpg"
    big.write_bytes(encode_jpeg(blob()) + bytes(2**21))
    with pytest.raises(ImageRefused, match="bytes, more than"):
        read_image(big, max_pixels=64 * 64)


def test_t17_every_cut_of_a_jpeg_is_refused_or_whole(tmp_path):
    data = encode_jpeg(blob())
    path = tmp_path / "a.jpg"
    for end in range(0, len(data) - 2, 7):
        path.write_bytes(data[:end])
        with pytest.raises(ImageRefused):
            read_image(path)


def test_t17_any_damage_is_read_or_refused_and_nothing_else(tmp_path):
    rng = np.random.default_rng(1)
    for suffix in ("jpg", "png"):
        original = save(tmp_path / f"o.{suffix}").read_bytes()
        path = tmp_path / f"a.{suffix}"
        for _ in range(200):
            data = bytearray(original)
            for at in rng.integers(0, len(data), rng.integers(1, 6)):
                data[at] = rng.integers(256)
            path.write_bytes(data)
            try:
                assert read_image(path).dtype == np.uint8
            except ImageRefused as error:
                assert error.reason


# Finding images


def test_images_are_found_by_name_in_the_folder_and_below(tmp_path):
    for name in ("1.jpg", "2.JPEG", "sub/3.png", "4.fits", "5_g.fits", "5_r.fits", "5_i.fits", "6-g.fits"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for name in (".hidden.jpg", "._1.jpg", "notes.txt", "sub/1.png", ".git/7.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found, aside = scan_images(tmp_path)
    assert set(found) == {"1", "2", "3", "4", "5"}
    assert found["5"] == tuple(tmp_path / f"5_{band}.fits" for band in "gri")
    assert find_images(tmp_path) == found
    assert {(a.file, a.id) for a in aside} == {("sub/1.png", "1"), ("6-g.fits", "6")}


def test_t12_no_identifier_and_no_link_leads_out_of_the_folder(tmp_path):
    secret = save(tmp_path / "secret.png")
    folder = tmp_path / "images"
    folder.mkdir()
    save(folder / "good.png")
    (folder / "out.png").symlink_to(secret)
    (folder / "alias.png").symlink_to(folder / "good.png")
    (folder / "up").symlink_to(tmp_path)
    found, aside = scan_images(folder)
    assert set(found) == {"good", "alias"}
    assert [a.file for a in aside] == ["out.png"]
    for hostile in ("../secret", str(secret), "up/secret", "C:\\x", "good\x00", "x" * 300):
        assert hostile not in found


def test_t12_file_names_that_cannot_be_identifiers_are_set_aside(tmp_path):
    save(tmp_path / "a\nb.png")
    save(tmp_path / "c.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/c\xff.png"))
    found, aside = scan_images(tmp_path)
    assert found == {}
    assert len(aside) == 2
    assert all(a.file.isascii() and a.file.isprintable() for a in aside)


def test_unicode_names_match_however_they_are_composed(tmp_path):
    save(tmp_path / "Zoe\u0308.png")
    assert "Zo\u00eb" in find_images(tmp_path)


@pytest.mark.parametrize("name", ["absent", "file.zip"])
def test_a_folder_is_needed(tmp_path, name):
    (tmp_path / "file.zip").write_bytes(b"PK")
    with pytest.raises(SFNetError, match=name):
        scan_images(tmp_path / name)


# Resampling


def test_resize_cuts_the_central_square_and_keeps_the_way_up():
    wide = np.zeros((20, 30, 3), np.uint8)
    wide[:10, 5:15] = 200  # upper left of the central square
    np.testing.assert_array_equal(resize(wide, 20), wide[:, 5:25])
    for way in ("lanczos", "bicubic"):
        small = resize(wide, 10, resample=way)
        assert small.shape == (10, 10, 3)
        assert small[1, 1, 0] > 190
        assert small[8, 8].max() < 10
