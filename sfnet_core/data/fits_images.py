"""FITS pictures: a cube of three bands or one file a band, and their composition into colour."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

__all__ = ["lupton_rgb", "read_bands", "read_fits_cube", "read_fits_size"]


def lupton_rgb(
    bands: np.ndarray, *, stretch: float = 0.5, q: float = 8.0, minimum: float | tuple[float, float, float] = 0.0
) -> np.ndarray:
    """Compose three bands into colour by Lupton et al. 2004 (PASP 116, 133), through astropy.

    Parameters
    ----------
    bands : (3, H, W) fluxes, short wavelength first (g, r, i: i becomes red, g blue), in any one linear unit.
    stretch : the linear stretch, in the bands' unit; ``q`` : the asinh softening. The defaults suit nanomaggies.
    minimum : the flux that is black, one number or one for each of the bands.

    Returns
    -------
    (H, W, 3) uint8, rows in the order of ``bands``.
    """
    from astropy.visualization import make_lupton_rgb

    bands = np.asarray(bands)
    if bands.ndim != 3 or bands.shape[0] != 3:
        raise ValueError(f"three bands (3, H, W) are needed, not {bands.shape}")
    black = list(np.broadcast_to(minimum, 3))[::-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_lupton_rgb(bands[2], bands[1], bands[0], minimum=black, stretch=stretch, Q=q)


def read_fits_size(path: str | os.PathLike) -> tuple[int, int]:
    """Height and width of a FITS file's first image, from its header; ``ValueError`` where there is none."""
    shape, _ = _first_image(path, data=False)
    if len(shape) == 3 and shape[0] > 16:  # nothing that could be composed, and maybe a giant
        raise ValueError(f"the FITS image has {shape[0]} planes; three bands are needed")
    return shape[-2], shape[-1]


def read_fits_cube(path: str | os.PathLike) -> np.ndarray:
    """Read the first image of a FITS file as (bands, H, W) float32, row 0 at the top of the picture.

    FITS counts rows from the bottom, so they are turned over: what viewers show up is up here. ``ValueError`` says
    what is wrong with the file.
    """
    _, values = _first_image(path, data=True)
    cube = np.asarray(values, dtype=np.float32)
    if cube.ndim == 2:
        cube = cube[None]
    return np.ascontiguousarray(cube[:, ::-1])


def read_bands(source: Path | tuple[Path, Path, Path]) -> np.ndarray:
    """Read three bands, (3, H, W) float32, from a cube or from one file each; all pixels must be finite."""
    if isinstance(source, tuple):
        planes = [read_fits_cube(path) for path in source]
        if any(plane.shape != planes[0].shape for plane in planes) or planes[0].shape[0] != 1:
            raise ValueError(f"the bands' images have shapes {', '.join(str(plane.shape) for plane in planes)}")
        bands = np.concatenate(planes)
    else:
        bands = read_fits_cube(source)
    if bands.shape[0] != 3:
        raise ValueError(f"the FITS image has {bands.shape[0]} planes; three bands are needed")
    if bad := int((~np.isfinite(bands)).sum()):
        raise ValueError(f"{bad:,} of {bands.size:,} pixels are NaN or infinite")
    return bands


def _first_image(path: str | os.PathLike, *, data: bool) -> tuple[tuple[int, ...], np.ndarray | None]:
    """Shape and, where asked for, values of a FITS file's first image, with astropy's many errors made one kind."""
    from astropy.io import fits

    with open(path, "rb") as handle:
        start = handle.read(9)
    if start != b"SIMPLE  =":  # also keeps astropy from unpacking gzip and its like
        raise ValueError("it is not a plain FITS file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=False, lazy_load_hdus=True) as hdus:
                for hdu in hdus:
                    if hdu.is_image and len(hdu.shape or ()) in (2, 3):
                        return hdu.shape, hdu.data if data else None
    except Exception as error:  # astropy raises a dozen kinds for a broken file
        raise ValueError(f"the FITS file is corrupt or truncated ({error})") from error
    raise ValueError("the FITS file holds no image")
