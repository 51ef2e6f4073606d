"""VOTable documents are XML from anywhere: what is looked at before a reader gets one."""

from __future__ import annotations

from pathlib import Path
from xml.parsers import expat

from sfnet_core.utils.errors import SFNetError

__all__ = ["check_votable"]

MAX_CELL = 65_536  # values in one cell; a catalogue's cells hold one
MAX_MEMORY = 2 * 2**30  # bytes that a document may ask its reader to set aside
WIDTH = {  # bytes a value takes in numpy; texts are kept with four bytes a character
    "boolean": 1, "bit": 1, "unsignedByte": 1, "short": 2, "int": 4, "long": 8, "char": 4, "unicodeChar": 4, "float": 4,
    "double": 8, "floatComplex": 8, "doubleComplex": 16,
}  # fmt: skip


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
            promised = _number(attributes.get("nrows", "0"))
            if promised is None or promised > len(data):
                refuse(f"its TABLE promises {attributes.get('nrows', '')[:20]} rows, more than the file can hold")
        elif element == "FIELD":
            cells = 1
            for part in attributes.get("arraysize", "1").replace("*", "").split("x"):
                cells *= _number(part or "1") or MAX_CELL + 1
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


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
