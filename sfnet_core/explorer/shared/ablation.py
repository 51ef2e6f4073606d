"""What a single feature is worth, all others on: to the galaxy in focus, and to all galaxies in view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sfnet_core.codes.sums import mean_contributions
from sfnet_core.explorer.shared.quantities import signed
from sfnet_core.explorer.shared.query import IN_VIEW, Query, cached

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["Change", "described", "everywhere", "one_galaxy"]

NAMES = {"ablate": "ablate", "refill": "refill", "chance": "one at random"}


class Change(NamedTuple):
    """What silencing a feature does to n galaxies with a true value, in the target's unit."""

    n: int
    fires: int  # galaxies in view on which the feature fires, with a true value or not
    rmse: float  # RMSE without the feature − RMSE with all on
    bias: float  # mean residual without the feature − mean residual with all on, which is the mean change


def one_galaxy(scene: Scene, query: Query, row: int) -> dict[str, Any]:
    """The change of one galaxy's prediction without each of its features in turn, in the target's unit.

    ``rows``: (feature, ablate, refill) by falling |ablate|; ``by``: the feature that takes the free place in refill,
    always the first runner-up, −1 where there is none. Ablating j takes w_j a_j away; refilling adds the runner-up's.
    """
    codes = scene.gated(query)
    indices, values = codes.indices[row], codes.values[row].astype(np.float64)
    terms = np.where(indices >= 0, codes.weight[query.target][indices] * values, 0.0)
    k = codes.k
    instead, by = (terms[k], int(indices[k])) if len(indices) > k and indices[k] >= 0 else (0.0, -1)
    rows = [(int(f), -float(c), float(instead - c)) for f, c in zip(indices[:k], terms[:k], strict=True) if f >= 0]
    return {"rows": sorted(rows, key=lambda r: -abs(r[1])), "by": by}


@cached(*IN_VIEW, "k", keep=8)
def everywhere(scene: Scene, query: Query, feature: int) -> dict[str, Change] | None:
    """ΔRMSE and Δbias over the galaxies in view with ``feature`` silenced, by ``ablate`` and by ``refill``.

    ``chance`` stands beside them: on each galaxy on which the feature fires, one of the features kept there, drawn at
    random, is left out instead; the expectation over that draw (``same_galaxies`` of
    :func:`sfnet_core.reports.faithful.ablation.ablation`). ``None`` where the feature fires on none of them. The
    galaxies on which it does not fire keep their prediction, so only the others are looked at: exact, as fast as it is
    rare.
    """
    codes, view = scene.gated(query), scene.view(query)
    if feature < 0:
        return None
    rows = np.sort(scene.counterfactuals(query)[query.target].kept_on(feature))
    if len(view) < len(codes):
        shown = np.zeros(len(codes), dtype=bool)
        shown[view] = True
        rows = rows[shown[rows]]
    if not len(rows):
        return None
    slot = np.argmax(codes.indices[rows, : codes.k] == feature, axis=1)
    weight = codes.weight[query.target]
    lost = weight[feature] * codes.values[rows, slot].astype(np.float64)
    gained = np.zeros(len(rows))
    if codes.indices.shape[1] > codes.k:
        runner = codes.indices[rows, codes.k]
        gained = np.where(runner >= 0, weight[runner] * codes.values[rows, codes.k].astype(np.float64), 0.0)
    residual = scene.all_on(query)[rows] - scene.truth(query.target)[rows]
    n, square = len(scene.known(query)[0]), scene.squares_on(query)
    here = np.isfinite(residual)
    r = residual[here]

    def change(moved: np.ndarray, squared: np.ndarray) -> Change:
        """Of a change of the predictions by ``moved``, whose square is ``squared``."""
        d, d2 = moved[here], squared[here]
        rmse = np.sqrt(max(square + float(np.sum(2 * r * d + d2)), 0.0) / n) - np.sqrt(square / n) if n else np.nan
        return Change(n, len(rows), float(rmse), float(d.sum() / n) if n else np.nan)

    mean, mean_square = mean_contributions(codes, query.target, rows)
    refill = gained - lost
    return {
        "ablate": change(-lost, lost * lost),
        "refill": change(refill, refill * refill),
        "chance": change(-mean, mean_square),
    }


def described(
    scene: Scene, query: Query, row: int, label: Callable[[int], str], *, all_too: bool = True
) -> dict[str, Any]:
    """Both as the inspector shows them: texts in the target's unit, features by their names."""
    one = one_galaxy(scene, query, row)
    out: dict[str, Any] = {
        "rows": [[label(f), signed(ablate, 4), signed(refill, 4)] for f, ablate, refill in one["rows"]],
        "by": label(one["by"]) if one["by"] >= 0 else "",
        "where": "",
        "all": [],
    }
    found = everywhere(scene, query, query.feature) if all_too and query.feature >= 0 else None
    if found is not None:
        n, name, fires = len(scene.view(query)), label(query.feature), found["ablate"].fires
        out["where"] = f"{name} off in all {n:,}, {query.where} (fires on {fires:,})"
        out["all"] = [
            [NAMES[mode], *(signed(x, 4) if np.isfinite(x) else "–" for x in (change.rmse, change.bias))]
            for mode, change in found.items()
        ]
    return out
