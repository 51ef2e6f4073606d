"""What plain methods reach on a dataset: the mean, colours alone, colours and shapes in a random forest.

    python benchmarks/baselines.py DATASET [--target oh_p50] [--folds 5] [--split RUN_OR_JSON] [--seed 0]

``--split`` takes a ``run.json`` (or its run's folder, or a JSON file ``{"train": [ids], "validation": [ids]}``) and
measures on that validation set alone; otherwise every galaxy is predicted once, by cross-validation. Prints one JSON
object; RMSE and the rest are in the target's unit, intervals are 95 % bootstraps. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from sfnet_core.astro.photometry import colour_features, forest, ridge, shape_features
from sfnet_core.data.dataset import Dataset
from sfnet_core.stats.metrics import evaluate_arrays
from sfnet_core.utils.errors import SFNetError


def methods(cutouts: np.ndarray, seed: int) -> dict:
    """Name → (features, a function that makes a fresh estimator)."""
    from sklearn.dummy import DummyRegressor

    def trees():
        return forest(seed)

    colours, shapes = colour_features(cutouts), shape_features(cutouts)
    both = np.hstack([colours, shapes])
    return {
        "mean": (colours[:, :1], DummyRegressor),
        "colour_ridge": (colours, ridge),
        "colour_forest": (colours, trees),
        "colour_shape_ridge": (both, ridge),
        "colour_shape_forest": (both, trees),
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
