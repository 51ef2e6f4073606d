"""Features of several trainings that go together, as groups with at most one feature of each training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["grouped"]


def grouped(
    units: Sequence[np.ndarray], signs: Sequence[np.ndarray], above: float, least: int
) -> list[tuple[list[tuple[int, int]], float]]:
    """Groups of (training, column), each with the mean ρ of its pairs: those with features of ``least`` trainings.

    ``units``: (n, A) activations of each training, centred and of length 1; ``signs``: (A,) of their weights. Average
    linkage (Sokal & Michener 1958): the two groups whose features have the largest mean ρ become one, again and again,
    until none is above ``above``. Never joined are features of one training, nor features whose weights differ in sign.
    """
    owner = np.concatenate([np.full(unit.shape[1], s) for s, unit in enumerate(units)])
    column = np.concatenate([np.arange(unit.shape[1]) for unit in units])
    sign = np.concatenate(signs) >= 0
    rho = np.block([[one.T @ other for other in units] for one in units])  # (M, M)
    alike = np.where((owner[:, None] == owner) | (sign[:, None] != sign), -np.inf, rho)
    members = [[i] for i in range(len(owner))]
    count = np.ones(len(owner))
    best = alike.argmax(axis=1)
    highest = alike[np.arange(len(owner)), best]
    while True:
        i = int(highest.argmax())
        if not highest[i] > above:
            break
        j = int(best[i])
        # the mean over all pairs of the joined groups; −∞ with either stays −∞ with both
        joined = (count[i] * alike[i] + count[j] * alike[j]) / (count[i] + count[j])
        joined[[i, j]] = -np.inf
        alike[i], alike[:, i] = joined, joined
        alike[j], alike[:, j] = -np.inf, -np.inf
        members[i], members[j], count[i] = members[i] + members[j], [], count[i] + count[j]
        again = np.union1d(np.flatnonzero((best == i) | (best == j) | (joined >= highest)), [i, j])
        best[again] = alike[again].argmax(axis=1)
        highest[again] = alike[again, best[again]]
    out = []
    for group in members:
        if len(group) >= least:
            pairs = rho[np.ix_(group, group)][np.triu_indices(len(group), 1)]
            out.append(
                ([(int(owner[m]), int(column[m])) for m in sorted(group)], float(pairs.mean()) if len(pairs) else 1.0)
            )
    return out
