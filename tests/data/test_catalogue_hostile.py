"""Catalogues that are broken, hostile or large: a sentence, in bounded memory."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import votable

from sfnet_core.data import readers
from sfnet_core.data.catalogue import read_catalogue
from sfnet_core.data.readers import read_parquet
from sfnet_core.utils.errors import SFNetError


def csv(tmp_path, text, name="galaxies.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("name", ["a.fits", "a.vot", "a.ecsv", "a.parquet", "a.csv.gz"])
@pytest.mark.parametrize(
    "data", [b"", b"nonsense", b"SIMPLE  =", b"PAR1....PAR1", b"<VOTABLE>", b"# %ECSV 1.0\n# ---\n# {"]
)
def test_broken_files_get_a_sentence(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SFNetError, match=name):
        read_catalogue(tmp_path / name)


@pytest.mark.parametrize("kind", ["fits", "vot", "parquet", "csv.gz"])
def test_a_truncated_file_gets_a_sentence(tmp_path, kind):
    from astropy.table import Table

    path, table = (
        tmp_path / f"a.{kind}",
        Table({"id": np.arange(2000), "x": np.random.default_rng(0).normal(size=2000)}),
    )
    if kind == "parquet":
        pq.write_table(pa.table({name: np.asarray(table[name]) for name in table.colnames}), path)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress("\n".join(["id,x", *(f"{i},{x}" for i, x in table.iterrows())]).encode()))
    elif kind == "vot":
        votable.writeto(table, str(path))  # not Table.write, see sfnet_core.analysis.tables
    else:
        table.write(path, format="fits")
    assert len(read_catalogue(path)) == 2000
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(SFNetError, match=rf"a\.{kind}"):
        read_catalogue(path)


@pytest.mark.parametrize("kind", ["fits", "vot", "ecsv", "csv", "parquet"])
def test_any_damage_is_read_or_refused_and_nothing_else(tmp_path, kind):
    from astropy.table import Table

    path, rng = tmp_path / f"a.{kind}", np.random.default_rng(2)
    table = Table({"id": [f"g{i}" for i in range(30)], "x": np.arange(30.0), "n": np.arange(30)})
    if kind == "parquet":
        pq.write_table(pa.table({name: list(table[name]) for name in table.colnames}), path)
    elif kind == "vot":
        votable.writeto(table, str(path))
    else:
        table.write(path, format={"ecsv": "ascii.ecsv", "csv": "ascii.csv"}.get(kind, kind))
    original = path.read_bytes()
    for _ in range(40):
        data = bytearray(original)
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(32, 127)
        path.write_bytes(data)
        try:
            assert len(read_catalogue(path)) + len(read_catalogue(path).set_aside) >= 1
        except SFNetError as error:
            assert path.name in str(error)


@pytest.mark.parametrize("name", ["a.xlsx", "a.docx", "a"])
def test_unknown_suffixes_are_told_what_is_read(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SFNetError, match=r"suffix.*\.parquet"):
        read_catalogue(tmp_path / name)
    with pytest.raises(SFNetError, match="no catalogue at"):
        read_catalogue(tmp_path / "absent.csv")


def test_an_excel_workbook_named_csv_is_named(tmp_path):
    with pytest.raises(SFNetError, match="Excel"):
        read_catalogue(csv(tmp_path, b"PK\x03\x04rest"))


def test_a_gzip_bomb_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MAX_BYTES", 2**20)
    path = csv(tmp_path, gzip.compress(b"id\n" + bytes(2**22)), "bomb.csv.gz")
    with pytest.raises(SFNetError, match=r"bomb.csv.gz unpacks to more than"):
        read_catalogue(path)


def test_fits_tables_are_chosen_by_hdu(tmp_path):
    from astropy.io import fits
    from astropy.table import Table

    first, second = Table({"id": [1, 2]}), Table({"id": [3, 4], "vec": np.zeros((2, 5))})
    tables = [fits.table_to_hdu(table) for table in (first, second)]
    fits.HDUList([fits.PrimaryHDU(np.zeros((3, 3))), *tables]).writeto(tmp_path / "a.fits")
    assert read_catalogue(tmp_path / "a.fits").ids == ["1", "2"]
    assert "first of 2 tables" in read_catalogue(tmp_path / "a.fits").notes[0]
    chosen = read_catalogue(tmp_path / "a.fits", hdu=2)
    assert chosen.ids == ["3", "4"]
    assert "'vec' was left out" in chosen.notes[0]
    with pytest.raises(SFNetError, match=r"HDU 0 .* is not a table"):
        read_catalogue(tmp_path / "a.fits", hdu=0)


def test_masked_integers_in_fits(tmp_path):
    from astropy.table import MaskedColumn, Table

    table = Table(
        {
            "id": ["a", "b"],
            "n": MaskedColumn([5, 6], mask=[False, True]),
            "big": MaskedColumn([2**62 + 1, 1], mask=[0, 1]),
        }
    )
    table.write(tmp_path / "a.fits")
    read = read_catalogue(tmp_path / "a.fits").table
    np.testing.assert_array_equal(read["n"], [5, np.nan])
    assert read["big"].tolist() == [str(2**62 + 1), ""]


VOT = """<?xml version="1.0"?>{doctype}
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"{ns}><RESOURCE><TABLE{table}>
<FIELD name="id" datatype="long"/><FIELD name="x" datatype="double"{field}/>
<DATA>{data}</DATA></TABLE></RESOURCE></VOTABLE>"""
ROWS = "<TABLEDATA><TR><TD>1237648704043942146</TD><TD>1.5</TD></TR></TABLEDATA>"


def vot(tmp_path, data=ROWS, doctype="", table="", field="", ns=""):
    return csv(tmp_path, VOT.format(doctype=doctype, data=data, table=table, field=field, ns=ns), "a.vot")


def test_votable_is_read(tmp_path):
    assert read_catalogue(vot(tmp_path)).ids == ["1237648704043942146"]


LOL = '<!DOCTYPE v [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"data": '<BINARY2><STREAM href="file:///etc/passwd"/></BINARY2>'}, "STREAM href"),
        ({"data": '<BINARY><STREAM href="http://127.0.0.1/x" encoding="base64"/></BINARY>'}, "STREAM href"),
        ({"data": '<BINARY><STREAM encoding="gzip">H4sI</STREAM></BINARY>'}, "encoded as 'gzip'"),
        ({"data": '<FITS><STREAM encoding="base64">U0lNUExF</STREAM></FITS>'}, "embedded FITS"),
        ({"doctype": LOL, "data": ROWS.replace("1.5", "&b;")}, "entities"),
        (
            {"doctype": '<!DOCTYPE v [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "data": ROWS.replace("1.5", "&x;")},
            "entities",
        ),
        ({"doctype": '<!DOCTYPE v SYSTEM "http://127.0.0.1/v.dtd">'}, "document type"),
        (
            {
                "ns": ' xmlns:xi="http://www.w3.org/2001/XInclude"',
                "data": '<xi:include href="file:///etc/passwd" parse="text"/>',
            },
            "includes another",
        ),
        ({"table": ' nrows="99999999999"'}, "promises 99999999999 rows"),
        ({"table": ' nrows="-1"'}, "promises -1 rows"),
        ({"field": ' arraysize="9999999999"'}, "cells of 9999999999"),
        ({"field": ' arraysize="60000x60000"'}, "cells of 60000x60000"),
    ],
)
def test_t19_votables_that_reach_out_or_swell_are_refused(tmp_path, change, says, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("something was opened")

    monkeypatch.setattr("urllib.request.urlopen", never)
    monkeypatch.setattr("astropy.io.votable.parse", never)  # refused before it is read
    with pytest.raises(SFNetError, match=says):
        read_catalogue(vot(tmp_path, **change))


def test_t19_a_gzipped_votable_without_the_suffix_is_refused(tmp_path):
    path = csv(tmp_path, gzip.compress(vot(tmp_path).read_bytes()), "b.vot")
    with pytest.raises(SFNetError, match="well-formed"):
        read_catalogue(path)
    assert read_catalogue(csv(tmp_path, path.read_bytes(), "b.vot.gz")).ids == ["1237648704043942146"]


# T20, for catalogues


def test_t20_a_parquet_file_that_unpacks_to_gigabytes_is_refused_by_its_footer(tmp_path):
    path = tmp_path / "bomb.parquet"
    schema = pa.schema([("id", pa.int64()), ("x", pa.float64())])
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=True) as writer:
        group = pa.table({"id": np.zeros(5_000_000, np.int64), "x": np.zeros(5_000_000)}, schema=schema)
        for _ in range(4):
            writer.write_table(group, row_group_size=5_000_000)
    assert path.stat().st_size < 200_000
    before = pa.total_allocated_bytes()
    with pytest.raises(SFNetError, match=r"bomb.parquet .* unpacks to 320,000,000 bytes"):
        read_parquet(path, max_bytes=2**27)
    assert pa.total_allocated_bytes() - before < 2**20


def test_t20_one_long_text_repeated_is_refused_before_it_is_written_out(tmp_path):
    path = tmp_path / "texts.parquet"
    texts = pa.DictionaryArray.from_arrays(np.zeros(20_000, np.int32), ["x" * 1_000_000])
    pq.write_table(pa.table({"id": pa.array(range(20_000)), "t": texts}), path)
    assert path.stat().st_size < 1_200_000
    with pytest.raises(SFNetError, match="unpacks to 20,000,000,000 bytes"):
        read_catalogue(path)


def test_t20_damaged_parquet_gets_a_sentence(tmp_path):
    path = tmp_path / "a.parquet"
    buffer = io.BytesIO()
    pq.write_table(
        pa.table({"id": [f"g{i}" for i in range(1000)], "x": np.random.default_rng(0).normal(size=1000)}), buffer
    )
    data = bytearray(buffer.getvalue())
    for start in (0, 4, 200, len(data) // 2, len(data) - 600, len(data) - 8):
        broken = data.copy()
        broken[start : start + 64] = b"\xff" * len(broken[start : start + 64])
        path.write_bytes(broken)
        try:
            assert len(read_catalogue(path)) == 1000  # damage inside numbers cannot be seen
        except SFNetError as error:
            assert "a.parquet" in str(error)


def test_t20_columns_that_are_not_numbers_or_texts_are_left_out(tmp_path):
    table = pa.table(
        {
            "id": ["a", "b"],
            "vec": [[1.0], [2.0]],
            "flag": [True, None],
            "dec128": pa.array([None, 12345678901234567890], pa.decimal128(20, 0)),
            "price": pa.array([1, 2], pa.int64()).cast(pa.decimal128(22, 2)),
            "when": pa.array([0, 1], pa.timestamp("s")),
            "cat": pa.array(["u", None]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    catalogue = read_catalogue(tmp_path / "a.parquet")
    assert catalogue.table.columns.tolist() == ["id", "flag", "dec128", "price", "cat"]
    assert catalogue.table["dec128"].tolist() == ["", "12345678901234567890"]
    assert catalogue.table["price"].tolist() == [1.0, 2.0]
    assert catalogue.table["cat"].tolist() == ["u", ""]
    np.testing.assert_array_equal(catalogue.table["flag"].to_numpy(), [1.0, np.nan])
    assert len(catalogue.notes) == 2
