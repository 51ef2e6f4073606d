"""Weights on disk: one safetensors file that says what the network is and what it was trained on.

Layout: the tensors of :class:`~sfnet_core.model.network.SFNet` under their own names, and one metadata entry ``sfnet``,
a JSON object with the fields of :data:`FIELDS`. No pickle is read here; foreign ones come through
:mod:`sfnet_core.model.foreign_weights`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from sfnet_core.model.foreign_weights import read_foreign
from sfnet_core.model.network import SFNet
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path

__all__ = ["FIELDS", "SCHEMA", "fingerprint", "load", "load_imagenet", "read_metadata", "save"]

SCHEMA = 1
FIELDS: dict[str, tuple[type, ...]] = {
    "schema": (int,),  # this layout's version
    "k": (int,),  # features kept per galaxy
    "features": (int,),  # F = 8 · width
    "width": (int,),
    "targets": (list,),  # names, in the order of the head's rows
    "units": (list,),  # one text per target; "" where it has none
    "crop": (int,),  # px: side of the central square the network sees
    "cutout_size": (list,),  # [H, W] px of the cutouts it was trained on
    "pixel_scale": (int, float, type(None)),  # arcsec per px of those cutouts, None where unknown
    "mean": (list,),  # per band, of the training cutouts scaled to 0…1
    "std": (list,),
    "data_fingerprint": (str,),
    "dataset": (str,),  # the dataset's name, for people
    "simulated": (bool,),  # were the galaxies it learnt from simulated?
    "weights_origin": (str,),  # "from scratch" or where the starting weights came from
    "versions": (dict,),
}
_MAX_HEADER = 1 << 20  # ours has about 15 kB
_MAX_WIDTH = 256
_DTYPES = {torch.float32: "F32", torch.int64: "I64"}
_IMAGENET_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"


def save(path: str | os.PathLike, network: SFNet, metadata: dict[str, Any]) -> None:
    """Write weights and metadata atomically; the same weights and metadata give the same bytes.

    ``k``, ``features``, ``width`` and ``schema`` are taken from the network. The metadata and the weights are checked
    as on loading, so a file that cannot be read back is never written.
    """
    metadata = metadata | {"schema": SCHEMA, "k": network.k, "features": network.n_features, "width": network.width}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    _check_metadata(metadata, "the metadata to be saved")
    if len(metadata["targets"]) != network.targets:
        raise SFNetError(f"The network has {network.targets} outputs but the metadata names {metadata['targets']}.")
    _check_values(state, "the network to be saved")
    text = json.dumps(metadata, ensure_ascii=False, allow_nan=False, sort_keys=True)
    data = safetensors.torch.save(state, {"sfnet": text})
    with atomic_path(path) as part:
        part.write_bytes(data)


def load(path: str | os.PathLike) -> tuple[SFNet, dict[str, Any]]:
    """Read a checkpoint → (network in evaluation mode on the CPU, metadata).

    Sizes, names and shapes are compared with what the metadata promises before any weight is read. Anything that does
    not fit raises an :class:`SFNetError` that names the field.
    """
    header, metadata, data_start = _read_header(Path(path))
    with torch.device("meta"):
        network = SFNet(metadata["k"], len(metadata["targets"]), metadata["width"])
    _check_tensors(Path(path), header, network.state_dict(), data_start)
    try:
        state = safetensors.torch.load(Path(path).read_bytes())
    except Exception as error:  # the Rust reader has its own exception type
        raise SFNetError(f"{path} is not a valid safetensors file: {error}.") from error
    _check_values(state, str(path))
    network.to_empty(device="cpu").load_state_dict(state)
    return network.eval(), metadata


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The checked metadata alone, without reading weights."""
    return _read_header(Path(path))[1]


def fingerprint(path: str | os.PathLike) -> str:
    """24 hex digits of the file's content: two files with one fingerprint hold the same weights and metadata."""
    path = Path(path).absolute()
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=64)
def _digest(path: Path, *_state: int) -> str:
    """Of a file in this state; asked for again while it is the same, it is not read again."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=12)).hexdigest()


def load_imagenet(network: SFNet, source: str | os.PathLike) -> str:
    """Put ImageNet ResNet18 weights into the trunk and leave the head. Returns a sentence that says what was done.

    ``source`` is a local ``.safetensors`` or ``.pth`` file with torchvision's names (``fc.*`` is ignored), or
    ``"hub"``: torchvision's file through ``torch.hub``'s cache, downloaded on first use and checked against its hash.
    A ``.pth`` is read in a process of its own (:mod:`sfnet_core.model.foreign_weights`). Every trunk tensor must be
    there with the right shape (width 64).
    """
    if network.width != 64:
        raise SFNetError(
            f"ImageNet weights fit width 64 only; this network has width {network.width}. Train it without."
        )
    if str(source) == "hub":
        try:
            state = torch.hub.load_state_dict_from_url(
                _IMAGENET_URL, map_location="cpu", check_hash=True, progress=False, weights_only=True
            )
        except Exception as error:  # no network, wrong hash, a full disk: the way out is the same
            raise SFNetError(
                f"ImageNet weights could not be had from {_IMAGENET_URL} ({error}). Download that file on another "
                "machine and give its path, or train without it (from scratch)."
            ) from error
        said = f"ImageNet weights ({Path(_IMAGENET_URL).name}, torch.hub)"
    else:
        state = read_foreign(source)
        said = f"weights of {Path(source).name} ({fingerprint(source)})"
    _fill_trunk(network, state, str(source))
    return said


def _fill_trunk(network: SFNet, state: dict[str, Tensor], source: str) -> None:
    expected = {name: t for name, t in network.state_dict().items() if not name.startswith("head.")}
    for name, tensor in expected.items():
        found = state.get(name)
        if found is None and name.endswith("num_batches_tracked"):  # absent from old files; plays no part
            state[name] = tensor
            continue
        if not isinstance(found, Tensor) or found.shape != tensor.shape:
            got = "is missing" if found is None else f"is {getattr(found, 'shape', type(found).__name__)}"
            raise SFNetError(f"{source} is not a ResNet18: {name} {got}, expected {tuple(tensor.shape)}.")
        if found.is_floating_point() and not torch.isfinite(found).all():
            raise SFNetError(f"{source}: {name} holds values that are not finite.")
    network.load_state_dict({name: state[name] for name in expected}, strict=False)


def _read_header(path: Path) -> tuple[dict, dict[str, Any], int]:
    """(tensor table, metadata, offset of the data), nothing of it trusted before it is checked."""
    if not path.is_file():
        raise SFNetError(f"There is no checkpoint {path}.")
    size = path.stat().st_size
    with open(path, "rb") as handle:
        first = handle.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
        if not 2 <= length <= min(_MAX_HEADER, size - 8):
            raise SFNetError(
                f"{path} is not a checkpoint of ours: its header length is {length:,} bytes in a file of {size:,} "
                f"(at most {_MAX_HEADER:,} are read). Save it again or take another file."
            )
        raw = handle.read(length)
    header = _json_object(raw, f"{path}: the safetensors header")
    entries = header.pop("__metadata__", None)
    if not isinstance(entries, dict) or not isinstance(entries.get("sfnet"), str):
        raise SFNetError(
            f"{path} has no metadata field `sfnet`: it was not written by sfnet. "
            "Foreign ResNet18 weights can start a training (`weights` of a recipe file), but can't be used as they are."
        )
    metadata = _json_object(entries["sfnet"].encode(), f"{path}: the metadata field `sfnet`")
    _check_metadata(metadata, str(path))
    return header, metadata, 8 + length


def _json_object(raw: bytes, where: str) -> dict:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise SFNetError(f"{where} is not valid JSON ({type(error).__name__}).") from error
    if not isinstance(value, dict):
        raise SFNetError(f"{where} is not a JSON object.")
    return value


def _check_metadata(metadata: dict[str, Any], where: str) -> None:
    def refuse(field: str, why: str) -> None:
        raise SFNetError(f"{where}: the field `{field}` {why}.")

    if metadata.get("schema") != SCHEMA:
        refuse("schema", f"is {metadata.get('schema')!r}; this version reads {SCHEMA}. Install a newer sfnet-core")
    for field, kinds in FIELDS.items():
        if field not in metadata:
            refuse(field, "is missing")
        value = metadata[field]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            refuse(field, f"is {value!r}, not {' or '.join(kind.__name__ for kind in kinds)}")
    width, k = metadata["width"], metadata["k"]
    if not 1 <= width <= _MAX_WIDTH:
        refuse("width", f"is {width}, outside 1…{_MAX_WIDTH}")
    if metadata["features"] != 8 * width:
        refuse("features", f"is {metadata['features']}, but width {width} gives {8 * width}")
    if not 1 <= k <= 8 * width:
        refuse("k", f"is {k}, outside 1…{8 * width}")
    targets, units = metadata["targets"], metadata["units"]
    if not 1 <= len(targets) <= 1024 or not all(isinstance(name, str) and name for name in targets):
        refuse("targets", "is not a list of 1…1024 names")
    if len(units) != len(targets) or not all(isinstance(unit, str) for unit in units):
        refuse("units", f"has {len(units)} entries for {len(targets)} targets, or one that is no text")
    sides = metadata["cutout_size"]
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= 65535 for side in sides):
        refuse("cutout_size", f"is {sides!r}, not [height, width] in pixels")
    if not 1 <= metadata["crop"] <= min(sides):
        refuse("crop", f"is {metadata['crop']} px, which does not fit cutouts of {sides[0]}×{sides[1]} px")
    scale = metadata["pixel_scale"]
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        refuse("pixel_scale", f"is {scale!r}, not a positive number of arcsec per pixel")
    for field, low in (("mean", -math.inf), ("std", 0.0)):
        values = metadata[field]
        if len(values) != 3 or not all(type(v) in (int, float) and math.isfinite(v) and v > low for v in values):
            refuse(field, f"is {values!r}, not three finite numbers{' above 0' if field == 'std' else ''}")


def _check_tensors(path: Path, header: dict, expected: dict[str, Tensor], data_start: int) -> None:
    """Names, types, shapes and extents in the header against the network that the metadata promises."""
    for name in sorted(header.keys() ^ expected.keys()):
        raise SFNetError(f"{path}: the tensor {name} {'is missing' if name in expected else 'is not one of an SFNet'}.")
    size = 0
    for name, tensor in expected.items():
        entry = header[name] if isinstance(header[name], dict) else {}
        if entry.get("shape") != list(tensor.shape) or entry.get("dtype") != _DTYPES[tensor.dtype]:
            raise SFNetError(
                f"{path}: {name} is {entry.get('dtype')} {entry.get('shape')}, but the metadata (k, width, targets) "
                f"promises {_DTYPES[tensor.dtype]} {list(tensor.shape)}."
            )
        size += tensor.numel() * tensor.element_size()
    if path.stat().st_size != data_start + size:
        raise SFNetError(
            f"{path} has {path.stat().st_size - data_start:,} bytes of weights instead of {size:,}: "
            "it is cut off or has something behind it. Copy it again."
        )


def _check_values(state: dict[str, Tensor], where: str) -> None:
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            continue
        if not torch.isfinite(tensor).all():
            count = int((~torch.isfinite(tensor)).sum())
            raise SFNetError(f"{where}: {name} holds {count} values that are not finite (NaN or infinite).")
        if name.endswith("running_var") and (tensor < 0).any():
            raise SFNetError(f"{where}: {name} holds a negative variance.")
