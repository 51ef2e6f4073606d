"""Which way spiral arms wind, by hand: power in trailing and leading logarithmic spirals. No network, no learning.

The Fourier transform of an image in (ln r, θ) has its power at (p, m) for an m-armed logarithmic spiral of pitch angle
arctan(−m / p) (Kalnajs 1975; Considère & Athanassoula 1988, A&AS 76, 365; Davis et al. 2012, ApJS 199, 33). A mirror
swaps p and −p. So the log ratio of the two sides' power says how a galaxy winds, and changes sign in a mirror exactly.
"""

from __future__ import annotations

import numpy as np

__all__ = ["ARMS", "winding"]

ARMS = (1, 2, 3, 4)  # m
_REACH = (0.1, 0.7)  # radii, as shares of half the side
_RADII, _ANGLES = 48, 96
_MOST = 10  # |p| up to this many turns over the range of ln r


def winding(cutouts: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) uint8 → (N, 4): ln of the power winding one way over that winding the other, for m = 1, 2, 3, 4.

    Positive where θ, measured in the image from its right towards its lower edge, grows with r along the arms. The
    galaxy is taken to be in the middle; it is not deprojected.
    """
    height, width = cutouts.shape[1:3]
    half = min(height, width) / 2
    radius = half * np.exp(np.linspace(np.log(_REACH[0]), np.log(_REACH[1]), _RADII))
    angle = (np.arange(_ANGLES) + 0.5) * 2 * np.pi / _ANGLES  # symmetric about both axes
    y = (height - 1) / 2 + radius[:, None] * np.sin(angle)
    x = (width - 1) / 2 + radius[:, None] * np.cos(angle)
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = y - y0, x - x0
    taper = np.hanning(_RADII + 2)[1:-1, None]
    out = np.empty((len(cutouts), len(ARMS)))
    for i, cutout in enumerate(cutouts):
        grey = np.asarray(cutout).astype(np.float64).sum(axis=-1)
        grey -= np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]))
        polar = (grey[y0, x0] * (1 - fx) + grey[y0, x0 + 1] * fx) * (1 - fy)
        polar += (grey[y0 + 1, x0] * (1 - fx) + grey[y0 + 1, x0 + 1] * fx) * fy
        mean = polar.mean(axis=1, keepdims=True)
        contrast = (polar - mean) / (np.abs(mean) + 6.0) * taper  # 6: two grey levels a band
        power = np.abs(np.fft.fft2(contrast)) ** 2
        falling, rising = power[1 : _MOST + 1, list(ARMS)].sum(axis=0), power[-_MOST:, list(ARMS)].sum(axis=0)
        out[i] = np.log((rising + 1e-9) / (falling + 1e-9))
    return out
