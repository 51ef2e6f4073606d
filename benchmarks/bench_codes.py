"""The arithmetic behind the page, without a page: opening codes, a toggle, the feature table.

    python -m benchmarks.bench_codes [--sizes 1000,250000] [--repeats 7] [--quick]

Beside each stands the plain way: the file read whole by pandas, the dense N × 512 matrix of activations multiplied by
the weights on every toggle, a loop over the features for the table. That both give the same numbers is checked.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import common
from benchmarks.simulated_codes import simulated_codes
from sfnet_core.analysis.interpret import Counterfactual, feature_table, predict
from sfnet_core.codes.table import SparseCodes


def dense(codes: SparseCodes) -> np.ndarray:
    """(N, F) float32 activations after the gate, as the paper's notebooks hold them."""
    found = np.zeros((len(codes), codes.features), dtype=np.float32)
    for slot in range(codes.k):
        rows = np.flatnonzero(codes.indices[:, slot] >= 0)
        found[rows, codes.indices[rows, slot]] = codes.values[rows, slot]
    return found


def plain_table(matrix: np.ndarray, weight: np.ndarray, truth: np.ndarray) -> dict[int, tuple[float, float]]:
    """feature → (mean |contribution|, Pearson correlation with the truth), feature by feature."""
    table = {}
    for feature in range(matrix.shape[1]):
        activation = matrix[:, feature].astype(np.float64)
        if (activation > 0).any():
            pearson = np.corrcoef(activation, truth)[0, 1]
            table[feature] = (float(np.mean(np.abs(weight[feature] * activation))), float(pearson))
    return table


def measure(n: int, repeats: int, folder: Path) -> dict[str, object]:
    path = folder / f"codes-{n}.parquet"
    simulated_codes(n).save(path)
    found: dict[str, object] = {"file_mb": path.stat().st_size / 1e6}

    def compare(name: str, ways: dict, rounds: int = repeats) -> None:
        seconds = common.interleaved(ways, rounds, say=lambda line: common.progress(f"{n:,} {name}: {line}"))
        first, *others = seconds
        found[name] = {way: common.summary(each) for way, each in seconds.items()} | {
            "times_faster": {f"{first}, than {other}": common.ratio(seconds[other], seconds[first]) for other in others}
        }

    import pandas

    compare(
        "open",
        {"SparseCodes.open": lambda: SparseCodes.open(path), "pandas.read_parquet": lambda: pandas.read_parquet(path)},
    )
    codes = SparseCodes.open(path)
    matrix, weight = dense(codes), codes.weight[0].astype(np.float32)
    compare("index of the features", {"Counterfactual": lambda: Counterfactual(codes)})
    counterfactual = Counterfactual(codes)
    features = feature_table(codes)["feature"][:12].tolist()
    turns = {"index": itertools.cycle(features), "whole": itertools.cycle(features), "dense": itertools.cycle(features)}

    def toggled() -> np.ndarray:
        return counterfactual.prediction({next(turns["index"])})

    def whole() -> np.ndarray:
        return predict(codes, off={next(turns["whole"])})

    def multiplied() -> np.ndarray:
        off = next(turns["dense"])
        kept = matrix.copy()
        kept[:, off] = 0
        return kept @ weight + np.float32(codes.bias[0])

    compare(
        "toggle one feature, all predictions",
        {"Counterfactual.prediction": toggled, "predict, no index": whole, "dense matrix": multiplied},
        rounds=max(repeats, 2 if repeats < 3 else 24),
    )
    refilled = itertools.cycle(features)
    compare("toggle with refill", {"Counterfactual": lambda: counterfactual.prediction({next(refilled)}, "refill")})
    truth = codes.truth()
    compare(
        "feature table",
        {
            "feature_table": lambda: feature_table(codes),
            "loop over dense columns": lambda: plain_table(matrix, codes.weight[0], truth),
        },
    )
    compare(
        "feature table at fixed mass, SFR and z",
        {"feature_table": lambda: feature_table(codes, controls=["lgm_tot_p50", "sfr_tot_p50", "z"])},
    )
    for off in features[:3]:
        kept = matrix.astype(np.float64)
        kept[:, off] = 0
        np.testing.assert_allclose(counterfactual.prediction({off}), kept @ codes.weight[0] + codes.bias[0], atol=1e-9)
        np.testing.assert_array_equal(counterfactual.prediction({off}), predict(codes, off={off}))
    ours, theirs = feature_table(codes), plain_table(matrix, codes.weight[0], truth)
    np.testing.assert_allclose(ours["mean_abs"], [theirs[f][0] for f in ours["feature"]], rtol=1e-9)
    np.testing.assert_allclose(ours["pearson"], [theirs[f][1] for f in ours["feature"]], atol=1e-9)
    found["the same numbers"] = True
    return found


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--sizes", help="numbers of galaxies, with commas between")
    arguments = parser.parse_args()
    sizes = arguments.sizes or ("300,2000" if arguments.quick else "1000,250000")
    repeats = arguments.repeats or (2 if arguments.quick else 7)
    with tempfile.TemporaryDirectory(prefix="sfnet-bench-") as name:
        measured = {f"{n} galaxies": measure(n, repeats, Path(name)) for n in map(int, sizes.split(","))}
    common.write(
        "codes",
        arguments,
        {"codes": "made up (benchmarks/simulated_codes.py), F = 512, k = 4, 8 runners-up, seed 0"},
        measured,
    )


if __name__ == "__main__":
    main()
