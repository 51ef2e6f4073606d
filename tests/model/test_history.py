"""history.csv: written and read again, refused where it is none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.model.history import read_history, write_history
from sfnet_core.utils.errors import SFNetError

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
ROW = st.dictionaries(st.sampled_from(["rate", "train_rmse", "validation_rmse", "a,b"]), NUMBER)


@given(st.lists(ROW, max_size=5))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read_again(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("history") / "history.csv"
    history = [{"epoch": i + 1} | row for i, row in enumerate(rows)]
    write_history(path, history)
    assert read_history(path) == history and all(type(row["epoch"]) is int for row in read_history(path))
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(rows) + 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"epoch,rmse\n1,a\n", "not a table of numbers"),
        (b"epoch,rmse\n1,0.5,7\n", "not a table of numbers"),
        (b"epoch,rmse\ninf,0.5\n", "not a table of numbers"),
        (b"epoch,rmse\n,0.5\n", "a row has no `epoch`"),
        (b"rmse\n0.5\n", "a row has no `epoch`"),
        (b"\xff\xfe\n1\n", "not a table of numbers"),
        (b"\x00,\x00\n1,2\n", "not a"),
    ],
)
def test_what_is_no_history_is_refused_with_its_name(tmp_path, content, words):
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    with pytest.raises(SFNetError, match=words) as error:
        read_history(path)
    assert str(path) in str(error.value)


def test_no_file_is_no_epoch(tmp_path):
    assert read_history(tmp_path / "history.csv") == []
