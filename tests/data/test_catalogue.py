"""Catalogues: every format, every digit, every row that is set aside."""

from __future__ import annotations

import gzip
import unicodedata
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import votable
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sfnet_core.data.catalogue import DECIMAL, ROUNDED, read_catalogue
from sfnet_core.utils.errors import SFNetError

IDS = ["1237648704043942146", "1237667292122513532", "1237665441525596195"]
OH = [8.882136, 8.951163, np.nan]


def csv(tmp_path, text, name="galaxies.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return path


def same(catalogue, ids=IDS, oh=OH):
    assert catalogue.ids == list(ids)
    assert catalogue.table.columns[0] == catalogue.id_column
    np.testing.assert_array_equal(catalogue.table["oh_p50"], oh)


# One table in every format, each written by its own library


@pytest.fixture(params=["csv", "csv.gz", "tsv", "txt", "ecsv", "fits", "fits text", "vot", "vot binary2", "parquet"])
def any_format(request, tmp_path):
    from astropy.table import Table

    kind = request.param.split()[0]
    path = tmp_path / f"galaxies.{kind}"
    table = Table({"objID": np.array(IDS, dtype=np.int64), "oh_p50": OH, "kind": ["E", "Sa", "é"]})
    table["oh_p50"].unit = "mag"
    if kind in ("csv", "tsv", "csv.gz", "txt"):
        sep = {"csv": ",", "csv.gz": ",", "tsv": "\t", "txt": " "}[kind]
        rows = [
            f"{i}{sep}{'' if o != o and sep != ' ' else o}{sep}{k}"
            for i, o, k in zip(*table.columns.values(), strict=True)
        ]
        data = "\n".join([sep.join(table.colnames), *rows]).encode()
        path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    elif kind == "parquet":
        frame = pd.DataFrame({"objID": np.array(IDS, dtype=np.int64), "oh_p50": OH, "kind": ["E", "Sa", "é"]})
        schema = pa.schema(
            [
                pa.field("objID", pa.int64()),
                pa.field("oh_p50", pa.float64(), metadata={"unit": "mag"}),
                ("kind", pa.string()),
            ]
        )
        pq.write_table(pa.Table.from_pandas(frame, schema=schema), path)
    else:
        if request.param == "fits text":
            table["objID"] = IDS
        if "fits" in kind:
            table["kind"] = ["E", "Sa", "S"]  # FITS texts are ASCII
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == "vot":  # not Table.write, see sfnet_core.analysis.tables
                votable.writeto(table, str(path), "binary2" if "binary2" in request.param else None)
            else:
                table.write(path, format={"ecsv": "ascii.ecsv", "fits": "fits"}[kind])
    return path


def test_every_format_gives_the_same_table(any_format):
    catalogue = read_catalogue(any_format)
    same(catalogue)
    assert catalogue.id_column == "objID"
    assert catalogue.table["kind"].tolist()[:2] == ["E", "Sa"]
    assert list(catalogue.rows) == [1, 2, 3]
    assert catalogue.set_aside == []
    if any_format.suffix in (".ecsv", ".fits", ".vot", ".parquet"):
        assert catalogue.units == {"oh_p50": "mag"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8, unique=True))
def test_whole_number_identifiers_keep_every_digit(tmp_path_factory, numbers):
    folder = tmp_path_factory.mktemp("ids")
    expected = [str(n) for n in numbers]
    (folder / "a.csv").write_text("objID,x\n" + "".join(f"{n},1\n" for n in numbers))
    pq.write_table(pa.table({"objID": pa.array(numbers, pa.int64())}), folder / "a.parquet")
    assert read_catalogue(folder / "a.csv").ids == expected
    assert read_catalogue(folder / "a.parquet").ids == expected


NAMES = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters='/\\"#,;\t|'), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=8, unique=True))
def test_text_identifiers_are_taken_as_written(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("ids") / "a.csv"
    path.write_text("id,x\n" + "".join(f'"{n}",1\n' for n in names), encoding="utf-8")
    kept = list(dict.fromkeys(unicodedata.normalize("NFC", n) for n in names if n not in (".", "..")))
    assume(kept and not any(ROUNDED.fullmatch(n) or DECIMAL.fullmatch(n) for n in kept))  # these have their own tests
    assert read_catalogue(path).ids == kept


# T22, item by item


def test_t22_missing_identifier_column_is_named_with_what_there_is(tmp_path):
    path = csv(tmp_path, "objID,oh_p50\n1,8.9\n")
    with pytest.raises(SFNetError, match=r"no column 'dr7'.*objID, oh_p50"):
        read_catalogue(path, id_column="dr7")
    path = csv(tmp_path, "flux,oh_p50\n1,8.9\n")
    with pytest.raises(SFNetError, match=r"--id-column.*flux, oh_p50"):
        read_catalogue(path)


def test_t22_duplicate_and_empty_identifiers_are_set_aside_by_row(tmp_path):
    catalogue = read_catalogue(csv(tmp_path, "objID,oh_p50\n11,8.1\n12,8.2\n11,8.3\n,8.4\n13,8.5\n"))
    assert catalogue.ids == ["11", "12", "13"]
    assert list(catalogue.rows) == [1, 2, 5]
    assert [(a.row, a.id or "") for a in catalogue.set_aside] == [(3, "11"), (4, "")]
    assert "row 1" in catalogue.set_aside[0].reason
    np.testing.assert_array_equal(catalogue.table["oh_p50"], [8.1, 8.2, 8.5])


@pytest.mark.parametrize(
    "values", [["1.2376487e+18", "1.2376673E18"], ["1237648704043942144.0", "1237667292122513408.0"]]
)
def test_t22_identifiers_rounded_in_text_are_refused(tmp_path, values):
    path = csv(tmp_path, "objID,x\n" + "".join(f"{v},1\n" for v in values))
    with pytest.raises(SFNetError, match=r"galaxies.csv.*digits are lost.*--id-column"):
        read_catalogue(path)


def test_t22_one_rounded_identifier_is_set_aside(tmp_path):
    catalogue = read_catalogue(csv(tmp_path, f"objID,x\n{IDS[0]},1\n1.2e18,2\n{IDS[1]},3\n"))
    assert catalogue.ids == IDS[:2]
    assert "digits are lost" in catalogue.set_aside[0].reason
    assert catalogue.set_aside[0].row == 2


@pytest.mark.parametrize("kind", ["fits", "parquet"])
def test_t22_identifiers_as_floats_are_refused(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    ids = np.array(IDS, dtype=float)
    if kind == "fits":
        from astropy.table import Table

        Table({"objID": ids}).write(path)
    else:
        pq.write_table(pa.table({"objID": ids}), path)
    with pytest.raises(SFNetError, match=r"'objID'.*1.23767e\+18.*digits are lost"):
        read_catalogue(path)


def test_small_whole_floats_are_exact_and_taken(tmp_path):
    pq.write_table(pa.table({"objID": [1.0, 2.0, None]}), tmp_path / "a.parquet")
    catalogue = read_catalogue(tmp_path / "a.parquet")
    assert catalogue.ids == ["1", "2"]
    assert catalogue.set_aside[0].row == 3
    assert read_catalogue(csv(tmp_path, "objID,x\n1.0,1\n2.0,2\n")).ids == ["1", "2"]


def test_t22_other_columns_of_large_integers_keep_their_digits_beside_gaps(tmp_path):
    catalogue = read_catalogue(csv(tmp_path, "name,specObjID\na,299504245974001665\nb,\n"))
    assert catalogue.table["specObjID"].tolist() == ["299504245974001665", ""]
    pq.write_table(
        pa.table({"name": ["a", "b"], "spec": pa.array([2**62 + 1, None], pa.int64())}), tmp_path / "b.parquet"
    )
    assert read_catalogue(tmp_path / "b.parquet").table["spec"].tolist() == [str(2**62 + 1), ""]


@pytest.mark.parametrize("text", ["", "\n\n", "objID,oh_p50\n", "# only a comment\n"])
def test_t22_an_empty_catalogue_is_refused(tmp_path, text):
    with pytest.raises(SFNetError, match=r"galaxies.csv (is empty|holds no row)"):
        read_catalogue(csv(tmp_path, text))


def test_t22_empty_nan_and_infinite_targets_are_unknown_and_counted(tmp_path):
    catalogue = read_catalogue(csv(tmp_path, "id,oh_p50\na,8.9\nb,\nc,nan\nd,inf\ne,-Infinity\nf,-9999\ng,N/A\n"))
    np.testing.assert_array_equal(catalogue.table["oh_p50"], [8.9] + [np.nan] * 6)
    assert [n for n in catalogue.notes if "infinite in 2 rows" in n]
    assert [n for n in catalogue.notes if "−9999 in 1 rows" in n]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("objID,oh_p50,kind\n{0},8.882136,é\n{1},8.951163,b\n{2},,c\n", "utf-8-sig"),
        ("objID,oh_p50,kind\n{0},8.882136,é\n{1},8.951163,b\n{2},,c\n", "utf-16"),
        ("objID,oh_p50,kind\n{0},8.882136,é\n{1},8.951163,b\n{2},,c\n", "latin-1"),
        ("objID;oh_p50;kind\n{0};8.882136;é\n{1};8.951163;b\n{2};;c\n", "utf-8"),
        ("objID;oh_p50;kind\n{0};8,882136;é\n{1};8,951163;b\n{2};;c\n", "utf-8"),
        ("objID\toh_p50\tkind\n{0}\t8.882136\té\n{1}\t8.951163\tb\n{2}\t\tc\n", "utf-8"),
        ("objID,oh_p50,kind\r\n{0},8.882136,é\r\n{1},8.951163,b\r\n{2},,c\r\n", "utf-8"),
        ("objID,oh_p50,kind\r{0},8.882136,é\r{1},8.951163,b\r{2},,c\r", "utf-8"),
        ('"objID","oh_p50","kind"\n"{0}","8.882136","é"\n"{1}","8.951163","b"\n"{2}","","c"\n', "utf-8"),
        ("#Table1\nobjID,oh_p50,kind\n{0},8.882136,é\n{1},8.951163,b\n{2},,c\n", "utf-8"),
        ("# objID,oh_p50,kind\n{0},8.882136,é\n{1},8.951163,b\n{2},nan,c\n", "utf-8"),
        ("  objID  oh_p50  kind\n  {0}  8.882136  é\n  {1}  8.951163  b\n  {2}  nan  c\n", "utf-8"),
        ("# objID oh_p50 kind\n{0} 8.882136 é\n{1} 8.951163 b\n{2} nan c\n", "utf-8"),
        (" objID , oh_p50 , kind\n {0} , 8.882136 , é\n {1} , 8.951163 , b\n {2} , , c\n", "utf-8"),
    ],
    ids=[
        "bom",
        "utf16",
        "latin1",
        "semicolon",
        "decimal_comma",
        "tab",
        "crlf",
        "cr",
        "quoted",
        "casjobs",
        "hash_comma",
        "aligned",
        "hash",
        "blanks",
    ],
)
def test_t22_encodings_separators_and_line_ends(tmp_path, text, encoding):
    catalogue = read_catalogue(csv(tmp_path, text.format(*IDS), encoding=encoding))
    same(catalogue)
    assert catalogue.table["kind"].str.strip().tolist() == ["é", "b", "c"]
    assert catalogue.table.columns.tolist() == ["objID", "oh_p50", "kind"]


@pytest.mark.parametrize("text", ["id,a\nx,1\ny,2,3\n", "id,a\nx,1,3\ny,2,3\n", 'id,a\nx,"1\ny,2\n'])
def test_t22_rows_with_too_many_cells_are_refused_and_named(tmp_path, text):
    with pytest.raises(SFNetError, match=r"galaxies.csv is not a regular table"):
        read_catalogue(csv(tmp_path, text))


def test_t22_the_line_of_a_long_row_is_the_files_own(tmp_path):
    with pytest.raises(SFNetError, match=r"line 4 has 3 fields, the header 2"):
        read_catalogue(csv(tmp_path, "#Table1\nid,a\nx,1\ny,2,3\n"))


def test_t12_hostile_identifiers_are_set_aside_by_name(tmp_path):
    bad = ["../x", "/etc/x", "C:\\x", "a\x00b", "x" * 300, ".."]
    path = csv(tmp_path, "id,oh\n" + "".join(f"{v},8\n" for v in [*bad, "good", "<img src=x onerror=alert(1)>"]))
    catalogue = read_catalogue(path)
    assert catalogue.ids == ["good", "<img src=x onerror=alert(1)>"]
    assert [a.row for a in catalogue.set_aside] == [1, 2, 3, 4, 5, 6]
    assert catalogue.set_aside[0].id == "../x"
    assert all(len(a.id) <= 80 and a.id.isprintable() for a in catalogue.set_aside)


# Which column is the identifier


def test_the_identifier_is_a_usual_name_whose_values_are_unique(tmp_path):
    path = csv(tmp_path, "specObjID,objid,z\n1,7,0.1\n2,7,0.2\n3,8,0.3\n")
    assert read_catalogue(path).id_column == "specObjID"
    by_name = read_catalogue(path, id_column="objid")
    assert by_name.ids == ["7", "8"]
    assert len(by_name.set_aside) == 1
    assert read_catalogue(path, known={"7", "8"}).id_column == "objid"


def test_images_names_find_a_column_of_any_name(tmp_path):
    path = csv(tmp_path, "id,cutout\n1,aa\n2,bb\n")
    assert read_catalogue(path, known={"aa", "bb", "cc"}).id_column == "cutout"
    assert read_catalogue(path).id_column == "id"


def test_column_names_that_differ_by_blanks_are_both_kept(tmp_path):
    assert read_catalogue(csv(tmp_path, "id,a, a,a\nx,1,2,3\n")).table.iloc[0].tolist() == ["x", 1, 2, 3]


def test_units_of_a_parquet_file_that_describes_itself_as_a_votable(tmp_path):
    text = '<VOTABLE><RESOURCE><TABLE><FIELD name="m" datatype="double" unit="mag"/></TABLE></RESOURCE></VOTABLE>'
    for document, units in ((text, {"m": "mag"}), ("<!DOCTYPE x>" + text, {}), ("<nonsense", {})):
        table = pa.table({"id": ["a"], "m": [1.0]})
        table = table.replace_schema_metadata({"IVOA.VOTable-Parquet.content": document})
        pq.write_table(table, tmp_path / "a.parquet")
        assert read_catalogue(tmp_path / "a.parquet").units == units


# Sky positions


def test_positions_are_recognised_in_degrees_and_renamed(tmp_path):
    catalogue = read_catalogue(csv(tmp_path, "name,radeg,dedeg,m\na,370,1,9\nb,-10,2,9\nc,20,-3,9\nd,,4,9\n"))
    columns, units, about = catalogue.dataset_columns(np.array([1, 2, 3, 0]))
    np.testing.assert_array_equal(columns["ra"], [350, 20, np.nan, np.nan])
    np.testing.assert_array_equal(columns["dec"], [2, -3, np.nan, np.nan])
    assert list(columns) == ["m", "ra", "dec"]
    assert units == {"ra": "deg", "dec": "deg"}
    assert about["renamed"] == {"ra": "radeg", "dec": "dedeg"}
    assert about["id_column"] == "name"
    assert "1 rows" in about["notes"][0]


def test_positions_as_text_stay_as_they_are(tmp_path):
    catalogue = read_catalogue(csv(tmp_path, "name,ra,dec,id\na,12:30:00,+1:2:3,5\n"), id_column="name")
    columns, _, about = catalogue.dataset_columns(np.array([0]))
    assert columns["catalogue_ra"].tolist() == ["12:30:00"]
    assert columns["catalogue_id"].tolist() == [5]
    assert "not numbers in degrees" in about["notes"][0]


def test_positions_in_hours(tmp_path):
    from astropy.table import Table

    table = Table({"name": ["a"], "RA": [2.0], "DEC": [-3.0]})
    table["RA"].unit = "hourangle"
    table.write(tmp_path / "a.ecsv", format="ascii.ecsv")
    columns, _, _ = read_catalogue(tmp_path / "a.ecsv").dataset_columns(np.array([0]))
    assert columns["ra"].tolist() == [30.0]
