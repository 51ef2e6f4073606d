"""Files to raw columns: one reader a format, chosen by the file's suffix.

Text (CSV and its relatives), ECSV, FITS and VOTable through astropy, Parquet. Each is read with suspicion: sizes are
known before anything is unpacked, and no reference of a document is followed.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.parquet_guard import ParquetSource, family, first_line, text_bytes

__all__ = ["RawTable", "check_votable", "read_parquet", "read_raw", "typed"]

MAX_BYTES = 2 * 2**30  # of a catalogue, unpacked; far above any that belongs to cutouts, far below a bomb
SUFFIXES = ".csv .tsv .txt .ecsv (each also .gz) .fits .fit .fz .vot .votable .xml .parquet"
BLANK = ("", "NaN", "NA")  # the most frequent of these:
UNKNOWN = {"", "nan", "na", "n/a", "null", "none", "--", "-", "#n/a", "<na>", "masked"}  # compared in lower case
MAX_CELL = 65_536  # values in one cell; a catalogue's cells hold one
MAX_MEMORY = 2 * 2**30  # bytes that a document may ask its reader to set aside
WIDTH = {  # bytes a value takes in numpy; texts are kept with four bytes a character
    "boolean": 1, "bit": 1, "unsignedByte": 1, "short": 2, "int": 4, "long": 8, "char": 4, "unicodeChar": 4, "float": 4,
    "double": 8, "floatComplex": 8, "doubleComplex": 16,
}  # fmt: skip


@dataclass
class RawTable:
    """Columns of one length as a reader found them: numbers, or text as ``object`` arrays of str.

    ``all_text`` says that nothing has been converted yet, so that the identifier can be taken as it is written.
    """

    columns: dict[str, np.ndarray]
    units: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    all_text: bool = False

    @property
    def n_rows(self) -> int:
        return len(next(iter(self.columns.values()), ()))


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
        return read_ecsv(read_bytes(path), path)
    if suffix in (".vot", ".votable", ".xml"):
        return read_votable(read_bytes(path), path)
    if suffix in (".fits", ".fit", ".fz"):
        return read_fits(read_bytes(path), path, hdu)
    if suffix in (".parquet", ".parq", ".pq"):
        return read_parquet(path, MAX_BYTES)
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


# ---- through astropy: ECSV, FITS, VOTable


def read_ecsv(data: bytes, path: Path) -> RawTable:
    """Read an ECSV table (astropy's APE 6) from a file's bytes."""
    from astropy.table import Table

    with _astropy(path, "an ECSV table"):
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        if not text.startswith("# %ECSV"):
            raise ValueError("it does not start with '# %ECSV'; is it a plain CSV?")
        return _raw(Table.read(text.split("\n"), format="ascii.ecsv"))


def read_fits(data: bytes, path: Path, hdu: int | None) -> RawTable:
    """Read a table of a FITS file, the first one with columns unless ``hdu`` says which (0 is the primary HDU)."""
    from astropy.io import fits
    from astropy.table import Table

    if not data.startswith(b"SIMPLE  ="):
        raise SFNetError(f"{path} is not a FITS file (it does not begin with SIMPLE).")
    with _astropy(path, "a FITS table"), fits.open(io.BytesIO(data), memmap=False) as hdus:
        tables = [number for number, unit in enumerate(hdus) if isinstance(unit, fits.BinTableHDU | fits.TableHDU)]
        tables = [number for number in tables if not hdus[number].header.get("ZIMAGE")]
        if not tables:
            raise SFNetError(f"{path} holds no table, only images; catalogues are binary or ASCII table extensions.")
        listed = ", ".join(f"{number} ({hdus[number].name or 'no name'})" for number in tables)
        if hdu is not None and hdu not in tables:
            raise SFNetError(f"HDU {hdu} of {path} is not a table; the tables are {listed}.")
        unit = hdus[tables[0] if hdu is None else hdu]
        if unit.header.get("ZTABLE"):
            raise SFNetError(f"The table in {path} is compressed by fpack; unpack it with funpack first.")
        needs = unit.header["NAXIS1"] * unit.header["NAXIS2"]
        if needs > len(data):
            raise SFNetError(f"{path} is truncated: its table needs {needs:,} bytes, the file has {len(data):,}.")
        raw = _raw(Table.read(unit))
    if hdu is None and len(tables) > 1:
        raw.notes.append(f"The first of {len(tables)} tables was read; the tables are HDU {listed}.")
    return raw


def read_votable(data: bytes, path: Path) -> RawTable:
    """Read the first table of a VOTable, after :func:`check_votable`: no reference of the document is ever followed."""
    from astropy.io import votable

    check_votable(data, path)
    with _astropy(path, "a VOTable"):
        document = votable.parse(io.BytesIO(data), verify="ignore")
        tables = list(document.iter_tables())
        if not tables:
            raise ValueError("it holds no TABLE")
        raw = _raw(tables[0].to_table(use_names_over_ids=True))
    if len(tables) > 1:
        raw.notes.append(f"The first of {len(tables)} tables was read.")
    return raw


class _astropy:
    """Astropy's warnings are not the user's; its many kinds of error become one sentence that names the file."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self.quiet = warnings.catch_warnings()

    def __enter__(self) -> None:
        self.quiet.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self.quiet.__exit__(kind, error, trace)
        if isinstance(error, Exception) and not isinstance(error, SFNetError):
            text = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise SFNetError(f"{self.path} cannot be read as {self.what} ({text[:200]}).") from error


def _raw(table: Any) -> RawTable:
    """An astropy table's columns as plain arrays: masked numbers become NaN, texts ``object`` arrays of str."""
    raw = RawTable({})
    for name in table.colnames:
        column = table[name]
        if not hasattr(column, "dtype"):
            column = getattr(column, "value", column)  # a Time, a SkyCoord …
        values = np.ma.asarray(column)
        if values.ndim != 1:
            raw.notes.append(f"Column '{name}' was left out: its cells hold {values.shape[1:]} values each.")
            continue
        if values.dtype.kind == "O" and any(isinstance(value, np.ndarray | list | tuple) for value in values.data):
            raw.notes.append(f"Column '{name}' was left out: its cells hold lists of values.")
            continue
        raw.columns[name] = _plain_array(values)
        if unit := getattr(column, "unit", None):
            raw.units[name] = str(unit)
    return raw


def _plain_array(values: np.ma.MaskedArray) -> np.ndarray:
    mask, data = np.ma.getmaskarray(values), np.asarray(values.data)
    kind = data.dtype.kind
    if kind == "f":
        data = data.astype(data.dtype.newbyteorder("="))
        return np.where(mask, np.nan, data).astype(data.dtype) if mask.any() else data
    if kind in "iub":
        data = data.astype(data.dtype.newbyteorder("="))
        if not mask.any():
            return data
        if kind == "b" or np.all(np.abs(data[~mask].astype(float)) < 2.0**53):
            return np.where(mask, np.nan, data.astype(float))
        return np.array(["" if gone else str(value) for value, gone in zip(data.tolist(), mask, strict=True)], object)
    return np.array(["" if gone else _text(value) for value, gone in zip(data.tolist(), mask, strict=True)], object)


def _text(value: Any) -> str:
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()


def check_votable(data: bytes, path: Path) -> None:
    """Refuse a VOTable that could make its reader fetch, open or unpack something, or ask for much memory.

    That is: a document type or entity declaration (entity bombs, external entities), a ``STREAM`` that refers to a
    place outside the document or is compressed, an embedded FITS file, an XInclude, cells of more than ``MAX_CELL``
    values, and more rows promised than the document has bytes. Nothing is expanded or loaded while it is checked.
    Raises :class:`SFNetError` with the line.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    row_bytes = 0
    promised = 0

    def refuse(what: str) -> None:
        raise SFNetError(
            f"{path} was refused: {what} (line {parser.CurrentLineNumber}). Write the table again as a self-contained "
            "VOTable, FITS, Parquet or CSV file."
        )

    def doctype(*_: object) -> None:
        refuse("it declares a document type or entities, which a VOTable never needs")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal row_bytes, promised
        space, _, element = name.rpartition(" ")
        if "XInclude" in space:
            refuse("it includes another document")
        if element == "STREAM":
            if "href" in attributes:
                refuse("its data are elsewhere (STREAM href)")
            if attributes.get("encoding", "base64") != "base64":
                refuse(f"its data are encoded as '{attributes['encoding'][:20]}'; only base64 is read")
        elif element == "FITS":
            refuse("it holds an embedded FITS file")
        elif element == "TABLE":
            row_bytes = 0
            promised = _count(attributes.get("nrows", "0"))
            if promised is None or promised > len(data):
                refuse(f"its TABLE promises {attributes.get('nrows', '')[:20]} rows, more than the file can hold")
        elif element == "FIELD":
            cells = 1
            for part in attributes.get("arraysize", "1").replace("*", "").split("x"):
                cells *= _count(part or "1") or MAX_CELL + 1
            if cells > MAX_CELL:
                refuse(f"a FIELD has cells of {attributes['arraysize'][:20]} values")
            row_bytes += cells * WIDTH.get(attributes.get("datatype", ""), 16)
            if row_bytes * max(promised, 256) > MAX_MEMORY:
                refuse("its TABLE would need more than 2 GiB of memory")

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = doctype
    parser.ExternalEntityRefHandler = lambda *_: 0
    parser.StartElementHandler = start
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise SFNetError(f"{path} is not well-formed XML ({error}), so not a VOTable.") from error


def _count(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


# ---- Parquet


def read_parquet(path: Path, max_bytes: int) -> RawTable:
    """Read the columns of numbers and texts of a Parquet file; others (lists, structures, images) are left out.

    The footer says what each column unpacks to. A file that would take more than ``max_bytes`` is refused before any
    value is read. Texts are read as references to distinct values, and counted before they are written out.
    """
    import pyarrow as pa

    source = ParquetSource(path)
    schema = source.schema
    notes: list[str] = []
    names: list[str] = []
    texts: list[str] = []
    for one in schema:
        kind = one.type.value_type if pa.types.is_dictionary(one.type) else one.type
        if one.name.startswith("__index_level_") or schema.names.count(one.name) > 1:
            notes.append(f"Column '{one.name}' was left out: it is an index or its name occurs twice.")
        elif family(kind) == "text":
            names.append(one.name)
            texts.append(one.name)
        elif family(kind) or pa.types.is_decimal(kind):
            names.append(one.name)
        else:
            notes.append(f"Column '{one.name}' was left out: it holds {str(one.type)[:40]}, not numbers or texts.")
    source.check_size(names, max_bytes)
    raw = RawTable({}, units=_votable_units(source.metadata, names), notes=notes)
    file, written_out = source.open(texts), 0
    for name in names:
        column = source.read([name], file).column(0)
        if len(column) != source.rows:
            raise SFNetError(f"{path} is damaged: column '{name}' has {len(column)} of {source.rows} rows.")
        if name in texts:
            written_out += text_bytes(column)
            source.refuse_above(written_out, max_bytes)
        try:
            raw.columns[name] = _values(column)
        except (pa.ArrowException, ValueError) as error:
            raise SFNetError(f"{path} cannot be read ({first_line(error)}); the file is damaged.") from error
        unit = (schema.field(name).metadata or {}).get(b"unit", b"").decode("utf-8", "replace")
        if unit:
            raw.units[name] = unit
    return raw


def _votable_units(metadata: dict[bytes, bytes], names: list[str]) -> dict[str, str]:
    """Units from the VOTable description that TOPCAT and we keep in the footer (VOParquet 1.0), where it is sound."""
    document = metadata.get(b"IVOA.VOTable-Parquet.content", b"")
    units: dict[str, str] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.rpartition(" ")[2] == "FIELD" and attributes.get("name") in names and attributes.get("unit"):
            units[attributes["name"]] = attributes["unit"]

    if document:
        with contextlib.suppress(SFNetError, expat.ExpatError):
            check_votable(document, Path("its description"))
            parser = expat.ParserCreate(namespace_separator=" ")
            parser.StartElementHandler = start
            parser.Parse(document, True)
    return units


def _values(column: Any) -> np.ndarray:
    """A column as a plain array; whole numbers with gaps as floats where these are exact, else as text."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind) or family(kind) == "text":
        return _texts(column)
    if pa.types.is_decimal(kind):
        if kind.scale == 0:  # whole numbers of any length: text keeps them
            return np.array(["" if value is None else format(value, "f") for value in column.to_pylist()], dtype=object)
        return np.array([np.nan if value is None else float(value) for value in column.to_pylist()])
    if column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        values = column.to_pylist()
        if any(value is not None and abs(value) >= 2**53 for value in values):
            return np.array(["" if value is None else str(value) for value in values], dtype=object)
        return np.array([np.nan if value is None else float(value) for value in values])
    values = column.to_numpy()
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _texts(column: Any) -> np.ndarray:
    """Texts as an ``object`` array whose equal texts are one Python object each."""
    import pyarrow as pa

    out = np.empty(len(column), dtype=object)
    at = 0
    for chunk in column.chunks:
        if not pa.types.is_dictionary(chunk.type):
            chunk = chunk.dictionary_encode()
        distinct = np.array(
            ["" if value is None else value for value in chunk.dictionary.to_pylist()] + [""], dtype=object
        )
        indices = chunk.indices.fill_null(len(distinct) - 1).to_numpy(zero_copy_only=False)
        out[at : at + len(chunk)] = distinct[indices]
        at += len(chunk)
    return out
