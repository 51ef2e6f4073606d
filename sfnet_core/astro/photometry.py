"""Photometry by hand: colours and shapes measured on cutouts, and what scikit-learn predicts from them.

The plain methods that a network has to beat. Numbers are on the cutouts' own 0…255 scale, after the sky is taken off;
lengths are fractions of half the cutout's side, so cutouts of one dataset compare with each other only.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.subsample import evenly

__all__ = [
    "NAMES", "RINGS", "Process", "colour_features", "forest", "photometry", "ridge", "scatter_features",
    "shape_features",
]  # fmt: skip

_PIECE = 256  # cutouts held in memory at once
_ASKED = 4096  # galaxies whose covariances with those fitted are held in memory at once
MOST = 2000  # galaxies that a Gaussian process is fitted to

#: Ring edges as fractions of half the cutout's side.
RINGS = (0.0, 0.06, 0.12, 0.2, 0.3, 0.45)

#: What :func:`photometry` gives, in order: two colours of the whole and of each ring, the rings' light, then shapes.
NAMES = (
    *(f"phot_{colour}_{where}" for where in ("all", 1, 2, 3, 4, 5) for colour in ("rg", "gb")),
    *(f"phot_light_{ring}" for ring in (1, 2, 3, 4, 5)),
    *("phot_area", "phot_axis", "phot_flattening", "phot_concentration", "phot_r50"),
    *("phot_asymmetry", "phot_clumps", "phot_peak"),
)


def colour_features(cutouts: np.ndarray) -> np.ndarray:
    """Mean and ring colours (N, 2 + 2 · rings): log ratios of the bands, no brightness and no shape."""
    radius = _radius(cutouts.shape[1])
    rows = []
    for image in cutouts:
        light = _subtracted(image)
        apertures = [
            radius < RINGS[-1],
            *[(radius >= a) & (radius < b) for a, b in itertools.pairwise(RINGS)],
        ]
        row = []
        for inside in apertures:
            red, green, blue = np.log(np.maximum(light[inside].mean(axis=0), 0.5))
            row += [red - green, green - blue]
        rows.append(row)
    return np.array(rows)


def shape_features(cutouts: np.ndarray) -> np.ndarray:
    """Brightness profile, size, axis ratio, concentration, asymmetry and clumpiness (N, 13)."""
    radius = _radius(cutouts.shape[1])
    axis = np.linspace(-1, 1, cutouts.shape[1])
    x, y = np.meshgrid(axis, axis)
    near = radius < 0.6
    rows = []
    for image in cutouts:
        grey = _subtracted(image).mean(axis=-1)
        weight = np.where(near & (grey > 6), grey, 0.0)
        total = max(weight.sum(), 1e-9)
        cx, cy = (weight * x).sum() / total, (weight * y).sum() / total
        mxx, myy = (weight * (x - cx) ** 2).sum() / total, (weight * (y - cy) ** 2).sum() / total
        mxy = (weight * (x - cx) * (y - cy)).sum() / total
        spread, gap = 0.5 * (mxx + myy), np.sqrt(0.25 * (mxx - myy) ** 2 + mxy**2)
        area = near & (grey > 20)
        order = np.argsort(radius, axis=None)
        growth = np.cumsum(weight.ravel()[order]) / total
        r20, r50, r80 = np.interp([0.2, 0.5, 0.8], growth, radius.ravel()[order])
        turned = weight[::-1, ::-1]
        smooth = _smooth(weight)
        rows.append(
            [
                *[np.log(max(grey[(radius >= a) & (radius < b)].mean(), 0.5)) for a, b in itertools.pairwise(RINGS)],
                np.sqrt(area.sum()),
                np.sqrt(spread + gap),
                np.sqrt(max(spread - gap, 0) / (spread + gap + 1e-9)),
                r20 / (r80 + 1e-9),
                r50,
                np.abs(weight - turned).sum() / (2 * total),
                np.maximum(weight - smooth, 0).sum() / total,
                np.log(max(grey[near].max(), 1)),
            ]
        )
    return np.array(rows)


def scatter_features(cutouts: np.ndarray) -> np.ndarray:
    """How unlike a ring's pixels are, (N, 15): log (1 + standard deviation) of each band in each ring.

    Large where a galaxy is seen from the side, has arms or knots. Not among the numbers of :func:`photometry`.
    """
    radius = _radius(cutouts.shape[1])
    rings = [(radius >= a) & (radius < b) for a, b in itertools.pairwise(RINGS)]
    return np.array([np.log1p([image[inside].std(axis=0) for inside in rings]).ravel() for image in cutouts])


def photometry(
    cutouts: np.ndarray,
    rows: np.ndarray | None = None,
    done: Callable[[int], object] = lambda n: None,
    scatter: bool = False,
) -> np.ndarray:
    """Colours, then shapes, of the galaxies ``rows`` (all by default) of (N, H, W, 3) uint8 → (n, 25) float64.

    With ``scatter`` the numbers of :func:`scatter_features` follow, (n, 40). Of cutouts that are not square the central
    square is measured. Reads a few at a time, so that they may be memory-mapped; ``done`` counts galaxies.
    :class:`SFNetError` where a ring has no pixel.
    """
    rows = np.arange(len(cutouts)) if rows is None else np.asarray(rows)
    height, width = cutouts.shape[1:3]
    side = min(height, width)
    radius = _radius(side)
    if not all(((radius >= a) & (radius < b)).any() for a, b in itertools.pairwise(RINGS)):
        raise SFNetError(f"Photometry by hand needs cutouts of about 32 px or more; these have {height}×{width} px.")
    top, left = (height - side) // 2, (width - side) // 2
    parts = []
    for start in range(0, len(rows), _PIECE):
        some = np.asarray(cutouts[rows[start : start + _PIECE], top : top + side, left : left + side])
        more = [scatter_features(some)] if scatter else []
        parts.append(np.hstack([colour_features(some), shape_features(some), *more]))
        done(len(some))
    return np.concatenate(parts)


def forest(seed: int, jobs: int = 2) -> Any:
    """A random forest of 400 trees (scikit-learn); the same for any number of ``jobs``, to rounding."""
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(400, min_samples_leaf=3, max_features=0.4, random_state=seed, n_jobs=jobs)


def ridge() -> Any:
    """Ridge regression on standardised features, its penalty chosen by leave-one-out on the training galaxies alone."""
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))


class Process:
    """Gaussian process regression (scikit-learn) on standardised features; ``fit`` and ``predict`` as estimators have.

    One squared exponential of all features and white noise; scale, length and noise maximise the marginal likelihood of
    the training galaxies (Rasmussen & Williams 2006, chapters 2 and 5). Its cost grows with the cube of their number,
    so of more than :data:`MOST` that many are used, evenly spaced. On one thread: the same numbers on every run.
    """

    def fit(self, measured: np.ndarray, truth: np.ndarray) -> Process:
        """From (n, p) features and (n,) or (n, T) targets."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from threadpoolctl import threadpool_limits

        these = evenly(len(measured), MOST)
        measured, truth = measured[these], truth[these]
        kernel = ConstantKernel(1.0) * RBF(10.0, (1.0, 1e3)) + WhiteKernel(0.3)
        made = make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True))
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is an answer too
            self._made = made.fit(measured, truth)
        return self

    def predict(self, measured: np.ndarray) -> np.ndarray:
        """(n, p) features → (n,) or (n, T) targets; far from all training galaxies their mean."""
        from threadpoolctl import threadpool_limits

        pieces = range(0, len(measured), _ASKED)
        with threadpool_limits(1):
            return np.concatenate([self._made.predict(measured[start : start + _ASKED]) for start in pieces])


def _radius(size: int) -> np.ndarray:
    axis = np.linspace(-1, 1, size)
    return np.hypot(*np.meshgrid(axis, axis))


def _subtracted(image: np.ndarray) -> np.ndarray:
    image = image.astype(np.float64)
    edge = np.concatenate([image[:6].reshape(-1, 3), image[-6:].reshape(-1, 3)])
    return image - np.median(edge, axis=0)


def _smooth(image: np.ndarray, reach: int = 3) -> np.ndarray:
    """Mean over a (2·reach + 1)² box."""
    padded = np.pad(image, reach + 1)[:-1, :-1].cumsum(0).cumsum(1)
    width = 2 * reach + 1
    return (
        padded[width:, width:] - padded[:-width, width:] - padded[width:, :-width] + padded[:-width, :-width]
    ) / width**2
