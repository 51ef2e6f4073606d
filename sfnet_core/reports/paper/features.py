"""The features by themselves and against the target: lists, examples, correlations, shares of variance."""

from __future__ import annotations

import numpy as np

from sfnet_core.figures.html_frame import Part, Table
from sfnet_core.figures.plot import ACCENT, Dots, Drawing
from sfnet_core.figures.plot_data import padded
from sfnet_core.reports.paper.basis import Basis, pearson

__all__ = ["against_target", "columns_table", "examples", "listed", "matrix", "strips", "typical", "variance"]

MOST = 12  # features drawn one by one
QUANTILES = (0.95, 0.75, 0.5, 0.25)
NO_PICTURES = "Not made: the report was written without images. Give the codes' dataset with --dataset."


def listed(basis: Basis) -> Part:
    """Rows 2 and 5: which features fire, n_j, ρ, weight, and the bias."""
    t, codes = basis.table, basis.codes
    rows = [
        [basis.label(int(f)), int(f), int(n), float(rate), float(rho), float(w), float(m)]
        for f, n, rate, rho, w, m in zip(
            *(t[name] for name in ("feature", "fires", "rate", "pearson", "weight", "mean_abs")), strict=True
        )
    ]
    unit = f" [{basis.unit}]" if basis.unit else ""
    columns = ["name", "feature", "n_j", "rate", "rho", f"weight{unit} per activation", f"mean |contribution|{unit}"]
    said = [
        f"{len(rows)} of {codes.features} features pass the gate (k = {codes.k}) on one galaxy or more; {basis.where}.",
        "n_j counts the galaxies with activation above 0 after the gate; ρ is Pearson's with the true "
        f"{basis.name}, 0 where the feature is silent; by falling mean |contribution|, weight × activation.",
        f"Bias: {float(codes.bias[basis.target]):.4f} {basis.unit}".rstrip() + ".",
    ]
    return Part(
        "features", "Active features: n_j, ρ, weight, bias", said, tables=[Table("features.csv", columns, rows)]
    )


def examples(basis: Basis, rows: np.ndarray, feature: int) -> list[tuple[bytes, str]]:
    """(JPEG, text) of the rows that have a picture, as stored: north as the survey's cutouts have it."""
    strength = basis.statistics.activation(feature, rows)
    found = [
        (basis.pictures.jpeg(int(row)), f"{basis.codes.ids[row]}, {value:.3f}")
        for row, value in zip(rows, strength, strict=True)
    ]
    return [(jpeg, words) for jpeg, words in found if jpeg]


def strips(basis: Basis) -> Part:
    """Row 3: the nine strongest galaxies of each feature."""
    part = Part("top", "Strongest galaxies of each feature")
    if basis.pictures.size is None:
        part.missing.append(NO_PICTURES)
        return part
    part.said.append(
        f"The nine galaxies with the largest activation, strongest first; {basis.where}; the {MOST} features with the "
        "largest mean |contribution| at most. Images are as stored, not flipped."
    )
    for feature in basis.table["feature"][:MOST].tolist():
        part.strips.append((basis.label(feature), examples(basis, basis.index.top(feature, 9), feature)))
    return part


def typical(basis: Basis) -> Part:
    """Row 8: examples by quantile of the activation where the feature fires."""
    part = Part("typical", "Typical examples by quantile of the activation")
    if basis.pictures.size is None:
        part.missing.append(NO_PICTURES)
        return part
    part.said.append(
        f"Nine galaxies from the 95th, 75th, 50th and 25th percentile of the activation down, where the feature "
        f"fires; {basis.where}. The public notebook starts at rank n_j//20 "
        "and calls it the 90th percentile: it is the 95th."
    )
    for feature in basis.table["feature"][: MOST // 2].tolist():
        order = basis.index.top(feature, len(basis.rows))
        for quantile in QUANTILES:
            start = min(int((1 - quantile) * len(order)), max(len(order) - 9, 0))
            heading = f"{basis.label(feature)}: from the {100 * quantile:.0f}th percentile down"
            part.strips.append((heading, examples(basis, order[start : start + 9], feature)))
    return part


def against_target(basis: Basis) -> Part:
    """Row 4: activation / max against the target, with Pearson's ρ where it fires and over all."""
    part = Part("against", f"Activation against {basis.name}")
    if np.isfinite(basis.truth).sum() < 3:
        part.missing.append(
            f"Not made: fewer than 3 galaxies of the {basis.split or 'codes'} have a true {basis.name}."
        )
        return part
    part.said.append(
        f"a_j / max a_j of the galaxies on which a feature fires; {basis.where}; features that fire on more than "
        f"{basis.least} galaxies. ρ in the titles is over those galaxies; over all (0 where silent) it is in the table."
    )
    y_range = padded(basis.truth)
    rows = []
    for feature in basis.common.tolist():
        position, activation = basis.index.of(feature)
        fires, n = pearson(activation, basis.truth[position])
        everyone, known = pearson(basis.index.dense(feature), basis.truth)
        rows.append([basis.label(feature), feature, len(position), n, fires, known, everyone])
        if len(part.drawings) < MOST:
            some = basis.draw(np.isfinite(basis.truth[position]))
            dots = Dots(activation[some] / activation.max(), basis.truth[position][some], ACCENT, 0.75, 5)
            title = (
                f"{basis.label(feature)}\nρ = {fires:+.3f}".replace("-", "\N{MINUS SIGN}")
                + f", n = {n:,}"
                + _drawn(some, n)
            )
            ranges = ((0.0, 1.02), y_range)
            part.drawings.append(Drawing(title, "a / max a, no unit", basis.axis(basis.name), ranges, [dots]))
    columns = ["name", "feature", "n_j", "n where it fires", "rho where it fires", "n", "rho over all"]
    part.tables.append(Table("activation-against-target.csv", columns, rows))
    return part


def _drawn(some: np.ndarray, n: int) -> str:
    return f" ({len(some):,} drawn)" if len(some) < n else ""


def matrix(basis: Basis) -> Part:
    """Row 9: Pearson correlations of the common features' activations."""
    part = Part("matrix", "Correlations of features with each other")
    features = basis.common.tolist()
    found = basis.statistics.matrix(basis.split)
    part.said.append(
        f"Pearson's ρ of the activations over all galaxies, 0 where silent; {basis.where}; features that fire on more "
        f"than {basis.least} galaxies. The paper's figure is of rows scaled to length 1; ρ also subtracts the mean."
    )
    rows = [[basis.label(a), *(float(found[a, b]) for b in features)] for a in features]
    part.tables.append(Table("feature-correlations.csv", ["feature", *(basis.label(b) for b in features)], rows, True))
    return part


def columns_table(basis: Basis) -> Part:
    """Row 10: Pearson's ρ of activations and the catalogue's numbers, targets first."""
    statistics, codes = basis.statistics, basis.codes
    names = [f"target {name}" for name in codes.targets] + list(statistics.numeric_columns())
    values = [codes.truth(t)[basis.rows] for t in range(len(codes.targets))]
    values += [statistics.column(name)[basis.rows] for name in statistics.numeric_columns()]
    rows = []
    for feature in basis.common.tolist():
        dense = basis.index.dense(feature)
        rows.append([basis.label(feature), *(pearson(dense, v)[0] for v in values)])
    said = [
        f"Pearson's ρ of activation (0 where silent) and each numeric column, over the galaxies where the column is "
        f"known; {basis.where}. Fluxes are as the catalogue has them, not their logarithms."
    ]
    weights = [[basis.label(f), *(float(w) for w in codes.weight[:, f])] for f in basis.common.tolist()]
    weights.append(["bias", *map(float, codes.bias)])
    tables = [
        Table("pearson-columns.csv", ["feature", *names], rows, True),
        Table("weights.csv", ["feature", *codes.targets], weights),
    ]
    return Part("columns", "Features against the catalogue's columns; weights", said, tables=tables)


def variance(basis: Basis) -> Part:
    """Row 11: how much of the activations' variance is in the common features."""
    features = basis.table["feature"]
    spread = np.array([basis.index.dense(int(f)).var() for f in features])
    total = float(spread.sum())
    common = np.isin(features, basis.common)
    order = np.argsort(-spread, kind="stable")
    part = Part("variance", "Share of the activations' variance")
    if not total > 0:
        part.missing.append("Not made: no activation varies over these galaxies.")
        return part
    largest = float(spread[order[:4]].sum()) / total
    part.said.append(
        f"Σ variance of the common features (more than {basis.least} galaxies) / Σ variance of all: "
        f"{float(spread[common].sum()) / total:.5f}; of the four with the largest variance: {largest:.4f}. "
        f"Activations after the gate, 0 where silent; {basis.where}."
    )
    rows = [
        [basis.label(int(features[i])), int(features[i]), float(spread[i]), float(spread[i]) / total] for i in order
    ]
    part.tables.append(Table("variance.csv", ["name", "feature", "variance", "share"], rows))
    return part
