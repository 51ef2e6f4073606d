"""What plain methods reach on a dataset: the mean, colours alone, colours and shapes in a random forest.

    python benchmarks/baselines.py DATASET [--target oh_p50] [--folds 5] [--split RUN_OR_JSON] [--seed 0]

``--split`` takes a ``run.json`` (or its run's folder, or a JSON file ``{"train": [ids], "validation": [ids]}``) and
measures on that validation set alone; otherwise every galaxy is predicted once, by cross-validation. Prints one JSON
object; RMSE and the rest are in the target's unit, intervals are 95 % bootstraps. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path

import numpy as np

from sfnet_core.errors import SFNetError
from sfnet_core.metrics import evaluate_arrays
from sfnet_core.survey.dataset import Dataset

#: Ring edges as fractions of half the cutout's side.
RINGS = (0.0, 0.06, 0.12, 0.2, 0.3, 0.45)


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
    """Brightness profile, size, axis ratio, concentration, asymmetry and clumpiness (N, 14)."""
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


def methods(cutouts: np.ndarray, seed: int) -> dict:
    """Name → (features, a function that makes a fresh estimator)."""
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def forest() -> RandomForestRegressor:
        return RandomForestRegressor(400, min_samples_leaf=3, max_features=0.4, random_state=seed, n_jobs=2)

    def ridge():
        return make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))

    colours, shapes = colour_features(cutouts), shape_features(cutouts)
    both = np.hstack([colours, shapes])
    return {
        "mean": (colours[:, :1], DummyRegressor),
        "colour_ridge": (colours, ridge),
        "colour_forest": (colours, forest),
        "colour_shape_ridge": (both, ridge),
        "colour_shape_forest": (both, forest),
    }


def folds_of(groups: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Row numbers of each fold; rows of one group share a fold."""
    labels, inverse = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(labels.size) % folds
    return [np.flatnonzero(fold[inverse] == f) for f in range(folds)]


def read_split(path: Path, ids: np.ndarray) -> list[np.ndarray]:
    """The validation rows of a run, as one fold."""
    if path.is_dir():
        path = path / "run.json"
    try:
        split = json.loads(path.read_text(encoding="utf-8"))
        split = split.get("split", split)
        validation = {str(v) for v in split["validation"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SFNetError(f"{path} holds no split with a list of 'validation' ids ({error}).") from error
    rows = np.flatnonzero(np.isin(ids, list(validation)))
    if rows.size == 0:
        raise SFNetError(f"None of the {len(validation)} validation ids in {path} is in the dataset.")
    return [rows]


def measure(
    dataset: Dataset,
    target: str = "oh_p50",
    folds: int = 5,
    seed: int = 0,
    split: Path | None = None,
    intervals: int = 500,
) -> dict:
    """Cross-validated or held-out metrics of every method."""
    truth = np.asarray(dataset.column(target), dtype=np.float64)
    known = np.isfinite(truth)
    cutouts = np.asarray(dataset.cutouts)[known]
    truth, ids = truth[known], dataset.ids[known]
    tests = read_split(split, ids) if split else folds_of(ids, folds, seed)
    answer: dict = {
        "dataset": str(dataset.path),
        "fingerprint": dataset.fingerprint,
        "simulated": dataset.simulated,
        "target": target,
        "n": int(truth.size),
        "n_without_target": int((~known).sum()),
        "measured_on": f"validation set of {split}" if split else f"{folds}-fold cross-validation, seed {seed}",
        "methods": {},
    }
    for name, (features, make) in methods(cutouts, seed).items():
        predicted = np.full(truth.size, np.nan)
        for test in tests:
            train = np.setdiff1d(np.arange(truth.size), test)
            predicted[test] = make().fit(features[train], truth[train]).predict(features[test])
        rows = np.concatenate(tests)
        answer["methods"][name] = evaluate_arrays(truth[rows], predicted[rows], intervals=intervals)
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--target", default="oh_p50")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--split", type=Path, help="run folder, run.json or JSON with validation ids")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        answer = measure(
            Dataset.open(arguments.dataset), arguments.target, arguments.folds, arguments.seed, arguments.split
        )
    except SFNetError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(answer, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
