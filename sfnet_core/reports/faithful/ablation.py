"""Does the prediction need what a feature is said to give? RMSE without each feature, beside random ablations.

Everything is arithmetic on codes. *Ablate* leaves a feature's contribution out, *refill* puts the strongest runner-up
in its place, *level* puts the feature's mean contribution there: what is then lost is what its strength says, beyond
that it fires. Two chances stand beside ablation. **Same galaxies**: on every galaxy on which the feature fires, one of
its kept features drawn at random is left out instead (the expectation over that draw, exactly). **Same frequency**: on
as many galaxies, drawn at random, one kept feature drawn at random is left out; this is drawn many times.

Shape letters: n galaxies, J features that fire, k kept, R resamples, M draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.codes.sums import mean_contributions
from sfnet_core.stats.bootstrap import percentile_interval, resampled, resamples_for
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["RESAMPLES", "ablation", "ranks"]

DRAWS = 2000  # of a random ablation
RESAMPLES = 2000  # at most


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, 0…J−1; of equal values the earlier is lower."""
    return np.argsort(np.argsort(values, axis=-1, kind="stable"), axis=-1, kind="stable")


def ablation(
    codes: SparseCodes, rows: np.ndarray, *, target: int | str = 0, seed: int = 0, draws: int = DRAWS
) -> dict[str, Any]:
    """ΔRMSE of every feature that fires on some galaxies.

    Parameters
    ----------
    codes
        What inference gave.
    rows
        A mask or positions.
    target
        Its name or number.
    seed
        Of the resamples and draws.
    draws
        Random ablations a feature.

    Returns
    -------
    dict[str, Any]
        Valid JSON. ``features`` (by falling mean absolute contribution) each have ``delta`` = RMSE without it − RMSE;
        ``refill`` and ``level`` likewise; ``same_galaxies``: ``delta`` of the random choice on its own galaxies;
        ``over_same_galaxies``: their difference. Each of these has ``…_low`` and ``…_high``, the ends of a 95 %
        bootstrap interval over galaxies (paired: one set of resamples for all). ``same_frequency`` is the mean of the
        drawn random ablations, with their central 95 % and ``chance``, (1 + draws that reach ``delta``) / (1 + draws).

        ``agreement``: Spearman's ρ over the features of ``delta`` with mean absolute contribution, and with the number
        of galaxies a feature fires on, and the difference of the two, with intervals.
    """
    t = codes.target_index(target)
    truth = codes.truth(t)[rows]
    known = np.isfinite(truth)
    if known.sum() < 3:
        raise SFNetError(f"Only {int(known.sum())} of these galaxies have a true {codes.targets[t]}; 3 are needed.")
    where = np.arange(len(codes))[rows][known]
    part, truth, n, k = codes.take(where), truth[known], int(known.sum()), codes.k
    weight = np.append(codes.weight[t], 0.0)
    kept = part.indices[:, :k].astype(np.int64)  # (n, k)
    terms = weight[part.indices] * part.values  # (n, k+r)
    residual = codes.bias[t] + terms[:, :k].sum(axis=1) - truth
    runner = terms[:, k] if terms.shape[1] > k else np.zeros(n)
    fires = np.bincount(kept[kept >= 0], minlength=codes.features)
    features = np.flatnonzero(fires)
    level, from_training = _levels(codes, t, part, terms)
    base = residual**2
    change = {  # (n, k): what leaving a slot's feature out does to the squared residual
        "delta": (residual[:, None] - terms[:, :k]) ** 2 - base[:, None],
        "refill": (residual[:, None] - terms[:, :k] + runner[:, None]) ** 2 - base[:, None],
        "level": (residual[:, None] - terms[:, :k] + level[kept]) ** 2 - base[:, None],
    }
    full = kept >= 0
    mean, mean_square = mean_contributions(part, t)
    chosen = mean_square - 2 * residual * mean  # (n,) expected
    resamples = resamples_for(n, RESAMPLES)
    found, drawn_delta, drawn_abs = _each(kept, terms[:, :k], change, chosen, features, base, resamples, seed)
    null = _same_frequency(change["delta"], full, fires[features], base.mean(), seed, draws)
    order = np.lexsort((features, -found["mean_abs"]))
    names = {"feature": features, "fires": fires[features], "rate": fires[features] / n, "weight": weight[features]}
    columns = names | found | {
        "same_frequency": null.mean(axis=0),
        "same_frequency_low": np.percentile(null, 2.5, axis=0),
        "same_frequency_high": np.percentile(null, 97.5, axis=0),
        "chance": (1 + (null >= found["delta"]).sum(axis=0)) / (1 + len(null)),
    }  # fmt: skip
    notes = [] if codes.runners_up else ["These codes hold no runner-up, so that refill is the same as ablate."]
    return {
        "n": n,
        "k": k,
        "rmse": float(np.sqrt(base.mean())),
        "resamples": resamples,
        "draws": draws,
        "level_from": "training galaxies" if from_training else "the same galaxies",
        "features": [{name: column[i].item() for name, column in columns.items()} for i in order],
        "agreement": _agreement(drawn_delta, drawn_abs, fires[features]),
        "notes": notes,
    }


def _levels(codes: SparseCodes, t: int, part: SparseCodes, terms: np.ndarray) -> tuple[np.ndarray, bool]:
    """(F + 1,) mean contribution of each feature where it fires, on the training galaxies where there are any."""
    train = codes.in_split("train")
    source = codes.take(train) if train.any() else part
    kept = source.indices[:, : codes.k].astype(np.int64)
    amount = np.append(codes.weight[t], 0.0)[kept] * source.values[:, : codes.k]
    own = part.indices[:, : codes.k].astype(np.int64)

    def mean(indices: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        here = indices >= 0
        times = np.bincount(indices[here], minlength=codes.features)
        return np.bincount(indices[here], values[here], codes.features) / np.maximum(times, 1), times

    found, times = mean(kept, amount)
    fallback, _ = mean(own, terms[:, : codes.k])
    return np.append(np.where(times > 0, found, fallback), 0.0), bool(train.any())


def _each(
    kept: np.ndarray,
    terms: np.ndarray,
    change: dict[str, np.ndarray],
    chosen: np.ndarray,
    features: np.ndarray,
    base: np.ndarray,
    resamples: int,
    seed: int,
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Columns (J,) by name; ``delta`` and mean |contribution| of the galaxies and of each resample (1 + R, J).

    ``base`` (n,): squared residuals. A feature is kept on few galaxies, so that what it changes is a sparse table
    (n, J), one column a feature.
    """
    from scipy.sparse import csr_array, hstack

    n, width = len(base), len(features)
    row, slot = np.nonzero(kept >= 0)
    column = np.searchsorted(features, kept[row, slot])
    each = change | {"same_galaxies": np.broadcast_to(chosen[:, None], kept.shape), "mean_abs": np.abs(terms)}
    tables = [csr_array((values[row, slot], (row, column)), shape=(n, width)) for values in each.values()]
    table = hstack([csr_array(base[:, None]), *tables]).T.tocsr()
    sums = resampled(lambda counts: (table @ counts.T).T / n, n, resamples, seed)
    before, sums = sums[:, :1], dict(zip(each, np.split(sums[:, 1:], len(each), axis=1), strict=True))
    size = sums.pop("mean_abs")
    drawn = {name: np.sqrt(np.maximum(before + moved, 0.0)) - np.sqrt(before) for name, moved in sums.items()}
    drawn["over_same_galaxies"] = drawn["delta"] - drawn["same_galaxies"]
    columns = {"mean_abs": size[0]}
    for name, values in drawn.items():
        columns |= {
            name + ending: of for ending, of in zip(("", "_low", "_high"), percentile_interval(values), strict=True)
        }
    return columns, drawn["delta"], size


def _same_frequency(
    change: np.ndarray, full: np.ndarray, fires: np.ndarray, before: float, seed: int, draws: int
) -> np.ndarray:
    """(M, J) ΔRMSE of random ablations on as many galaxies as each feature fires on."""
    rng = np.random.default_rng([seed, 1])
    n, here = len(change), np.flatnonzero(full.any(axis=1))
    size = full[here].sum(axis=1)  # empty slots are the last ones
    fires = np.minimum(fires, len(here))
    out = np.empty((draws, len(fires)))
    for one in out:
        order = rng.permutation(len(here))
        slot = (rng.random(len(here)) * size).astype(np.int64)
        total = np.cumsum(change[here, slot][order])
        one[:] = np.sqrt(np.maximum(before + total[fires - 1] / n, 0.0)) - np.sqrt(before)
    return out


def _agreement(delta: np.ndarray, size: np.ndarray, fires: np.ndarray) -> dict[str, Any] | None:
    """Spearman's ρ of ΔRMSE with mean |contribution| and with frequency, over J features; ``None`` for fewer than 5."""
    if delta.shape[1] < 5:
        return None

    def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        a, b = ranks(a).astype(float), ranks(b).astype(float)
        a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
        return (a * b).sum(axis=-1) / np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))

    by_size, by_rate = spearman(delta, size), spearman(delta, np.broadcast_to(fires, delta.shape))
    out: dict[str, Any] = {"features": int(delta.shape[1])}
    for name, values in (("contribution", by_size), ("frequency", by_rate), ("difference", by_size - by_rate)):
        out[name] = percentile_interval(values)._asdict()
    return out
