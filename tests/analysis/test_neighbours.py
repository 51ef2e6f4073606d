"""Nearest neighbours against a double loop over dense codes."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.neighbours import code_norms, nearest_by_catalogue, nearest_by_code, shared_features
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SFNetError

simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]


@pytest.fixture(scope="module")
def codes() -> SparseCodes:
    return simulated_codes(500, features=40, k=3, runners_up=2)


def gated(dense: np.ndarray, k: int, **columns) -> SparseCodes:
    """Codes of dense (N, F) activations."""
    dense = np.asarray(dense, dtype=np.float32)
    order = np.argsort(-dense, axis=1, kind="stable")
    values = np.take_along_axis(dense, order, axis=1)
    return SparseCodes.from_arrays(
        ids=[f"g{i}" for i in range(len(dense))], indices=np.where(values > 0, order, -1), values=values, k=k,
        features=dense.shape[1], weight=np.ones((1, dense.shape[1])), bias=[0.0], targets=["y"], columns=columns,
    )  # fmt: skip


@st.composite
def tables(draw):
    features = draw(st.integers(1, 6))
    level = st.sampled_from([0.0, 0.0, 0.25, 0.5, 1.0, 1.75])
    row = st.lists(level, min_size=features, max_size=features)
    dense = np.array(draw(st.lists(row, min_size=1, max_size=9)), dtype=np.float32)
    return dense, draw(st.integers(1, features)), draw(st.integers(0, len(dense) - 1)), draw(st.integers(0, 10))


@settings(deadline=None, max_examples=150)
@given(tables(), st.sampled_from(["cosine", "shared"]), st.booleans())
def test_by_code_as_a_double_loop_has_it(case, by, half):
    dense, k, row, n = case
    codes = gated(dense, k)
    within = list(range(0, len(dense), 2)) if half else None
    kept = [sorted((j for j in range(len(g)) if g[j] > 0), key=lambda j, g=g: (-g[j], j))[:k] for g in dense.tolist()]
    size = [math.sqrt(sum(float(dense[i, j]) ** 2 for j in kept[i])) for i in range(len(dense))]
    expected = []
    for i in range(len(dense)):
        both = set(kept[i]) & set(kept[row])
        if i == row or not both or (within is not None and i not in within):
            continue
        cosine = sum(float(dense[i, j]) * float(dense[row, j]) for j in both) / (size[i] * size[row])
        expected.append((i, cosine, len(both)))
    # the activations are exact in binary, so equal cosines may differ in their last bits only
    key = (lambda e: (-round(e[1], 9), -e[2], e[0])) if by == "cosine" else (lambda e: (-e[2], -round(e[1], 9), e[0]))
    expected.sort(key=key)
    found = nearest_by_code(codes, row, n=len(dense), by=by, within=within)
    assert sorted(found.rows.tolist()) == sorted(i for i, _, _ in expected)
    np.testing.assert_allclose(found.cosine, [c for _, c, _ in expected], atol=1e-9)
    assert dict(zip(found.rows.tolist(), found.shared.tolist(), strict=True)) == {i: s for i, _, s in expected}
    few = nearest_by_code(codes, row, n=n, by=by, within=within)
    np.testing.assert_array_equal(few.rows, found.rows[:n])
    for other in found.rows:
        assert shared_features(codes, row, int(other)).tolist() == [j for j in kept[row] if j in kept[other]]


def test_itself_with_twins(codes):
    """A galaxy with the same code has cosine 1 and comes first; the galaxy itself is not among its neighbours."""
    twin = SparseCodes.from_arrays(
        ids=[*codes.ids, "twin"], indices=np.vstack([codes.indices, codes.indices[7:8]]), k=3, features=40,
        values=np.vstack([codes.values, 2 * codes.values[7:8]]), weight=codes.weight, bias=codes.bias, targets=["y"],
    )  # fmt: skip
    for by in ("cosine", "shared"):
        found = nearest_by_code(twin, 7, n=5, by=by)
        assert found.rows[0] == 500 and found.cosine[0] == pytest.approx(1) and 7 not in found.rows
        assert found.cosine.max() <= 1


def test_norms_can_be_kept(codes):
    one, other = nearest_by_code(codes, 3), nearest_by_code(codes, 3, norms=code_norms(codes))
    np.testing.assert_array_equal(one.rows, other.rows)


def test_an_empty_code_has_no_neighbour():
    codes = gated([[0, 0], [1, 0], [0.5, 0.5]], 2)
    assert nearest_by_code(codes, 0).rows.size == 0 and shared_features(codes, 0, 1).size == 0


@pytest.mark.parametrize("row", [-1, 500, 1.5, True])
def test_a_galaxy_that_is_not_there(codes, row):
    with pytest.raises(SFNetError, match="no galaxy in row"):
        nearest_by_code(codes, row)
    with pytest.raises(SFNetError, match="no galaxy in row"):
        nearest_by_catalogue(codes, row)


def test_another_measure_is_refused(codes):
    with pytest.raises(SFNetError, match="cosine"):
        nearest_by_code(codes, 0, by="euclid")


# ---- by the catalogue


@pytest.mark.parametrize("within", [None, np.arange(0, 500, 3)])
def test_by_catalogue_as_a_loop_has_it(codes, within):
    columns = ["lgm_tot_p50", "sfr_tot_p50", "z"]
    pool = np.arange(500) if within is None else within
    found = nearest_by_catalogue(codes, 11, n=20, within=within)
    assert found.columns == columns
    distance = {}
    for i in pool.tolist():
        steps = [(codes.column(c)[i] - codes.column(c)[11]) / codes.column(c)[pool].std() for c in columns]
        distance[i] = math.sqrt(sum(step * step for step in steps))
    expected = sorted((i for i in distance if i != 11), key=lambda i: (distance[i], i))[:20]
    assert found.rows.tolist() == expected
    np.testing.assert_allclose(found.distance, [distance[i] for i in expected])


def test_units_do_not_matter():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 50))
    one = gated(np.ones((50, 1)), 1, a=x, b=y)
    other = gated(np.ones((50, 1)), 1, a=x * 1000 - 5, b=y / 7)
    first, second = (nearest_by_catalogue(c, 0, columns=["a", "b"]) for c in (one, other))
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_allclose(first.distance, second.distance)


def test_missing_values():
    z = np.array([0.1, np.nan, 0.2, 0.3, -9999.0, 0.11])
    codes = gated(np.ones((6, 1)), 1, z=z, lgm_tot_p50=[10.0, 10.0, np.nan, 10.5, 10.1, 11.0])
    assert nearest_by_catalogue(codes, 0).rows.tolist() == [5, 3]
    assert nearest_by_catalogue(codes, 1).columns == ["lgm_tot_p50"], "what is unknown for the galaxy is left out"
    with pytest.raises(SFNetError, match="z is not known for galaxy g1"):
        nearest_by_catalogue(codes, 1, columns=["z"])


def test_nothing_to_measure_in():
    codes = gated(np.ones((4, 1)), 1, z=[0.1] * 4, kind=["a", "b", "c", "d"])
    with pytest.raises(SFNetError, match="the same for all"):
        nearest_by_catalogue(codes, 0)
    with pytest.raises(SFNetError, match="holds text"):
        nearest_by_catalogue(codes, 0, columns=["kind"])
    with pytest.raises(SFNetError, match="no column 'x'"):
        nearest_by_catalogue(codes, 0, columns=["x"])
