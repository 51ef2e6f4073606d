"""Do a few features know a class? k-sparse probing: a logistic regression on the k features that differ most.

As in Gurnee et al. (2023, TMLR, "Finding neurons in a haystack") and SAEBench (Karvonen et al. 2025): of the training
galaxies alone the k columns with the largest difference of the two classes' means, in units of the column's scatter,
are chosen and a logistic regression is fitted on them; both are scored on galaxies it has not seen. Here this is done
in folds, so that each galaxy is scored once, and whole objects stay together.

The score is the area under the ROC curve (AUC; 0.5 by chance) within each fold, averaged over folds, and balanced
accuracy. Shape letters: n galaxies, J columns, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.astro.spiral_winding import ARMS, winding
from sfnet_core.reports.faithful.inputs import COLOURS, PHOTOMETRY, Inputs
from sfnet_core.stats.bootstrap import percentile_interval, resampled
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["FEWEST", "Folds", "auc", "checked", "chosen", "probe", "probing"]

FOLDS, FEWEST = 5, 20  # fewest galaxies of a class that are probed
RESAMPLES, SHUFFLES, REFITS = 1000, 1000, 5


class Folds:
    """The same cut of the galaxies for every probe of one class: ``inside`` (n,) bool; whole objects stay together."""

    def __init__(self, inside: np.ndarray, objects: np.ndarray | None = None, seed: int = 0) -> None:
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

        self.inside, self.seed = np.asarray(inside, dtype=bool), seed
        n = len(self.inside)
        fewest = int(min(self.inside.sum(), (~self.inside).sum()))
        if fewest < FEWEST:
            raise SFNetError(f"A class of {fewest} galaxies is too small to be probed; {FEWEST} are needed.")
        objects = np.arange(n) if objects is None else np.asarray(objects)
        if len(np.unique(objects)) == n:
            cut = StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(n), self.inside)
        else:
            cut = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(np.zeros(n), self.inside, objects)
        self.each = [test for _, test in cut]


def chosen(columns: np.ndarray, inside: np.ndarray, k: int) -> np.ndarray:
    """The ``k`` columns whose means differ most between the classes, in units of their scatter, the first the most."""
    scatter = columns.std(axis=0)
    apart = np.abs(columns[inside].mean(axis=0) - columns[~inside].mean(axis=0))
    apart = np.where(scatter > 0, apart / np.where(scatter > 0, scatter, 1.0), -1.0)
    return np.argsort(-apart, kind="stable")[:k]


def auc(scores: np.ndarray, inside: np.ndarray) -> float:
    """Chance that a galaxy of the class scores above one that is not of it; ties count half."""
    from scipy.stats import rankdata

    ones = int(inside.sum())
    others = len(inside) - ones
    return float((rankdata(scores)[inside].sum() - ones * (ones + 1) / 2) / (ones * others)) if ones and others else 0.5


def probe(
    columns: np.ndarray, folds: Folds, k: int | None = None, names: Sequence[str] | None = None
) -> dict[str, Any]:
    """How well columns tell a class: by the ``k`` best of them, or by all.

    Parameters
    ----------
    columns
        (n, J) numbers of each galaxy.
    folds
        The class and the cut of the galaxies.
    k
        How many columns are chosen; ``None`` for all.
    names
        Of the columns, for ``chosen``.

    Returns
    -------
    dict[str, Any]
        ``auc`` and ``balanced_accuracy``, each with ``low`` and ``high`` of a 95 % bootstrap over the scored galaxies
        of either class in each fold; ``null_low`` and ``null_high``: the central 95 % of the AUC where the scored
        galaxies' labels are shuffled, ``chance`` how often those are as high (an AUC below 0.5 is no knowledge: columns
        that know nothing are chosen for what the scored fold then lacks); ``refitted``: mean AUC where all labels are
        shuffled before choosing and fitting (0.5, or something leaks); ``chosen``: what the folds chose, with how many
        of them did.
    """
    scores, picked = _scores(columns, folds.inside, folds.each, k)
    parts = [(scores[test], folds.inside[test]) for test in folds.each]
    value = float(np.mean([auc(*part) for part in parts]))
    rng = np.random.default_rng([folds.seed, 1])
    null = np.zeros(SHUFFLES)
    for values, inside in parts:
        rank = _ranks(values)
        ones = int(inside.sum())
        for i in range(SHUFFLES):
            total = rank[rng.permutation(len(rank))[:ones]].sum()
            null[i] += (total - ones * (ones + 1) / 2) / (ones * (len(rank) - ones)) / len(parts)
    low, high = np.percentile(null, [2.5, 97.5])
    refits = []
    for _ in range(REFITS):
        labels = folds.inside[rng.permutation(len(folds.inside))]
        made, _ = _scores(columns, labels, folds.each, k)
        refits.append(np.mean([auc(made[test], labels[test]) for test in folds.each]))
    fold = np.empty(len(scores), dtype=np.int64)
    for i, test in enumerate(folds.each):
        fold[test] = 2 * i + folds.inside[test]
    statistic = _of_counts(scores, folds.inside, folds.each)
    drawn = resampled(statistic, len(scores), RESAMPLES, [folds.seed, 2], strata=fold)
    area, balanced = (percentile_interval(values)._asdict() for values in drawn.T)
    names = [str(i) for i in range(columns.shape[1])] if names is None else list(names)
    times = np.bincount(np.concatenate(picked), minlength=columns.shape[1])
    return {
        "k": columns.shape[1] if k is None else k,
        "auc": area,
        "balanced_accuracy": balanced,
        "null_low": float(low),
        "null_high": float(high),
        "chance": float((1 + (null >= value).sum()) / (1 + SHUFFLES)),
        "refitted": float(np.mean(refits)),
        "chosen": {} if k is None else {names[i]: int(times[i]) for i in np.argsort(-times, kind="stable") if times[i]},
    }


def _scores(
    columns: np.ndarray, inside: np.ndarray, each: list[np.ndarray], k: int | None
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(n,) each galaxy's log odds by the probe of the other folds, classes weighted alike; what each fold chose."""
    from sklearn.linear_model import LogisticRegression

    out, picked = np.empty(len(columns)), []
    for test in each:
        train = np.ones(len(columns), dtype=bool)
        train[test] = False
        if not 0 < inside[train].sum() < train.sum():
            out[test] = 0.0
            continue
        take = np.arange(columns.shape[1]) if k is None else chosen(columns[train], inside[train], k)
        picked.append(take)
        some = columns[:, take]
        mean, scatter = some[train].mean(axis=0), some[train].std(axis=0)
        some = (some - mean) / np.where(scatter > 0, scatter, 1.0)
        model = LogisticRegression(class_weight="balanced", solver="newton-cholesky", tol=1e-7)
        model.fit(some[train], inside[train])
        out[test] = model.decision_function(some[test])
    return out, picked


def _ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return rankdata(values)


def _of_counts(scores: np.ndarray, inside: np.ndarray, each: Sequence[np.ndarray]) -> Any:
    """A statistic for the bootstrap: (r, n) counts → (r, 2), AUC averaged over folds, and balanced accuracy."""

    def statistic(counts: np.ndarray) -> np.ndarray:
        area = 0.0
        for test in each:
            order = test[np.argsort(scores[test], kind="stable")]
            _, first = np.unique(scores[order], return_index=True)
            ones, others = (
                np.add.reduceat(counts[:, order] * of, first, axis=1) for of in (inside[order], ~inside[order])
            )
            below = np.cumsum(others, axis=1) - others / 2  # ties count half
            pairs = ones.sum(axis=1) * others.sum(axis=1)
            area = area + np.where(pairs > 0, (ones * below).sum(axis=1) / np.maximum(pairs, 1), 0.5) / len(each)
        right = (scores > 0) == inside
        shares = [counts @ (right & of) / (counts @ of) for of in (inside, ~inside)]
        return np.stack([area, (shares[0] + shares[1]) / 2], axis=1)

    return statistic


MOST_PROBED = 20_000  # galaxies; of more an even draw
SPARSE = (1, 2, 5)  # k of the probes


def checked(inputs: Inputs, classes: list[str], mirrored: tuple[str, str] | None) -> dict[str, np.ndarray]:
    """Column → (n,) texts, empty where unknown; :class:`SFNetError` where a column or a mirrored class is not there."""
    found = {name: _texts(inputs.codes, name)[inputs.rows] for name in classes}
    if mirrored is not None and not any(set(mirrored) <= set(values.tolist()) for values in found.values()):
        raise SFNetError(f"No column of {', '.join(classes)} has both values of --mirrored {','.join(mirrored)}.")
    return found


def probing(inputs: Inputs, classes: list[str], mirrored: tuple[str, str] | None) -> dict[str, Any]:
    if not classes:
        return {"missing": "Not made: no column with classes was named (--classes)."}
    found, handed, small = [], None, {}
    for name, values in checked(inputs, classes, mirrored).items():
        known = np.flatnonzero(values != "")
        if len(known) > MOST_PROBED:
            known = np.sort(np.random.default_rng([inputs.seed, 3]).choice(known, MOST_PROBED, replace=False))
        values = values[known]
        labels = {str(value): values == value for value in np.unique(values)}
        if mirrored is not None and all(value in labels for value in mirrored):
            pair = [labels.pop(value) for value in mirrored]
            labels = {" or ".join(mirrored): pair[0] | pair[1]} | labels
            handed = _handedness(inputs, name, mirrored, known[pair[0] | pair[1]], pair[0][pair[0] | pair[1]])
        if len(labels) == 2:  # what tells one from the rest tells the other
            labels.popitem()
        for label, inside in labels.items():
            count = int(inside.sum())
            if min(count, len(inside) - count) < FEWEST:
                small[label] = count
                continue
            inputs.say(f"Probing {name}: {label} ({count:,} of {len(inside):,})")
            one = {"column": name, "class": label, "n": len(inside), "n_class": count}
            found.append(one | {"probes": _probes(inputs, known, inside, _baselines(inputs, known))})
    return {"classes": found, "handedness": handed, "too_small": small, "fewest": FEWEST}


def _baselines(inputs: Inputs, of: np.ndarray) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    prediction = inputs.codes.prediction(inputs.target)[inputs.rows[of], None]
    out = {"prediction": (prediction, ("prediction",))}
    if not inputs.no_images and np.isfinite(measured := inputs.photometry(of)).all():
        out["colours"] = measured[:, : len(COLOURS)], COLOURS
        out["colours and shapes"] = measured, PHOTOMETRY
    return out


def _probes(
    inputs: Inputs, of: np.ndarray, inside: np.ndarray, others: dict[str, tuple[np.ndarray, tuple[str, ...]]]
) -> list[dict[str, Any]]:
    """Every probe of one class on the same folds: the code's best k features, all of them, and the other columns."""
    columns, features = inputs.columns(of)
    names = [f"f{feature}" for feature in features]
    folds = Folds(inside, _objects(inputs.codes, inputs.rows[of]), inputs.seed)
    out = []
    for k in (*(k for k in SPARSE if k < len(names)), None):
        out.append({"from": "code", "all": k is None} | probe(columns, folds, k, names))
    for source, (values, labels) in others.items():
        sparse = [k for k in SPARSE if source == "colours and shapes" and k < len(labels)]
        for k in (*sparse, None):
            out.append({"from": source, "all": k is None} | probe(values, folds, k, labels))
    return out


def _handedness(
    inputs: Inputs, column: str, pair: tuple[str, str], of: np.ndarray, inside: np.ndarray
) -> dict[str, Any]:
    """One of two mirrored classes against the other; beside it what sees handedness by hand, on the same folds."""
    counts = [int(inside.sum()), int((~inside).sum())]
    about = {"column": column, "classes": list(pair), "counts": counts}
    if min(counts) < FEWEST:
        return about | {"missing": f"Not made: {counts[0]} and {counts[1]} galaxies, fewer than {FEWEST}."}
    inputs.say(f"Probing handedness: {counts[0]:,} {pair[0]}, {counts[1]:,} {pair[1]}")
    others = {}
    if not inputs.no_images and (inputs.places[of] >= 0).all():
        names = tuple(f"m = {m}" for m in ARMS)
        others = {"winding": (winding(inputs.dataset.cutouts[inputs.places[of]]), names)}
    return about | {"probes": _probes(inputs, of, inside, others)}


def _texts(codes: SparseCodes, name: str) -> np.ndarray:
    """(N,) the classes of a column as texts, empty where unknown; :class:`SFNetError` for one of numbers that vary."""
    values = codes.column(name)
    if values.dtype.kind == "f":
        known = np.isfinite(values)
        whole = values[known]
        if len(np.unique(whole)) > 20 or (whole != np.round(whole)).any():
            raise SFNetError(f"The column {name!r} holds numbers, not classes; --classes names a column of classes.")
        return np.array([str(int(v)) if ok else "" for v, ok in zip(values, known, strict=True)])
    texts = np.char.strip(values.astype(str))
    if len(np.unique(texts)) > 50:
        raise SFNetError(f"The column {name!r} has more than 50 values; --classes names a column of classes.")
    return texts


def _objects(codes: SparseCodes, rows: np.ndarray) -> np.ndarray:
    """(n,) which galaxies are the same object, by position where it is known; identifiers are unique in codes."""
    if codes.ra is None or codes.dec is None:
        return np.arange(len(rows))
    from sfnet_core.data.splits import objects

    return objects(codes.ids[rows], codes.ra[rows], codes.dec[rows])
