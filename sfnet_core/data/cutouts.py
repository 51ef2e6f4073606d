"""Pictures of galaxies: found in a folder, checked before they are decoded, brought to (H, W, 3) uint8."""

from __future__ import annotations

import io
import os
import struct
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sfnet_core.data.fits_images import lupton_rgb, read_bands, read_fits_cube, read_fits_size
from sfnet_core.data.store import bad_id
from sfnet_core.utils.errors import SetAside, SFNetError

__all__ = [
    "ImageRefused",
    "Source",
    "decode",
    "encode_jpeg",
    "find_images",
    "image_size",
    "lupton_rgb",
    "read_fits_cube",
    "read_image",
    "resize",
    "scan_images",
]

MAX_PIXELS = 4096 * 4096
MIN_SIDE = 8  # below this there is no galaxy to see
PICTURES = (".jpg", ".jpeg", ".png")
FITS = (".fits", ".fit")
NAMES = {  # first bytes of formats that go about under other names, so that the reason can name them
    b"GIF8": "GIF",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"8BPS": "PSD",
    b"%!PS": "EPS",
    b"\xc5\xd0\xd3\xc6": "EPS",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"SIMPLE": "FITS",
    b"%PDF": "PDF",
    b"\x1f\x8b": "gzip",
    b"PK": "zip",
    b"<": "HTML or XML",
}

Source = Path | tuple[Path, Path, Path]  # one picture or cube; or three files, one a band, short wavelength first


class ImageRefused(SFNetError):
    """One image that is not read; ``reason`` says why without naming the file."""

    def __init__(self, path: str | os.PathLike, reason: str) -> None:
        super().__init__(f"{path}: {reason}.")
        self.reason = reason


def read_image(path: str | os.PathLike, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a JPEG or PNG colour picture exactly as stored (no EXIF turning). What a file is, its first bytes say.

    Parameters
    ----------
    path : str or path
        The file.
    max_pixels : int
        Larger pictures are refused before anything is decoded.

    Returns
    -------
    (H, W, 3) uint8
        Row 0 at the top.

    Raises
    ------
    ImageRefused
        Any other format; pictures that are truncated, corrupt, grey, with transparency, of more than 8 bits, or too
        large.
    """
    try:
        return decode(_read_bytes(Path(path), max_pixels), max_pixels=max_pixels)
    except _Reason as error:
        raise ImageRefused(path, str(error)) from error.__cause__


def image_size(source: Source, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width in pixels, from the header alone.

    Raises
    ------
    ImageRefused
        What :func:`read_image` refuses by its header.
    """
    path = source[0] if isinstance(source, tuple) else source
    try:
        if path.suffix.lower() in FITS:
            return _check_size(*read_fits_size(path), max_pixels)
        data = _read_bytes(path, max_pixels)
        return _png_size(data, max_pixels) if _kind(data) == "PNG" else _jpeg_size(data, max_pixels)
    except _Reason as error:
        raise ImageRefused(path, str(error)) from error.__cause__
    except ValueError as error:
        raise ImageRefused(path, str(error)) from error
    except OSError as error:
        raise ImageRefused(path, f"the file cannot be read ({error.strerror or error})") from error


def read_source(
    source: Source, *, max_pixels: int = MAX_PIXELS, stretch: float = 0.5, q: float = 8.0, minimum: float = 0.0
) -> np.ndarray:
    """Read any source that :func:`scan_images` found; FITS bands are composed after Lupton.

    Parameters
    ----------
    source : path or three paths
        A picture, a cube, or a file for each band.
    max_pixels : int
        As in :func:`read_image`.
    stretch, q, minimum : float
        As in :func:`lupton_rgb`.

    Returns
    -------
    (H, W, 3) uint8

    Raises
    ------
    ImageRefused
        Where it can't be read.
    """
    path = source[0] if isinstance(source, tuple) else source
    if path.suffix.lower() not in FITS:
        return read_image(path, max_pixels=max_pixels)
    image_size(source, max_pixels=max_pixels)
    try:
        bands = read_bands(source)  # (3, H, W)
    except ValueError as error:
        raise ImageRefused(path, str(error)) from error
    except OSError as error:
        raise ImageRefused(path, f"the file cannot be read ({error.strerror or error})") from error
    return lupton_rgb(bands, stretch=stretch, q=q, minimum=minimum)


class _Reason(Exception):
    """Why an image is refused; the caller knows the file's name."""


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a JPEG's or PNG's bytes to (H, W, 3) uint8; see :func:`read_image`."""
    if _kind(data) == "PNG":
        _png_size(data, max_pixels)
        return _decode_pillow(data, "PNG")
    _jpeg_size(data, max_pixels)
    try:
        import simplejpeg
    except ImportError:  # no wheel for this machine: slower, and less strict about corruption
        return _decode_pillow(data, "JPEG")
    try:
        return simplejpeg.decode_jpeg(data, "RGB")
    except ValueError as error:
        raise _Reason(f"the JPEG is corrupt or truncated ({error})") from error


def _decode_pillow(data: bytes, kind: str) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=[kind]) as image:
            if image.mode != "RGB":
                raise _Reason(f"the {kind} is of mode {image.mode}, not 8-bit RGB; save it as RGB")
            return np.array(image)
    except _Reason:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything for broken bytes
        raise _Reason(f"the {kind} is corrupt or truncated ({error})") from error


def _read_bytes(path: Path, max_pixels: int) -> bytes:
    try:
        size = path.stat().st_size
        if size == 0:
            raise _Reason("the file is empty")
        if size > 4 * max_pixels + 2**20:
            raise _Reason(f"the file has {size:,} bytes, more than a picture of {max_pixels:,} pixels needs")
        return path.read_bytes()
    except OSError as error:
        raise _Reason(f"the file cannot be read ({error.strerror or error})") from error


def _kind(data: bytes) -> str:
    """``JPEG`` or ``PNG`` by the first bytes, or a refusal that names what it is."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    what = next((name for magic, name in NAMES.items() if data.lstrip()[: len(magic)] == magic), None)
    raise _Reason(f"it is {'neither JPEG nor PNG' if what is None else f'{what}, not JPEG or PNG'}, whatever its name")


def _check_size(height: int, width: int, max_pixels: int) -> tuple[int, int]:
    if height * width > max_pixels:
        raise _Reason(f"it has {width}×{height} pixels, more than the {max_pixels:,} allowed")
    if min(height, width) < MIN_SIDE:
        raise _Reason(f"it has {width}×{height} pixels; at least {MIN_SIDE} on each side are needed")
    return height, width


def _jpeg_size(data: bytes, max_pixels: int) -> tuple[int, int]:
    """Walk a JPEG's markers to its frame header (ITU-T T.81, B.2.2): precision, height, width, components."""
    at = 2
    while at + 10 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
            continue
        if 0xD0 <= marker <= 0xD8 or marker == 0x01:  # markers without a segment
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            precision, height, width, components = struct.unpack(">BHHB", data[at + 4 : at + 10])
            size = _check_size(height, width, max_pixels)
            if precision != 8:
                raise _Reason(f"the JPEG has {precision} bits a colour; 8 are needed")
            if components != 3:
                what = {1: "grey (one channel)", 4: "CMYK (four channels)"}.get(components, f"of {components} channels")
                raise _Reason(f"the JPEG is {what}; three colours are needed")
            return size
        if marker in (0xD9, 0xDA) or length < 2:
            break
        at += 2 + length
    raise _Reason("the JPEG is corrupt or truncated (no frame header)")


def _png_size(data: bytes, max_pixels: int) -> tuple[int, int]:
    """A PNG's IHDR chunk (W3C PNG, 11.2.1): width, height, bit depth, colour type."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise _Reason("the PNG is corrupt or truncated (no header)")
    width, height, depth, colour = struct.unpack(">IIBB", data[16:26])
    size = _check_size(height, width, max_pixels)
    what = {
        0: "grey",
        2: "RGB",
        3: "of palette colours",
        4: "grey with transparency",
        6: "RGB with transparency (RGBA)",
    }
    if colour != 2 or depth != 8:
        raise _Reason(f"the PNG is {what.get(colour, f'of colour type {colour}')}, {depth} bits; save it as 8-bit RGB")
    return size


def scan_images(folder: str | os.PathLike, bands: str = "gri") -> tuple[dict[str, Source], list[SetAside]]:
    """Find a folder's images, its subfolders' too.

    ``ID.jpg``, ``.jpeg``, ``.png``, a cube ``ID.fits`` (three planes in the order of ``bands``), or three files
    ``ID_g.fits``, ``ID_r.fits``, ``ID_i.fits`` (``ID-g.fits`` too) named by the letters of ``bands``. Hidden files and
    other suffixes are passed over. An identifier is only ever looked up among these names and never made into a path;
    links that lead out of the folder, second files of one name and incomplete bands are set aside.

    Parameters
    ----------
    folder : str or path
        Where they are.
    bands : str
        A letter a band, short wavelength first.

    Returns
    -------
    dict, list of SetAside
        Identifier (the file's name without suffix) → where it is; and what was set aside.

    Raises
    ------
    SFNetError
        Where there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "is not a folder; unpack it first and name the folder" if folder.exists() else "does not exist"
        raise SFNetError(f"The images' folder {folder} {what}.")
    root = os.path.realpath(folder)
    found: dict[str, Source] = {}
    split: dict[str, dict[str, Path]] = {}
    aside: list[SetAside] = []
    for path in _walk(folder):
        name, suffix = unicodedata.normalize("NFC", path.stem), path.suffix.lower()
        where = str(path.relative_to(folder))
        if path.is_symlink() and not os.path.realpath(path).startswith(root + os.sep):
            aside.append(SetAside("the link leads out of the folder; put the image itself there", file=where))
        elif bad_id(name):
            aside.append(SetAside(bad_id(name), file=ascii(where)))
        elif suffix in FITS and len(name) > 2 and name[-2] in "_-" and name[-1] in bands:
            split.setdefault(name[:-2], {}).setdefault(name[-1], path)
        elif name in found:
            first = found[name].relative_to(folder)
            aside.append(SetAside(f"another file has this name already: {first}", id=name, file=where))
        else:
            found[name] = path
    for name, parts in split.items():
        where = str(next(iter(parts.values())).relative_to(folder))
        if name in found:
            aside.append(SetAside("another file has this name already", id=name, file=where))
        elif len(parts) != 3 or len(bands) != 3:
            aside.append(
                SetAside(f"three bands ({bands}) are needed, there are {', '.join(parts)}", id=name, file=where)
            )
        else:
            found[name] = tuple(parts[band] for band in bands)
    return found, aside


def find_images(folder: str | os.PathLike, bands: str = "gri") -> dict[str, Source]:
    """Identifier → image; :func:`scan_images` without the list of what was set aside."""
    return scan_images(folder, bands)[0]


def _walk(folder: Path) -> Iterable[Path]:
    """The image files under ``folder`` in sorted order; links to folders are not followed."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(PICTURES + FITS):
                yield Path(here) / name


def resize(rgb: np.ndarray, size: int, *, resample: str = "lanczos") -> np.ndarray:
    """Cut the central square out of a picture and resample it.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        The picture.
    size : int
        px of the new side.
    resample : {"lanczos", "bicubic"}
        How.

    Returns
    -------
    (size, size, 3) uint8
    """
    from PIL import Image

    side = min(rgb.shape[:2])
    top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
    square = rgb[top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    ways = {"lanczos": Image.Resampling.LANCZOS, "bicubic": Image.Resampling.BICUBIC}
    return np.array(Image.fromarray(square).resize((size, size), ways[resample]))


def encode_jpeg(rgb: np.ndarray, quality: int = 90) -> bytes:
    """Encode (H, W, 3) uint8 as a JPEG without chroma subsampling (small cutouts lose colour to it)."""
    rgb = np.ascontiguousarray(rgb)
    try:
        import simplejpeg
    except ImportError:
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling=0)
        return buffer.getvalue()
    return simplejpeg.encode_jpeg(rgb, quality=quality, colorspace="RGB", colorsubsampling="444")
