"""The one reader of JSON documents: what does not fit is refused with one short sentence that names file and field."""

from __future__ import annotations

import json
import os
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from sfnet_core.utils.documents import file_bytes, json_object, read_document
from sfnet_core.utils.errors import SFNetError


class Inner(Struct):
    share: Annotated[float, Meta(ge=0, le=1)]


class Outer(Struct):
    name: Annotated[str, Meta(max_length=5)]
    parts: list[Inner] = []
    table: dict[Annotated[str, Meta(max_length=3)], int] = {}
    number: int | None = None

    def __post_init__(self) -> None:
        if self.number == 13:
            raise ValueError("`number` is 13")


GOOD = {"kind": "a test", "schema": 1, "name": "x"}


def read(value: Any) -> Outer:
    return read_document(Outer, json.dumps(value), "f.json", schema=1, mark="a test", way="write it again")


def test_what_fits_is_read_and_the_rest_ignored():
    found = read(GOOD | {"parts": [{"share": 1}], "more": [1]})
    assert found.name == "x" and found.parts == [Inner(1.0)] and found.number is None
    assert read_document(Outer, b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "f", schema=1).name == "x"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "`name` must be str, not int"),
        ({"name": "x" * 6}, "`name` must be"),
        ({"name": ...}, "`name` is missing"),
        ({"parts": [{"share": 1}, {}]}, r"`parts\[1\]\.share` is missing"),
        ({"parts": [{"share": 1.5}]}, r"`parts\[0\]\.share` must be float <= 1"),
        ({"table": {"long": 1}}, "`table` a name in it must be"),
        ({"number": True}, r"`number` must be int \| null, not bool"),
        ({"number": 13}, "`number` is 13"),
        ({"schema": 2}, "`schema` is 2; .*update sfnet-core, or write it again"),
        ({"schema": True}, "`schema` is True"),
        ({"schema": ...}, "`schema` is missing"),
        ({"kind": "another"}, "`kind`"),
    ],
)
def test_the_field_is_named(change, said):
    value = {name: one for name, one in (GOOD | change).items() if one is not ...}
    with pytest.raises(SFNetError, match=rf"^f\.json.*{said}.*\.$"):
        read(value)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"nul", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": 1e999}'])
def test_what_is_no_json_object_is_refused(text):
    with pytest.raises(SFNetError, match=r"^f\.json is not "):
        json_object(text, "f.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(sorted(GOOD)), inner),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(["kind", "schema", "name", "parts", "table", "number"], JSON)))
def test_anything_is_read_or_refused_with_a_short_sentence(change):
    try:
        read(GOOD | change)
    except SFNetError as error:
        assert str(error).startswith("f.json") and len(str(error)) < 600 and str(error).isprintable()


def test_only_plain_files_of_the_right_size(tmp_path):
    (tmp_path / "a.json").write_bytes(b"{}")
    os.mkfifo(tmp_path / "pipe")
    assert file_bytes(tmp_path / "a.json", 2) == b"{}"
    for name, most in (("a.json", 1), ("pipe", 9), (".", 9)):
        with pytest.raises(SFNetError):
            file_bytes(tmp_path / name, most)
    with pytest.raises(FileNotFoundError):
        file_bytes(tmp_path / "none", 9)
