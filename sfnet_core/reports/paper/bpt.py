"""The emission lines: BPT diagrams by feature, AGN against star-forming, line ratios from a few features."""

from __future__ import annotations

import warnings

import numpy as np

from sfnet_core.astro.bpt import AGN, STAR_FORMING, bpt_class
from sfnet_core.figures.html_frame import Part, Table
from sfnet_core.figures.plot import FRAME, Curve, Dots, Drawing
from sfnet_core.figures.plot_data import BPT_RANGE, bpt_curves
from sfnet_core.reports.paper.basis import NO_LINES, Basis
from sfnet_core.reports.paper.features import MOST, examples

__all__ = ["classes", "classifiers", "confusion", "diagrams", "ratios"]

MOST_TRAINED = 4000  # galaxies that a support vector machine is fitted to
FOLDS = 5


def diagrams(basis: Basis) -> Part:
    """Row 7: log [OIII]/Hβ against log [NII]/Hα, coloured by a / max a, the strongest on top."""
    part = Part("bpt", "BPT diagram of each feature")
    if basis.ratios is None:
        part.missing.append(NO_LINES)
        return part
    x, y = (ratio[basis.rows] for ratio in basis.ratios)
    known = np.isfinite(x) & np.isfinite(y)
    part.said.append(
        f"x = log N2 − log Hα, y = log O3 − log Hβ, no units, for {int(known.sum()):,} galaxies with four positive "
        f"fluxes; {basis.where}. Colour: a / max a from 0 (violet) to 1 (yellow), strongest on top; grey: silent. "
        "Solid: Kauffmann et al. 2003; dashed: Kewley et al. 2001."
    )
    curves = [Curve(np.array(c["x"]), np.array(c["y"]), c["dash"], name=c["name"]) for c in bpt_curves()]
    for feature in basis.common[:MOST].tolist():
        dense = basis.index.dense(feature)
        share = dense / max(float(dense.max()), 1e-300)
        silent, fires = basis.draw(known & (dense == 0)), basis.draw(known & (dense > 0))
        some = fires[np.argsort(share[fires], kind="stable")]
        layers = [
            Dots(x[silent], y[silent], FRAME, 0.6, 3, name="silent"),
            Dots(x[some], y[some], opacity=0.95, name="fires", shade=share[some]),
        ]
        n = int((known & (dense > 0)).sum())
        drawn = f" ({len(fires):,} drawn)" if len(fires) < n else ""
        labels = "log([NII]λ6584 / Hα)", "log([OIII]λ5007 / Hβ)"
        title = f"{basis.label(feature)}\nfires on n = {n:,}{drawn}"
        drawing = Drawing(title, *labels, BPT_RANGE, [*layers, *curves], scale="a / max a")
        if basis.pictures.size is None:
            part.drawings.append(drawing)
            continue
        nine = examples(basis, basis.index.top(feature, 9), feature)
        part.pairs.append((drawing, f"{basis.label(feature)}: the nine strongest", nine))
    if basis.pictures.size is None:
        part.missing.append("The galaxies beside the diagrams need the dataset: give --dataset.")
    return part


def classes(basis: Basis) -> tuple[np.ndarray, str]:
    """(N,) 1 for AGN, 0 for star-forming, −1 for what is left out; and a sentence that says so."""
    if "bptclass" in basis.statistics.numeric_columns():
        given = basis.statistics.column("bptclass")
        agn, forming = np.isin(given, (4, 5)), np.isin(given, (1, 2))
        words = "AGN: bptclass 4 and 5; star-forming: 1 and 2 (Brinchmann et al. 2004)"
        left = "composites (3) and unclassified galaxies are left out"
    else:
        given = bpt_class(*basis.ratios)
        agn, forming = given == AGN, given == STAR_FORMING
        words = "AGN: on or above Kewley et al. 2001; star-forming: below Kauffmann et al. 2003; S/N not looked at"
        left = "composites between the curves and galaxies without ratios are left out"
    return np.where(agn, 1, np.where(forming, 0, -1)), f"{words}; {left}."


def confusion(truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """(2, 2) counts: rows the true class, columns the predicted one; 0 star-forming, 1 AGN."""
    return np.bincount(2 * np.asarray(truth) + np.asarray(answer), minlength=4).reshape(2, 2)


def classifiers(basis: Basis) -> Part:
    """Row 12: support vector machines on activations, fitted and chosen on train, reported on validation."""
    part = Part("agn", "AGN against star-forming galaxies")
    if basis.ratios is None and "bptclass" not in basis.statistics.numeric_columns():
        part.missing.append(NO_LINES + " A column bptclass does as well.")
        return part
    kind, words = classes(basis)
    splits = {name: basis.statistics.rows(name) for name in ("train", "validation")}
    counts = {name: np.bincount(kind[rows][kind[rows] >= 0], minlength=2) for name, rows in splits.items()}
    if min(counts["train"].min(), counts["validation"].min()) < FOLDS:
        part.missing.append(
            f"Not made: it needs {FOLDS} galaxies of each class in the training and the validation split; there are "
            + "; ".join(f"{c[0]:,} star-forming and {c[1]:,} AGN in {name}" for name, c in counts.items())
            + "."
        )
        return part
    rows = []
    active = basis.statistics.table("train", basis.target)["feature"]
    for name, features in (("all active features", active), ("the top four", active[:4])):
        x, y, held, true = _parts(basis, kind, features)
        for kernel in ("linear", "rbf"):
            model, score = _machine(kernel, x, y)
            table = confusion(true, model.predict(held))
            rows.append([f"{kernel} SVM", name, len(y), score, *_scores(table), *table.ravel().tolist()])
    most = int(counts["validation"].argmax())
    table = confusion(true, np.full(len(true), most))
    rows.append(
        [f"always {'AGN' if most else 'star-forming'}", "none", 0, None, *_scores(table), *table.ravel().tolist()]
    )
    shares = "; ".join(f"{name}: {c[0]:,} star-forming, {c[1]:,} AGN" for name, c in counts.items())
    part.said += [
        f"{words} {shares}.",
        f"Activations after the gate, scaled to unit variance; C (and γ) chosen by {FOLDS}-fold cross-validation on "
        f"the training split alone, on at most {MOST_TRAINED:,} of its galaxies; all else is of the validation split. "
        "The top four are by mean |contribution| on the training split. F1 is of AGN, 2TP / (2TP + FP + FN).",
        "The public notebook swaps the confusion matrix's arguments; here 'true AGN, predicted SF' is what it says.",
    ]
    columns = ["classifier", "features", "n train", "accuracy in cross-validation", "accuracy", "F1"]
    columns += [f"true {a}, predicted {b}" for a in ("SF", "AGN") for b in ("SF", "AGN")]
    part.tables.append(Table("agn-classifiers.csv", columns, rows))
    return part


def _parts(basis: Basis, kind: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, ...]:
    out = []
    for split in ("train", "validation"):
        rows, values = basis.dense(split, features)
        use = np.flatnonzero(kind[rows] >= 0)
        if split == "train" and len(use) > MOST_TRAINED:
            use = np.sort(np.random.default_rng(0).choice(use, MOST_TRAINED, replace=False))
        out += [values[use], kind[rows][use]]
    return tuple(out)


def _machine(kernel: str, x: np.ndarray, y: np.ndarray):
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    grid = {"svc__C": [0.1, 1.0, 10.0]} | ({"svc__gamma": ["scale", 0.1]} if kernel == "rbf" else {})
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GridSearchCV(make_pipeline(StandardScaler(), SVC(kernel=kernel)), grid, cv=folds).fit(x, y)
    return search, float(search.best_score_)


def _scores(table: np.ndarray) -> tuple[float, float]:
    right, positive = float(table.trace() / table.sum()), 2 * table[1, 1] + table[0, 1] + table[1, 0]
    return right, float(2 * table[1, 1] / positive) if positive else float("nan")


def ratios(basis: Basis) -> Part:
    """Row 13: the two line ratios by linear regression on the top four features."""
    part = Part("ratios", "Line ratios from the top four features")
    if basis.ratios is None:
        part.missing.append(NO_LINES)
        return part
    features = basis.statistics.table("train", basis.target)["feature"][:4]
    if not len(features) or not len(basis.statistics.rows("validation")):
        part.missing.append("Not made: it needs a training and a validation split; these codes lack one of them.")
        return part
    (train, x), (held, z) = (basis.dense(split, features) for split in ("train", "validation"))
    rows = []
    for name, ratio in zip(("log [NII]/Ha", "log [OIII]/Hb"), basis.ratios, strict=True):
        y, true = ratio[train], ratio[held]
        good, known = np.isfinite(y), np.isfinite(true)
        if good.sum() <= len(features) + 1 or known.sum() < 2:
            part.missing.append(f"{name}: too few galaxies with this ratio.")
            continue
        fit = np.linalg.lstsq(np.c_[np.ones(good.sum()), x[good]], y[good], rcond=None)[0]
        answer = fit[0] + z[known] @ fit[1:]
        left, total = ((true[known] - answer) ** 2).sum(), ((true[known] - true[known].mean()) ** 2).sum()
        score = 1 - left / total if total > 0 else float("nan")
        rows.append([name, int(good.sum()), int(known.sum()), float(score), *map(float, fit)])
    part.said.append(
        "Ordinary least squares, fitted on the training split; R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)² on the validation split. "
        "Ratios are log10, no unit; coefficients are per activation."
    )
    columns = ["ratio", "n train", "n validation", "R2", "intercept", *(basis.label(int(f)) for f in features)]
    part.tables += [Table("line-ratios.csv", columns, rows)] if rows else []
    return part
