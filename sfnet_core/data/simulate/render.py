"""From a galaxy's light to a cutout as SDSS shows it: seeing, pixels, sky noise, the asinh colour composite.

Drawn at SDSS's 0.396″/px with GalSim, then resampled to the cutout's size, as the survey's image server does.
"""

from __future__ import annotations

import numpy as np

from sfnet_core.data.simulate.light import BANDS

__all__ = ["FIELD", "NATIVE_SCALE", "PIXELS", "asinh_rgb", "expose", "resample"]

#: SDSS's camera, arcsec per pixel (Gunn et al. 1998, AJ 116, 3040), and the width of a cutout in such pixels.
NATIVE_SCALE, PIXELS = 0.396, 64

#: Width of a cutout on the sky in arcsec, whatever its size in pixels.
FIELD = NATIVE_SCALE * PIXELS

#: Fine grid on which the light is laid out: half a native pixel, with a margin for the seeing.
FINE_SCALE, FINE_PIXELS = 0.5 * NATIVE_SCALE, 2 * PIXELS + 24

#: Sky in mag/arcsec² and counts per nanomaggy of a 53.9 s SDSS exposure (typical values), by band.
SKY = np.array([21.8, 20.9, 20.3])
COUNTS_PER_NANOMAGGY = np.array([1600.0, 1500.0, 1100.0])

#: Moffat exponent and typical width of the seeing in g, r, i, arcsec.
MOFFAT_BETA = 3.0
SEEING = np.array([1.32, 1.24, 1.18])

#: The composite: weights of g, r, i, softening and stretch, set so that colours match SDSS's own JPEG cutouts.
WEIGHTS = np.array([1.52, 1.12, 0.88])
STRETCH, SOFTENING = 0.72, 6.0


def expose(rng: np.random.Generator, light: np.ndarray) -> np.ndarray:
    """Observe a map of light: (3, FINE_PIXELS, FINE_PIXELS) nanomaggies a fine pixel → (3, PIXELS, PIXELS).

    Convolution with a Moffat (1969) point spread function and the pixel, then noise of sky and source; field stars
    and small galaxies are added on the way. The sky itself is subtracted, as in a calibrated frame.
    """
    import galsim

    width = SEEING * np.exp(rng.normal(0.0, 0.09))
    light = light + _small_galaxies(rng)
    stars = _stars(rng)
    pixel_area = NATIVE_SCALE**2
    frames = np.empty((len(BANDS), PIXELS, PIXELS))
    for b in range(len(BANDS)):
        psf = galsim.Moffat(beta=MOFFAT_BETA, fwhm=float(width[b]))
        source = galsim.InterpolatedImage(
            galsim.Image(np.ascontiguousarray(light[b]), scale=FINE_SCALE),
            x_interpolant="linear",
            normalization="flux",
            pad_factor=1.0,
        )
        objects = [galsim.Convolve(source, psf, real_space=False)]
        objects += [psf.withFlux(float(flux[b])).shift(x, y) for x, y, flux in stars]
        frame = galsim.Sum(objects).drawImage(nx=PIXELS, ny=PIXELS, scale=NATIVE_SCALE, dtype=float).array
        sky = 10.0 ** (-0.4 * (SKY[b] - 22.5)) * pixel_area
        variance = (sky + np.maximum(frame, 0.0)) / COUNTS_PER_NANOMAGGY[b]
        frames[b] = frame + rng.normal(0.0, 1.0, frame.shape) * np.sqrt(variance)
    return frames


def _stars(rng: np.random.Generator) -> list[tuple[float, float, np.ndarray]]:
    """Foreground stars: offsets in arcsec and fluxes (3,); counts rise with magnitude, most of them red dwarfs."""
    stars = []
    for _ in range(rng.poisson(0.7)):
        x, y = rng.uniform(-0.52, 0.52, 2) * FIELD
        magnitude = max(22.3 - rng.exponential(1.35), 15.8)
        colour, dwarf = rng.uniform(0.3, 1.5), rng.uniform(0.2, 1.2)
        if np.hypot(x, y) < 5.0:
            continue
        # Past g − r of about 1.2 the stellar locus turns: M dwarfs differ in r − i alone.
        g, i = magnitude + colour, magnitude - 0.36 * colour - (dwarf if colour > 1.15 else 0.0)
        flux = 10.0 ** (-0.4 * (np.array([g, magnitude, i]) - 22.5))
        stars.append((float(x), float(y), flux))
    return stars


def _small_galaxies(rng: np.random.Generator) -> np.ndarray:
    """Faint background galaxies as elliptical exponentials on the fine grid."""
    answer = np.zeros((len(BANDS), FINE_PIXELS, FINE_PIXELS))
    axis = (np.arange(FINE_PIXELS) - 0.5 * (FINE_PIXELS - 1)) * FINE_SCALE
    for _ in range(rng.poisson(1.3)):
        x, y = rng.uniform(-0.52, 0.52, 2) * FIELD
        magnitude = 22.4 - rng.exponential(0.9)
        angle, q, length = rng.uniform(0, np.pi), rng.uniform(0.3, 1.0), rng.uniform(0.25, 0.6)
        colour = np.array([rng.uniform(0.4, 1.4), 0.0, -rng.uniform(0.2, 0.5)])
        if np.hypot(x, y) < 5.0:
            continue
        dx, dy = axis[None, :] - x, axis[:, None] - y
        u, v = np.cos(angle) * dx + np.sin(angle) * dy, -np.sin(angle) * dx + np.cos(angle) * dy
        shape = np.exp(-np.sqrt(u**2 + (v / q) ** 2 + 0.01) / length)
        flux = 10.0 ** (-0.4 * (np.maximum(magnitude, 18.5) + colour - 22.5))
        answer += flux[:, None, None] * (shape / shape.sum())
    return answer


def asinh_rgb(frames: np.ndarray) -> np.ndarray:
    """Colour composite (H, W, 3) float in 0–255 of frames (3, H, W) in nanomaggies a native pixel.

    Lupton et al. 2004, PASP 116, 133: every band is multiplied by asinh(Q I/S) / (Q I/S) · 1/asinh-scale of the mean
    intensity I, so that colour is kept where it saturates; where a band exceeds 1 all three are divided by it.
    Red is i, green r, blue g.
    """
    g, r, i = frames * WEIGHTS[:, None, None]
    intensity = np.maximum((g + r + i) / 3.0, 1e-9)
    factor = np.arcsinh(SOFTENING * intensity / STRETCH) / (SOFTENING * intensity)
    rgb = np.stack([i, r, g], axis=-1) * factor[..., None]
    rgb = np.maximum(rgb, 0.0)
    brightest = rgb.max(axis=-1, keepdims=True)
    return 255.0 * rgb / np.maximum(brightest, 1.0)


def resample(rgb: np.ndarray, size: int) -> np.ndarray:
    """Bicubic resampling of (H, W, 3) float to (size, size, 3) uint8; row 0 becomes the north, as in a JPEG cutout."""
    from PIL import Image

    picture = Image.fromarray(np.clip(np.rint(rgb[::-1]), 0, 255).astype(np.uint8))
    if size != rgb.shape[0]:
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture)
