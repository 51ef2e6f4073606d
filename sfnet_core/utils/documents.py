"""JSON documents that may come from anywhere: one reader for all of them, by types and limits (msgspec).

What a document holds is a class with annotated fields: a dataclass or a :class:`msgspec.Struct`, limits as
:class:`msgspec.Meta`. Fields that the class does not name are ignored; what contradicts it is refused with one
sentence that names the file and the field.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from sfnet_core.utils.errors import SFNetError

__all__ = ["Count", "check_document", "file_bytes", "json_object", "read_document", "reason"]

T = TypeVar("T")

Count = Annotated[int, Meta(ge=0, le=1 << 53)]
_LONGEST = 300  # characters of a reason


def read_document(
    kind: type[T], content: bytes | str | dict, where: object, *, schema: int, mark: str = "", way: str = ""
) -> T:
    """A checked document from JSON.

    Parameters
    ----------
    kind : class that says what the document holds.
    content : UTF-8 text, or the object that was in it.
    where : file's name, for the sentence.
    schema : number that the field ``schema`` must have.
    mark : text that the field ``kind`` must have, where there is one.
    way : what to do instead, the end of the sentence: ``"pack the dataset again"``.

    Returns
    -------
    T
        An instance of ``kind``.

    Raises
    ------
    SFNetError
        One sentence with the file and the field: no JSON, another document, another schema, a field that is missing,
        of another type or outside its limits.
    """
    value = content if isinstance(content, dict) else json_object(content, where, way)
    if mark and value.get("kind") != mark:
        raise SFNetError(f'{where} is another document: the field `kind` is not "{mark}".')
    found = value.get("schema")
    if type(found) is not int or found != schema:
        said = "is missing" if "schema" not in value else f"is {_short(repr(found), 40)}"
        if type(found) is int and found > schema:
            way = f"update sfnet-core, or {way}" if way else "update sfnet-core"
        raise SFNetError(f"{where}: the field `schema` {said}; this version reads {schema}{_end(way)}")
    return check_document(kind, value, where, way)


def check_document(kind: type[T], value: Any, where: object, way: str = "") -> T:
    """The same of an object that JSON can hold, whatever its schema; see :func:`read_document`."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise SFNetError(f"{where}: {reason(error)}{_end(way)}") from None


def json_object(content: bytes | str, where: object, way: str = "") -> dict[str, Any]:
    """The JSON object in a text, unchecked; :class:`SFNetError` where there is none."""
    if isinstance(content, bytes):
        content = content.removeprefix(b"\xef\xbb\xbf")  # some editors put this mark before UTF-8
    try:
        value = msgspec.json.decode(content)
    except RecursionError:
        raise SFNetError(f"{where} is not valid JSON (it is nested too deeply){_end(way)}") from None
    except ValueError as error:  # a msgspec.DecodeError is one
        why = _short(str(error).removeprefix("JSON is malformed: "))
        if place := re.search(r"byte (\d+)", why):
            why += f", at {_short(str(content[max(int(place[1]) - 20, 0) :][:30]), 60)}"
        raise SFNetError(f"{where} is not valid JSON ({why}){_end(way)}") from None
    if not isinstance(value, dict):
        raise SFNetError(f"{where} is not a JSON object{_end(way)}")
    return value


def reason(error: BaseException) -> str:
    """What msgspec found wrong, as half a sentence that begins with the field: ```k` must be int, not str``."""
    why, _, place = str(error).partition(" - at `")
    key, field = place.startswith("key` in `"), place.removeprefix("key` in `")[1:].strip("`.")
    if missing := re.fullmatch(r"Object missing required field `(.*)`", why):
        field, why = f"{field}.{missing[1]}".lstrip("."), "is missing"
    if why.startswith("Expected "):
        why = why.replace("Expected ", "must be ").replace(", got ", ", not ").replace("`", "")
    why = f"{'a name in it ' if key else ''}{_short(why)}"
    return f"`{_short(field, 80)}` {why}" if field else why


def file_bytes(path: str | os.PathLike, most: int) -> bytes:
    """The content of a plain file of at most ``most`` bytes; opening a pipe never waits.

    Raises
    ------
    SFNetError
        Where it is no plain file or larger.
    OSError
        Where it can't be opened or read.
    """
    name = Path(path).name
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            raise SFNetError(f"{name} is not a regular file. Move it away.")
        if about.st_size > most:
            raise SFNetError(f"{name} has {about.st_size:,} bytes; {most:,} are read at most. Move it away.")
        with open(handle, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(handle)


def _short(text: str, most: int = _LONGEST) -> str:
    return "".join(filter(str.isprintable, text[:most]))


def _end(way: str) -> str:
    return f"; {way}." if way else "."
