"""Some of many: the same ones each time, all of them different, from end to end."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sfnet_core.utils.subsample import evenly


@given(st.integers(0, 3000), st.integers(1, 3000))
def test_so_many_different_ones_from_the_first_to_the_last_in_steps_alike(total, most):
    rows = evenly(total, most)
    assert len(rows) == min(total, most) and rows.dtype == np.int64
    steps = np.diff(rows)
    if len(rows) > 1:
        assert (rows[0], rows[-1]) == (0, total - 1) and steps.min() >= 1 and steps.max() - steps.min() <= 1


def test_few_of_a_hundred():
    assert evenly(100, 3).tolist() == [0, 49, 99] and evenly(2, 9).tolist() == [0, 1]
    assert evenly(5, 1).tolist() == [0] and evenly(0, 4).tolist() == []
