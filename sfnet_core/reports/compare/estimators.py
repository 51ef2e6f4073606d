"""What is fitted on numbers, not images: principal components, elastic net, estimators. Training galaxies only.

Shape letters: n training galaxies, m others (validation), F features, T targets, k components.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from sfnet_core.utils.errors import SFNetError

__all__ = ["component_fits", "elastic_net", "fit_each", "principal_components"]

_FOLDS = 5
_RATIOS = (0.1, 0.5, 0.9)  # share of the l1 penalty
_PENALTIES = 50  # per ratio
_STEPS = 5_000


def principal_components(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (F,) and principal directions (min(n, F), F), by falling variance, of features (n, F).

    From the singular values of the triangular factor of the centred features: as exact as those of the whole matrix,
    without its left vectors. The sign of a direction is arbitrary and changes no fit.
    """
    features = np.asarray(features, dtype=np.float64)
    mean = features.mean(axis=0)
    return mean, np.linalg.svd(np.linalg.qr(features - mean, mode="r"), full_matrices=False)[2]


def component_fits(
    train: np.ndarray, truth: np.ndarray, others: np.ndarray, ks: Iterable[int]
) -> dict[int, np.ndarray]:
    """Least squares on the first k principal components: (n, F), (n, T), (m, F) → {k: predictions (m, T)}.

    Mean, components and coefficients are the training galaxies'. Where fewer than k directions vary, the others take
    no part.
    """
    mean, directions = principal_components(train)
    found = {}
    for k in ks:
        inside, outside = (
            np.column_stack([(np.asarray(a, dtype=np.float64) - mean) @ directions[:k].T, np.ones(len(a))])
            for a in (train, others)
        )
        found[k] = outside @ np.linalg.lstsq(inside, truth, rcond=None)[0]
    return found


def elastic_net(
    train: np.ndarray, truth: np.ndarray, others: np.ndarray, groups: np.ndarray, seed: int
) -> tuple[np.ndarray, list[str]]:
    """Elastic net on standardised features, a fit for each target → predictions (m, T), remarks.

    Penalty and l1 share are chosen by cross-validation on the training galaxies; ``groups`` (n,) keeps the rows of one
    object in one fold.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import ElasticNetCV
    from sklearn.model_selection import GroupKFold
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(np.asarray(train, dtype=np.float64))
    inside, outside = scaler.transform(train), scaler.transform(others)
    if (objects := len(np.unique(groups))) < 2:
        raise SFNetError("All training galaxies are one object, so that the elastic net's penalty cannot be chosen.")
    dealer = GroupKFold(min(_FOLDS, objects), shuffle=True, random_state=seed)
    folds = list(dealer.split(inside, groups=groups))
    columns, remarks = [], []
    for column in truth.T:
        net = ElasticNetCV(l1_ratio=_RATIOS, alphas=_PENALTIES, cv=folds, max_iter=_STEPS)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            columns.append(net.fit(inside, column).predict(outside))
        if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
            remarks.append(f"Some of the elastic net's fits (seed {seed}) had not converged after {_STEPS:,} steps.")
    return np.stack(columns, axis=1), sorted(set(remarks))


def fit_each(make: Callable[[], Any], train: np.ndarray, truth: np.ndarray, others: np.ndarray) -> np.ndarray:
    """A fresh estimator of scikit-learn's kind for each target: (n, F), (n, T), (m, F) → (m, T)."""
    columns = []
    for column in truth.T:
        model = make().fit(train, column)
        if hasattr(model, "n_jobs"):
            model.n_jobs = 1  # threads would add the trees' answers up in any order, and the last bit would vary
        columns.append(model.predict(others))
    return np.stack(columns, axis=1)
