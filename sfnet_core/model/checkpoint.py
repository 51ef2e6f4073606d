"""Weights on disk: one safetensors file that says what the network is and what it was trained on.

Layout: the tensors of :class:`~sfnet_core.model.network.SFNet` under their own names, and one metadata entry ``sfnet``,
a JSON object with the fields of :class:`Metadata`. No pickle is read here; foreign ones come through
:mod:`sfnet_core.model.foreign_weights`.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import sys
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import safetensors.torch
import torch
from msgspec import Meta, Struct
from torch import Tensor

from sfnet_core.model.foreign_weights import read_foreign
from sfnet_core.model.network import SFNet
from sfnet_core.utils.documents import json_object, read_document
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path

__all__ = ["SCHEMA", "Metadata", "fingerprint", "load", "load_imagenet", "read_metadata", "save"]

SCHEMA = 1
_MAX = sys.float_info.max
_Finite = Annotated[float, Meta(ge=-_MAX, le=_MAX)]
_Above0 = Annotated[float, Meta(gt=0, le=_MAX)]
_Side = Annotated[int, Meta(ge=1, le=65535)]
_MAX_WIDTH = 256


class Metadata(Struct, frozen=True):
    """What a checkpoint says of itself; further fields are kept unread."""

    k: Annotated[int, Meta(ge=1)]  # features kept per galaxy
    features: int  # F = 8 · width
    width: Annotated[int, Meta(ge=1, le=_MAX_WIDTH)]
    targets: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1, max_length=1024)]  # the head's rows
    units: list[str]  # one text per target; "" where it has none
    crop: Annotated[int, Meta(ge=1)]  # px: side of the central square the network sees
    cutout_size: tuple[_Side, _Side]  # (H, W) px of the cutouts it was trained on
    pixel_scale: _Above0 | None  # arcsec per px of those cutouts, None where unknown
    mean: tuple[_Finite, _Finite, _Finite]  # per band, of the training cutouts scaled to 0…1
    std: tuple[_Above0, _Above0, _Above0]
    data_fingerprint: str
    dataset: str  # the dataset's name, for people
    simulated: bool  # were the galaxies it learnt from simulated?
    weights_origin: str  # "from scratch" or where the starting weights came from
    versions: dict[str, Any]

    def __post_init__(self) -> None:
        if self.features != 8 * self.width:
            raise ValueError(f"`features` is {self.features}, but width {self.width} gives {8 * self.width}")
        if self.k > self.features:
            raise ValueError(f"`k` is {self.k}, more than the {self.features} features")
        if len(self.units) != len(self.targets):
            raise ValueError(f"`units` has {len(self.units)} entries for {len(self.targets)} targets")
        if self.crop > min(self.cutout_size):
            raise ValueError(f"`crop` is {self.crop} px, which does not fit cutouts of {self.cutout_size} px")


_MAX_HEADER = 1 << 20  # ours has about 15 kB
_DTYPES = {torch.float32: "F32", torch.int64: "I64"}
_IMAGENET_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"


def save(path: str | os.PathLike, network: SFNet, metadata: dict[str, Any]) -> None:
    """Write weights and metadata atomically; the same weights and metadata give the same bytes.

    ``k``, ``features``, ``width`` and ``schema`` are taken from the network. The metadata and the weights are checked
    as on loading, so a file that cannot be read back is never written.
    """
    metadata = metadata | {"schema": SCHEMA, "k": network.k, "features": network.n_features, "width": network.width}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    read_document(Metadata, metadata, "the metadata to be saved", schema=SCHEMA)
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
                f"ImageNet weights could not be downloaded from {_IMAGENET_URL} ({error}). Download that file on "
                "another machine and give its path, or train without it (from scratch)."
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
    header = json_object(raw, f"{path}: the safetensors header")
    entries = header.pop("__metadata__", None)
    if not isinstance(entries, dict) or not isinstance(entries.get("sfnet"), str):
        raise SFNetError(
            f"{path} has no metadata field `sfnet`: it was not written by sfnet. "
            "Foreign ResNet18 weights can start a training (`weights` of a recipe file), but can't be used as they are."
        )
    metadata = json_object(entries["sfnet"], f"{path}: the metadata field `sfnet`")
    read_document(Metadata, metadata, path, schema=SCHEMA)
    return header, metadata, 8 + length


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
