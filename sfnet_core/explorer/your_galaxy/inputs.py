"""What a visitor may bring, and how it comes in: bytes of an image, a path below a named folder, an identifier.

Everything here is about input that nobody has checked yet. Nothing is decoded before its header was read, no path is
looked at before it is known to lie below an allowed folder, and no address is fetched.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset

__all__ = ["MOST_BYTES", "MOST_PIXELS", "allowed_folders", "inside", "is_address", "read_upload", "shown_name"]

MOST_BYTES = 8 << 20  # of an uploaded image; a server's websocket takes messages of 10 MiB
MOST_PIXELS = 4096 * 4096
MOST_TEXT = 1024  # characters of a path
HOSTS: tuple[str, ...] = ()  # hosts that images may be fetched from; none: this page makes no request


def allowed_folders(dataset: Dataset | None = None) -> list[Path]:
    """Folders here that a visitor's path may lead into: those of ``SFNET_IMAGES`` and the dataset's ``images``."""
    named = [part for part in os.environ.get("SFNET_IMAGES", "").split(os.pathsep) if part]
    folders = [Path(part) for part in named] + ([dataset.path / "images"] if dataset is not None else [])
    return [Path(os.path.realpath(folder)) for folder in folders if folder.is_dir()]


def is_address(text: str) -> bool:
    """Whether a text is a web address (any scheme with ``://``)."""
    head = text.split("://", 1)[0]
    return "://" in text and head.isascii() and head.replace("+", "").replace("-", "").replace(".", "").isalnum()


def inside(text: str, folders: list[Path]) -> Path:
    """The file or folder that a visitor's path names, links resolved, when it lies below one of ``folders``.

    A relative path is tried below each of them. Refused with the same words whether or not something is there: a path
    outside, one whose links lead outside, one with a NUL or of more than 1,024 characters.
    """
    if not folders:
        raise SFNetError(
            "This page reads no files of its server: start it with --images FOLDER to allow a folder, "
            "or upload the image."
        )
    refused = SFNetError(
        f"{shown_name(text)!r} is not an identifier of these codes, and nothing of that name is below "
        f"{' or '.join(folder.name for folder in folders)}."
    )
    if not text or len(text) > MOST_TEXT or not text.isprintable():
        raise refused
    for folder in folders:
        try:
            path = Path(os.path.realpath(folder / text))  # an absolute text replaces the folder
            if path.is_relative_to(folder) and (path.is_file() or path.is_dir()):
                return path
        except (OSError, ValueError):  # a name that is too long, a link in a circle
            continue
    raise refused


def read_upload(data: bytes | memoryview) -> np.ndarray:
    """An uploaded JPEG's or PNG's bytes as (H, W, 3) uint8, by the rules of ``survey.cutouts.read_image``."""
    from sfnet_core.data.cutouts import ImageRefused, read_image

    size = memoryview(data).nbytes
    if size > MOST_BYTES:
        raise SFNetError(
            f"The image has {size:,} bytes; this page takes at most {MOST_BYTES:,}. Crop it to the galaxy."
        )
    with tempfile.NamedTemporaryFile(prefix="sfnet-upload-") as file:
        file.write(data)
        file.flush()
        try:
            return read_image(file.name, max_pixels=MOST_PIXELS)
        except ImageRefused as error:
            raise SFNetError(f"The image was not read: {error.reason}.") from error


def read_file(path: Path) -> np.ndarray:
    """An image below an allowed folder, as :func:`inside` gave it."""
    from sfnet_core.data.cutouts import ImageRefused, read_image

    if path.is_dir():
        raise SFNetError(f"{path.name} is a folder: open it under “A folder of images”.")
    try:
        return read_image(path, max_pixels=MOST_PIXELS)
    except ImageRefused as error:
        raise SFNetError(f"{shown_name(path.name)}: {error.reason}.") from error


def shown_name(text: str) -> str:
    """A file's name as the page shows it: its last part, control characters replaced, at most 80 characters."""
    last = text.replace("\\", "/").rsplit("/", 1)[-1] or text
    clean = "".join(c if c.isprintable() else "\ufffd" for c in last).strip() or "image"
    return clean if len(clean) <= 80 else f"{clean[:60]}…{clean[-16:]}"
