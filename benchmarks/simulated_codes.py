"""Simulated sparse codes of any size, for benchmarks and tests: numbers that behave like codes, not galaxies."""

from __future__ import annotations

import numpy as np

from sfnet_core.codes.table import SparseCodes

BIAS = 8.72
SHARED = 32  # features that compete on every galaxy; the others stay silent, as after training


def simulated_codes(
    n: int,
    features: int = 512,
    k: int = 4,
    runners_up: int = 8,
    seed: int = 0,
    map_shape: tuple[int, int] | None = None,
) -> SparseCodes:
    """Codes of ``n`` made-up galaxies whose predictions follow a made-up 12+log(O/H) with a scatter of about 0.09 dex.

    Mass, SFR and metallicity follow the fundamental relation's shape (Mannucci et al. 2010, eq. 2); line ratios rise
    and fall with metallicity only roughly. Deterministic in ``seed``.
    """
    rng = np.random.default_rng(seed)
    slots = min(k + runners_up, features)
    mass = np.clip(rng.normal(10.1, 0.5, n), 8.2, 11.8)
    sfr = 0.76 * mass - 7.64 + rng.normal(0, 0.3, n)
    m, s = mass - 10, sfr
    oh = 8.90 + 0.37 * m - 0.14 * s - 0.19 * m**2 + 0.12 * m * s - 0.054 * s**2 + rng.normal(0, 0.08, n)
    live = min(SHARED, features)
    ids = np.sort(rng.permutation(features)[:live]).astype(np.int16)
    weight = np.zeros(features)
    loading = rng.normal(0, 1, live) / np.sqrt(1 + np.arange(live))  # a few features carry the trend, most carry little
    scaled = (oh - 8.9) / 0.15
    level = np.linspace(1.0, -0.9, live)
    activation = 0.4 * (level + 0.5 * loading * scaled[:, None] + rng.normal(0, 0.25, (n, live)))
    activation = np.maximum(activation, 0).astype(np.float32)
    take = min(slots, live)
    order = np.argsort(-activation, axis=1, kind="stable")[:, :take]
    values = np.zeros((n, slots), dtype=np.float32)
    indices = np.full((n, slots), -1, dtype=np.int16)
    values[:, :take] = np.take_along_axis(activation, order, axis=1)
    indices[:, :take] = np.where(values[:, :take] > 0, ids[order], -1)
    # the head is the least-squares one on what the gate keeps, with a little damping
    kept = np.zeros((n, live + 1))
    columns = np.searchsorted(ids, np.where(indices[:, :k] >= 0, indices[:, :k], ids[0]))
    np.put_along_axis(kept, columns, np.where(indices[:, :k] >= 0, values[:, :k], 0).astype(float), axis=1)
    kept[:, live] = 1
    sample = slice(0, min(n, 20_000))
    gram = kept[sample].T @ kept[sample] + 1e-3 * np.eye(live + 1)
    solved = np.linalg.solve(gram, kept[sample].T @ oh[sample])
    weight[ids] = solved[:live]
    n2 = np.clip(0.9 * (oh - 8.75) / 0.3 - 0.45, -2.0, 0.3) * 0.5 - 0.35 + rng.normal(0, 0.08, n)
    o3 = -1.1 * (oh - 8.6) + rng.normal(0, 0.15, n)
    agn = rng.random(n) < 0.05
    o3, n2 = np.where(agn, rng.normal(0.7, 0.2, n), o3), np.where(agn, rng.normal(0.05, 0.15, n), n2)
    h_alpha = 10 ** rng.normal(2.3, 0.4, n)
    flux = {
        "nii_6584": h_alpha * 10**n2,
        "h_alpha": h_alpha,
        "oiii_5007": h_alpha / 2.86 * 10**o3,
        "h_beta": h_alpha / 2.86,
    }
    columns = {
        "ra": rng.uniform(0, 360, n),
        "dec": np.degrees(np.arcsin(rng.uniform(-0.1, 0.9, n))),
        "z": np.clip(0.01 + 0.1 * np.sqrt(rng.random(n)), 0, 0.3),
        "oh_p50": oh,
        "lgm_tot_p50": mass,
        "sfr_tot_p50": sfr,
        **{f"{line}_flux": f for line, f in flux.items()},
        **{f"{line}_flux_err": 0.05 * f + 1 for line, f in flux.items()},
        "bptclass": np.where(agn, 4, np.where(rng.random(n) < 0.1, 3, np.where(rng.random(n) < 0.15, 2, 1))).astype(
            np.int64
        ),
    }
    maps = None
    if map_shape:
        share = rng.dirichlet(np.ones(map_shape[0] * map_shape[1]), (n, k)).reshape(n, k, *map_shape)
        maps = (share * values[:, :k, None, None] * (map_shape[0] * map_shape[1])).astype(np.float32)
    return SparseCodes.from_arrays(
        ids=np.array([f"made-up-{row:07d}" for row in range(n)], dtype=str),
        indices=indices,
        values=values,
        k=k,
        features=features,
        weight=weight[None],
        bias=np.array([solved[live]]) if n else np.array([BIAS]),
        targets=["oh_p50"],
        units={"oh_p50": "dex"},
        split=np.where(rng.random(n) < 0.2, "validation", "train"),
        truth=oh,
        columns=columns,
        column_units={"ra": "deg", "dec": "deg", "oh_p50": "dex", "lgm_tot_p50": "dex", "sfr_tot_p50": "dex"},
        maps=maps,
        simulated=True,
        provenance={"dataset": "simulated codes", "weights": "made up", "notes": ["Made-up numbers, not galaxies."]},
    )


def many_codes(n: int, of: int = 250_000, seed: int = 0) -> SparseCodes:
    """Codes of ``n`` galaxies, for millions of them: ``of`` made-up ones over and over, each time in another order.

    As slow to go through as ``n`` different ones, and made without an (n, 32) array.
    """
    base, rng = simulated_codes(min(n, of), seed=seed), np.random.default_rng([seed, 1])
    rows = np.concatenate([rng.permutation(len(base)) for _ in range(-(-n // len(base)))])[:n]
    ids = np.empty(n, dtype="U16")
    for start in range(0, n, 1 << 20):
        ids[start : start + (1 << 20)] = [f"made-up-{row:08d}" for row in range(start, min(start + (1 << 20), n))]
    return SparseCodes.from_arrays(
        ids=ids,
        indices=base.indices[rows],
        values=base.values[rows],
        k=base.k,
        features=base.features,
        weight=base.weight,
        bias=base.bias,
        targets=base.targets,
        units=base.units,
        split=base.split[rows],
        truth=base.truth()[rows],
        ra=base.ra[rows],
        dec=base.dec[rows],
        columns={name: base.column(name)[rows] for name in base.columns},
        column_units=base.column_units,
        simulated=True,
        provenance=base.provenance,
    )
