"""Files to raw columns: one reader a format, chosen by the file's suffix."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path

import numpy as np

from sfnet_core.data import astropy_tables, parquet_tables
from sfnet_core.data.raw_table import RawTable
from sfnet_core.utils.errors import SFNetError

__all__ = ["read_raw", "typed"]

MAX_BYTES = 2 * 2**30  # of a catalogue, unpacked; far above any that belongs to cutouts, far below a bomb
SUFFIXES = ".csv .tsv .txt .ecsv (each also .gz) .fits .fit .fz .vot .votable .xml .parquet"
BLANK = ("", "NaN", "NA")  # the most frequent of these:
UNKNOWN = {"", "nan", "na", "n/a", "null", "none", "--", "-", "#n/a", "<na>", "masked"}  # compared in lower case


def read_raw(path: Path, hdu: int | None = None) -> RawTable:
    """Read a table by its suffix; an :class:`SFNetError` says what is wrong with the file."""
    if not path.exists():
        raise SFNetError(f"There is no catalogue at {path}.")
    if not path.is_file():
        raise SFNetError(f"{path} is not a file; name the catalogue itself ({SUFFIXES}).")
    name = path.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if suffix in (".csv", ".tsv", ".txt", ".dat"):
        return read_delimited(read_bytes(path), path, suffix)
    if suffix == ".ecsv":
        return astropy_tables.read_ecsv(read_bytes(path), path)
    if suffix in (".vot", ".votable", ".xml"):
        return astropy_tables.read_votable(read_bytes(path), path)
    if suffix in (".fits", ".fit", ".fz"):
        return astropy_tables.read_fits(read_bytes(path), path, hdu)
    if suffix in (".parquet", ".parq", ".pq"):
        return parquet_tables.read_parquet(path, MAX_BYTES)
    hint = " Save the sheet as CSV, with the identifiers as text." if suffix in (".xlsx", ".xls", ".ods") else ""
    raise SFNetError(f"The format of {path} is not known by its suffix; catalogues are {SUFFIXES}.{hint}")


def read_bytes(path: Path) -> bytes:
    """A file's bytes, unpacked where its name ends in ``.gz``, never more than ``MAX_BYTES``."""
    if path.stat().st_size > MAX_BYTES:
        raise SFNetError(f"{path} has {path.stat().st_size:,} bytes; catalogues of up to {MAX_BYTES:,} are read.")
    try:
        if path.suffix.lower() != ".gz":
            return path.read_bytes()
        with gzip.open(path) as handle:
            parts, total = [], 0
            while part := handle.read(2**20):
                total += len(part)
                if total > MAX_BYTES:
                    raise SFNetError(f"{path} unpacks to more than {MAX_BYTES:,} bytes and was refused.")
                parts.append(part)
            return b"".join(parts)
    except (OSError, EOFError) as error:
        raise SFNetError(f"{path} cannot be read ({error}).") from error


def read_delimited(data: bytes, path: Path, suffix: str) -> RawTable:
    """Read delimited text: UTF-8, UTF-16 or Latin-1; separated by commas, semicolons, tabs, bars or blanks."""
    import pandas as pd

    text, notes = _decode(data, path)
    lines = text.split("\n")
    start, header = _find_header(lines, path)
    separator = _separator(header, suffix)
    options = {"sep": separator, "dtype": object, "keep_default_na": False, "na_filter": False, "index_col": False}
    body = "\n".join([header, *lines[start:]])
    try:
        table = pd.read_csv(io.StringIO(body), skipinitialspace=True, **options)
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError, ValueError) as error:
        raise SFNetError(f"{path} is not a regular table: {_say(error, start)}") from error
    columns: dict[str, np.ndarray] = {}
    for name in table.columns:
        clean = str(name).strip() or "unnamed"
        while clean in columns:
            clean += "_"
        columns[clean] = table[name].to_numpy(dtype=object)
    if separator == ";":
        columns = {name: _decimal_commas(values) for name, values in columns.items()}
    return RawTable(columns, {}, notes, all_text=True)


def typed(values: np.ndarray) -> np.ndarray:
    """A column of texts as numbers where every known value is one, else as it was.

    Whole numbers stay text where a 64-bit integer or (with gaps) a float could not hold every digit, and so do codes
    with leading zeros.
    """
    texts = values.tolist()
    if "_" in "\x00".join(texts):  # Python would read 1_000 as a number
        return _stripped(texts)
    try:  # float() itself takes blanks, nan and inf
        numbers = np.array([np.nan if text in BLANK else float(text) for text in texts])
    except ValueError:
        known = [text.strip().lower() not in UNKNOWN for text in texts]
        try:
            numbers = np.array([float(text) if there else np.nan for text, there in zip(texts, known, strict=True)])
        except ValueError:
            words = {"true": True, "false": False}
            if all(text.strip().lower() in words for text in texts):
                return np.array([words[text.strip().lower()] for text in texts])
            return _stripped(texts)
    given = ~np.isnan(numbers)
    if not given.any() or np.any(numbers[given] != np.floor(numbers[given])):
        return numbers
    return _whole(texts, numbers, given)


def _whole(texts: list[str], numbers: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Numbers without a fraction: integers if they are written so and fit, text if digits or zeros would be lost."""
    written = [text.strip() for text, there in zip(texts, given, strict=True) if there]
    if any(len(text) > 1 and text[0] == "0" and text.isdecimal() for text in written):
        return _stripped(texts)
    if not all(text.lstrip("+-").isdecimal() for text in written):
        return numbers
    if given.all():
        integers = [int(text) for text in written]
        fits = min(integers) >= -(2**63) and max(integers) < 2**63
        return np.array(integers, dtype=np.int64) if fits else _stripped(texts)
    return _stripped(texts) if np.any(np.abs(numbers[given]) >= 2.0**53) else numbers


def _stripped(texts: list[str]) -> np.ndarray:
    return np.array([text.strip() for text in texts], dtype=object)


def _decode(data: bytes, path: Path) -> tuple[str, list[str]]:
    for magic, what in ((b"PK\x03\x04", "an Excel workbook or zip"), (b"PAR1", "Parquet"), (b"SIMPLE  =", "FITS")):
        if data.startswith(magic):
            raise SFNetError(f"{path} is {what}, not text; give it the suffix of its format, or save it as CSV.")
    notes: list[str] = []
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", "replace")
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
            notes.append("The catalogue is not UTF-8; its texts were read as Latin-1.")
    # a NUL would end a cell early in the parser; as another control character it stays visible to the checks
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "\x01"), notes


def _find_header(lines: list[str], path: Path) -> tuple[int, str]:
    """The header, and the number of the line after it. Leading ``#`` lines are comments, or, right above numbers, the
    header (``# id ra dec``)."""
    comment = ""
    for number, line in enumerate(lines):
        if line.startswith("#"):
            comment = line.lstrip("#").strip()
        elif line.strip():
            mark = re.compile(re.escape(mark) if (mark := _separator(line, "")) != r"\s+" else mark)
            fields, names = mark.split(line.strip()), mark.split(comment)
            has_number = any(re.fullmatch(r"\s*[+-]?\d+\.?\d*([eE][+-]?\d+)?\s*", value) for value in fields)
            if has_number and len(names) == len(fields) > 1:
                return number, comment
            return number + 1, line
    raise SFNetError(f"{path} is empty; a catalogue needs a header and one row for each galaxy.")


def _separator(header: str, suffix: str) -> str:
    if suffix == ".tsv":
        return "\t"
    bare = re.sub(r'"[^"]*"', "", header)
    counts = {mark: bare.count(mark) for mark in ",;\t|"}
    best = max(counts, key=counts.get)
    if counts[best]:
        return best
    return r"\s+" if len(bare.split()) > 1 else ","


def _decimal_commas(values: np.ndarray) -> np.ndarray:
    """``8,91`` → ``8.91`` in a column that holds nothing but such numbers, as spreadsheets on the continent write."""
    given = [value.strip() for value in values.tolist() if value.strip().lower() not in UNKNOWN]
    if any("," in value for value in given) and all(re.fullmatch(r"[+-]?\d*,?\d+([eE][+-]?\d+)?", v) for v in given):
        return np.array([value.replace(",", ".") for value in values.tolist()], dtype=object)
    return values


def _say(error: Exception, start: int) -> str:
    """pandas' complaint with the file's own line number."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
    if not found:
        return f"{str(error).strip().splitlines()[0]}."
    expected, line, saw = map(int, found.groups())
    return f"line {line + start - 1} has {saw} fields, the header {expected}; put quotes around texts with separators."
