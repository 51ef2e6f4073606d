"""The classes of a catalogue probed one by one, and two classes that a mirror swaps against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.astro.spiral_winding import ARMS, winding
from sfnet_core.reports.faithful.inputs import COLOURS, PHOTOMETRY, Matter
from sfnet_core.reports.faithful.probe import FEWEST, Folds, probe
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["checked", "probing"]

MOST_PROBED = 20_000  # galaxies; of more an even draw
SPARSE = (1, 2, 5)  # k of the probes


def checked(matter: Matter, classes: list[str], mirrored: tuple[str, str] | None) -> dict[str, np.ndarray]:
    """Column → (n,) texts, empty where unknown; :class:`SFNetError` where a column or a mirrored class is not there."""
    found = {name: _texts(matter.codes, name)[matter.rows] for name in classes}
    if mirrored is not None and not any(set(mirrored) <= set(values.tolist()) for values in found.values()):
        raise SFNetError(f"No column of {', '.join(classes)} has both values of --mirrored {','.join(mirrored)}.")
    return found


def probing(matter: Matter, classes: list[str], mirrored: tuple[str, str] | None) -> dict[str, Any]:
    if not classes:
        return {"missing": "Not made: no column with classes was named (--classes)."}
    found, handed, small = [], None, {}
    for name, values in checked(matter, classes, mirrored).items():
        known = np.flatnonzero(values != "")
        if len(known) > MOST_PROBED:
            known = np.sort(np.random.default_rng([matter.seed, 3]).choice(known, MOST_PROBED, replace=False))
        values = values[known]
        labels = {str(value): values == value for value in np.unique(values)}
        if mirrored is not None and all(value in labels for value in mirrored):
            pair = [labels.pop(value) for value in mirrored]
            labels = {" or ".join(mirrored): pair[0] | pair[1]} | labels
            handed = _handedness(matter, name, mirrored, known[pair[0] | pair[1]], pair[0][pair[0] | pair[1]])
        if len(labels) == 2:  # what tells one from the rest tells the other
            labels.popitem()
        for label, inside in labels.items():
            count = int(inside.sum())
            if min(count, len(inside) - count) < FEWEST:
                small[label] = count
                continue
            matter.say(f"Probing {name}: {label} ({count:,} of {len(inside):,})")
            one = {"column": name, "class": label, "n": len(inside), "n_class": count}
            found.append(one | {"probes": _probes(matter, known, inside, _baselines(matter, known))})
    return {"classes": found, "handedness": handed, "too_small": small, "fewest": FEWEST}


def _baselines(matter: Matter, of: np.ndarray) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    prediction = matter.codes.prediction(matter.target)[matter.rows[of], None]
    out = {"prediction": (prediction, ("prediction",))}
    if not matter.no_images and np.isfinite(measured := matter.photometry(of)).all():
        out["colours"] = measured[:, : len(COLOURS)], COLOURS
        out["colours and shapes"] = measured, PHOTOMETRY
    return out


def _probes(
    matter: Matter, of: np.ndarray, inside: np.ndarray, others: dict[str, tuple[np.ndarray, tuple[str, ...]]]
) -> list[dict[str, Any]]:
    """Every probe of one class on the same folds: the code's best k features, all of them, and the other columns."""
    columns, features = matter.columns(of)
    names = [f"f{feature}" for feature in features]
    folds = Folds(inside, _objects(matter.codes, matter.rows[of]), matter.seed)
    out = []
    for k in (*(k for k in SPARSE if k < len(names)), None):
        out.append({"from": "code", "all": k is None} | probe(columns, folds, k, names))
    for source, (values, labels) in others.items():
        sparse = [k for k in SPARSE if source == "colours and shapes" and k < len(labels)]
        for k in (*sparse, None):
            out.append({"from": source, "all": k is None} | probe(values, folds, k, labels))
    return out


def _handedness(
    matter: Matter, column: str, pair: tuple[str, str], of: np.ndarray, inside: np.ndarray
) -> dict[str, Any]:
    """One of two mirrored classes against the other; beside it what sees handedness by hand, on the same folds."""
    counts = [int(inside.sum()), int((~inside).sum())]
    about = {"column": column, "classes": list(pair), "counts": counts}
    if min(counts) < FEWEST:
        return about | {"missing": f"Not made: {counts[0]} and {counts[1]} galaxies, fewer than {FEWEST}."}
    matter.say(f"Probing handedness: {counts[0]:,} {pair[0]}, {counts[1]:,} {pair[1]}")
    others = {}
    if not matter.no_images and (matter.places[of] >= 0).all():
        names = tuple(f"m = {m}" for m in ARMS)
        others = {"winding": (winding(matter.dataset.cutouts[matter.places[of]]), names)}
    return about | {"probes": _probes(matter, of, inside, others)}


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
