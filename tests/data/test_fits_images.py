"""FITS bands: composed by the paper's equations, the right way up, refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from sfnet_core.data.cutouts import ImageRefused, image_size, read_source
from sfnet_core.data.fits_images import lupton_rgb, read_fits_cube


def write_fits(path, data, **options):
    fits.PrimaryHDU(data, **options).writeto(path)
    return path


def test_lupton_rgb_follows_the_papers_equations():
    bands = np.random.default_rng(0).uniform(-0.05, 0.9, (3, 9, 7))
    stretch, q, black = 0.5, 8.0, np.array([0.01, 0.02, 0.03])
    light = bands - black[:, None, None]
    mean = light.mean(0)
    # Lupton et al. 2004, eq. 2: each band times f(I)/I, f an asinh; the slope as in astropy (a tenth of the stretch)
    f = np.arcsinh(q * mean / stretch) * 0.1 / np.arcsinh(0.1 * q)
    expected = np.clip(light * np.where(mean > 0, f / mean, 0), 0, None)
    brightest = expected.max(0)
    expected = expected / np.maximum(brightest, 1)  # clipped together, so that colour is kept
    rgb = lupton_rgb(bands, stretch=stretch, q=q, minimum=tuple(black))
    assert rgb.shape == (9, 7, 3)
    assert np.abs(rgb.transpose(2, 0, 1)[::-1] - 255 * expected).max() <= 1  # i is red, g is blue
    with pytest.raises(ValueError, match="three bands"):
        lupton_rgb(bands[:2])


def test_a_cube_and_three_files_give_the_same_picture_the_right_way_up(tmp_path):
    rng = np.random.default_rng(0)
    bands = rng.uniform(0, 0.02, (3, 16, 20)).astype(np.float32)
    bands[2, -3:, :4] = 5.0  # red light at the upper left, as FITS counts rows from the bottom
    cube = write_fits(tmp_path / "a.fits", bands)
    parts = tuple(write_fits(tmp_path / f"b_{band}.fits", plane) for band, plane in zip("gri", bands, strict=True))
    one, three = read_source(cube), read_source(parts)
    np.testing.assert_array_equal(one, three)
    np.testing.assert_array_equal(read_fits_cube(cube), bands[:, ::-1])
    assert image_size(cube) == one.shape[:2] == (16, 20)
    assert one[:3, :4, 0].min() > 200  # red, top left
    assert one[:3, :4, 2].max() < 60
    assert one[5:].max() < 60


def test_r7_pixels_that_are_not_numbers_are_refused(tmp_path):
    bands = np.zeros((3, 16, 16), np.float32)
    bands[1, 3, 3] = np.nan
    with pytest.raises(ImageRefused, match="1 of 768 pixels are NaN"):
        read_source(write_fits(tmp_path / "a.fits", bands))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: write_fits(p, np.zeros((2, 16, 16))), "2 planes"),
        (lambda p: write_fits(p, np.zeros((99, 16, 16), np.uint8)), "99 planes"),
        (lambda p: p.symlink_to("nowhere"), "cannot be read"),
        (lambda p: write_fits(p, np.zeros((16, 16))), "1 planes"),
        (lambda p: write_fits(p, None), "no image"),
        (lambda p: write_fits(p, np.zeros(16)), "no image"),
        (lambda p: write_fits(p, np.zeros((3, 2, 2))), "at least 8"),
        (lambda p: p.write_bytes(b"\x1f\x8b rest"), "plain FITS"),
        (lambda p: p.write_bytes(write_fits(p.with_name("w"), np.zeros((3, 64, 64))).read_bytes()[:9000]), "truncated"),
        (lambda p: p.write_bytes(b"SIMPLE  =" + b"?" * 3000), "FITS"),
    ],
)
def test_t17_fits_images_that_are_not_three_bands_are_refused(tmp_path, make, says):
    path = tmp_path / "a.fits"
    make(path)
    with pytest.raises(ImageRefused, match=says):
        read_source(path)


def test_t17_a_fits_header_that_claims_a_giant_is_refused_before_it_is_read(tmp_path):
    header = fits.Header(
        [("SIMPLE", True), ("BITPIX", -64), ("NAXIS", 3), ("NAXIS1", 20_000), ("NAXIS2", 20_000), ("NAXIS3", 3)]
    )
    path = tmp_path / "a.fits"
    path.write_bytes(header.tostring().encode())
    with pytest.raises(ImageRefused, match=r"20000×20000|truncated"):
        read_source(path)
