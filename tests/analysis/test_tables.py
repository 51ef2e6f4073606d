"""Each exported format read back by a reader of its own."""

from __future__ import annotations

import csv
import os
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas
import pyarrow.parquet as pq
import pytest
from astropy.io import fits, votable
from astropy.table import Table

from sfnet_core.analysis.interpret import contributions
from sfnet_core.analysis.tables import export, flat_columns
from sfnet_core.codes.table import SparseCodes
from sfnet_core.utils.errors import SFNetError

simulated_codes = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "simulated_codes.py"))[
    "simulated_codes"
]
IDS = ["1237657587891103937", "=1+1", "plain", '<img src=x onerror="1">', "spiral ✓", "with\ttab\x00y", 'a,b\n"c"']
CLEAN = [*IDS[:5], "with\ufffdtab\ufffdy", 'a,b\ufffd"c"']  # neither XML nor FITS can hold control characters


@pytest.fixture
def codes() -> SparseCodes:
    base = simulated_codes(len(IDS), seed=8)
    truth = np.stack([base.truth(), np.arange(len(IDS)) / 3], axis=1)
    truth[2] = np.nan
    return SparseCodes.from_arrays(
        ids=IDS,
        indices=base.indices,
        values=base.values,
        k=4,
        features=512,
        weight=np.stack([base.weight[0], base.weight[0][::-1]]),
        bias=[base.bias[0], 0.1],
        targets=["oh_p50", "log_ha"],
        units=["dex", ""],
        split=["train", "validation", "test", "", "train", "train", "train"],
        truth=truth,
        prediction_d4={"oh_p50": base.prediction() + 0.01},
        columns={
            "ra": base.ra,
            "dec": base.dec,
            "z": base.column("z"),
            "mass": base.column("lgm_tot_p50").astype(np.float32),
            "plate": np.arange(len(IDS)) + 2**60,
            "flags": np.arange(len(IDS), dtype=np.uint16),
            "tiny": np.arange(-3, 4, dtype=np.int8),
            "big": np.arange(len(IDS), dtype=np.uint64) + 2**63,
            "good": np.arange(len(IDS)) % 2 == 0,
            "note": np.array(["", "+x", "-1.5", "@a", "é", "plain", "  =2"]),
            "empty": np.array([""] * len(IDS)),
            "Z": np.full(len(IDS), 7.0),
            "feature_1": np.zeros(len(IDS)),
        },
        column_units={"mass": "dex", "z": "", "plate": "furlong/fortnight"},
        simulated=True,
    )


def same_numbers(found, codes: SparseCodes, name: str = "") -> None:
    """Every number of the flat table, exactly."""
    for column, array, *_ in flat_columns(codes):
        if array.dtype.kind in "UO":
            continue
        back = (
            np.ma.filled(np.ma.masked_array(found[column]).astype(float), np.nan)
            if array.dtype.kind == "f"
            else found[column]
        )
        back = np.asarray(back)
        if array.dtype == np.float32:
            back = back.astype(np.float32)
        if array.dtype == np.uint64 and back.dtype.kind in "SU":
            back = back.astype(np.uint64)
        assert np.array_equal(back, array, equal_nan=array.dtype.kind == "f"), (name, column)


def test_csv(codes, tmp_path):
    export(codes, tmp_path / "c.csv")
    same_numbers(pandas.read_csv(tmp_path / "c.csv", dtype={"id": str}), codes, "csv")
    with open(tmp_path / "c.csv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["id"] for row in rows] == [IDS[0], "'=1+1", *IDS[2:]]
    assert rows[2]["target_oh_p50"] == "" and rows[0]["split"] == "train"


def test_t21_formulas_are_neutralised_in_csv(codes, tmp_path):
    texts = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "-1.5"]
    fields = {"note": np.array(texts), "=head": np.array([-1.5] * 7)}
    made = SparseCodes.from_arrays(
        ids=codes.ids, indices=codes.indices, values=codes.values, k=4, features=512, weight=codes.weight,
        bias=codes.bias, targets=codes.targets, columns=fields,
    )  # fmt: skip
    export(made, tmp_path / "c.csv")
    with open(tmp_path / "c.csv", encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["note"] for row in rows] == [f"'{text}".replace("\r", "\n") for text in texts[:-1]] + ["-1.5"]
    assert {row["'=head"] for row in rows} == {"-1.5"}


def test_ecsv(codes, tmp_path):
    export(codes, tmp_path / "c.ecsv")
    table = Table.read(tmp_path / "c.ecsv", format="ascii.ecsv")
    same_numbers(table, codes, "ecsv")
    assert table["id"].tolist() == CLEAN and table["ra"].unit == "deg"
    assert table.meta["simulated"] is True and table.meta["bias_oh_p50"] == codes.bias[0]


@pytest.mark.parametrize("suffix", [".vot", ".xml", ".votable"])
def test_votable(codes, tmp_path, suffix):
    export(codes, tmp_path / f"c{suffix}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file = votable.parse(tmp_path / f"c{suffix}", verify="exception")
    table = file.get_first_table()
    array = table.array
    same_numbers(array, codes, "votable")
    assert [str(i) for i in array["id"]] == CLEAN
    about = {field.name: field for field in table.fields}
    assert "[dex]" in about["prediction_oh_p50"].description and about["ra"].unit == "deg"
    assert "[furlong/fortnight]" in about["plate"].description and "simulated: True" in table.description


OF_ANY_LENGTH = """
import sys
import numpy as np
from sfnet_core.codes.table import SparseCodes
from sfnet_core.analysis.tables import export
n = 250
SparseCodes.from_arrays(
    ids=["g" * (i + 1) for i in range(n)], indices=np.tile(np.arange(4), (n, 1)), values=np.ones((n, 4)), k=4,
    features=8, weight=np.ones((1, 8)), bias=[0.0], targets=["oh_p50"],
).save(sys.argv[1])
export(SparseCodes.open(sys.argv[1]), sys.argv[2])
"""


def test_a_votable_with_rows_of_any_length_leaves_the_memory_whole(tmp_path):
    """Python's own allocator looks for bytes written past a block: astropy's C writer wrote one where a row fills its
    buffer, which holds a power of two of characters."""
    out = tmp_path / "rows.vot"
    words = [sys.executable, "-c", OF_ANY_LENGTH, str(tmp_path / "codes.parquet"), str(out)]
    done = subprocess.run(
        words, env=os.environ | {"PYTHONMALLOC": "debug"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = re.findall("^ *<TR>.*?</TR>\n", out.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert len(rows) == 250 and {512, 1024, 2048} & set(map(len, rows))


def test_fits(codes, tmp_path):
    export(codes, tmp_path / "c.fits")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(tmp_path / "c.fits") as file:
            file.verify("exception")
            same_numbers({name: np.array(file[1].data[name]) for name in file[1].columns.names}, codes, "fits")
            ascii_only = [i.encode("ascii", "backslashreplace").decode() for i in CLEAN]
            assert file[1].data["id"].tolist() == ascii_only
            assert file[1].header["SIMUL"] is True and file[1].header["BIAS2"] == 0.1
            where = file[1].columns.names.index("prediction_oh_p50") + 1
            assert "[dex]" in file[1].header[f"TCOMM{where}"]


def test_parquet(codes, tmp_path):
    export(codes, tmp_path / "c.parquet")
    frame = pandas.read_parquet(tmp_path / "c.parquet")
    same_numbers(frame, codes, "parquet")
    assert frame["id"].tolist() == IDS and frame["note"].tolist()[6] == "  =2"
    schema = pq.read_schema(tmp_path / "c.parquet")
    assert schema.field("ra").metadata[b"unit"] == b"deg" and schema.metadata[b"simulated"] == b"True"
    total = schema.metadata[b"bias_oh_p50"], frame[[f"contribution_oh_p50_{slot}" for slot in range(1, 5)]].sum(axis=1)
    assert np.allclose(float(total[0]) + total[1], frame["prediction_oh_p50"], atol=1e-12)


def test_the_flat_table_is_the_codes(codes):
    table = {name: array for name, array, *_ in flat_columns(codes)}
    assert len({name.lower() for name in table}) == len(table)
    assert np.array_equal(table["feature_1"], codes.indices[:, 0]) and (table["feature_1_"] == 0).all()
    assert np.array_equal(table["contribution_log_ha_3"], contributions(codes, "log_ha")[:, 2])
    one = {name for name, *_ in flat_columns(simulated_codes(3))}
    assert {"contribution_1", "activation_4", "z", "bptclass"} <= one and "contribution_5" not in one


@pytest.mark.parametrize("suffix", [".csv", ".ecsv", ".vot", ".fits", ".parquet"])
def test_no_galaxies(suffix, tmp_path):
    export(simulated_codes(0), tmp_path / f"c{suffix}")
    assert (tmp_path / f"c{suffix}").stat().st_size > 100


def test_mistakes(codes, tmp_path):
    for name in ("c.xlsx", "c"):
        with pytest.raises(SFNetError, match=r"choose \.csv"):
            export(codes, tmp_path / name)
    codes.save(tmp_path / "codes.parquet")
    with pytest.raises(SFNetError, match="codes file itself"):
        export(SparseCodes.open(tmp_path / "codes.parquet"), tmp_path / "codes.parquet")
