"""The fingerprint of a set of codes, and whether a dataset is the one that they were made from."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["check_dataset", "digest"]

ONE_SCALE = 0.01  # pixel scales that differ by less are one, as in `sfnet infer`
PIECE = 1 << 16  # texts that become Python objects at a time


def digest(codes: SparseCodes) -> str:
    """24 hex digits over identifiers, codes, head, targets and splits."""
    found = hashlib.blake2b(digest_size=12)
    found.update(f"{codes.k} {codes.features} {codes.targets} {codes.simulated}\n".encode())
    for array in (codes.weight, codes.bias, codes.indices, codes.values):
        found.update(f"{array.shape}".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    first = True
    for texts in (codes.ids, codes.split):
        for start in range(0, len(texts), PIECE):
            joined = "\n".join(texts[start : start + PIECE].tolist())
            found.update(("" if first else "\n").encode() + joined.encode("utf-8", "surrogatepass"))
            first = False
    for target in range(len(codes.targets)):
        found.update(codes.truth(target).tobytes())
    return found.hexdigest()


def check_dataset(codes: SparseCodes, dataset: Any, allow: bool = False) -> str | None:
    """``None`` when the codes were made from this dataset; else refuse, or return the sentence when ``allow``.

    The fingerprint is over pixels and catalogue, so the pixel scale is looked at too, where both sides know it: with
    another one the cutouts would be another size on the sky, and every scale bar wrong.
    """
    ours, theirs = codes.provenance.get("dataset_fingerprint"), dataset.fingerprint
    if ours != theirs:
        sentence = f"The codes were made from a dataset with fingerprint {ours or 'unknown'}, this one has {theirs}"
    else:
        ours, theirs = codes.provenance.get("pixel_scale"), getattr(dataset, "pixel_scale", None)
        known = all(type(scale) in (int, float) and math.isfinite(scale) for scale in (ours, theirs))
        if not known or math.isclose(ours, theirs, rel_tol=ONE_SCALE):
            return None
        sentence = f"The codes were made from cutouts of {ours:g} arcsec per pixel, this dataset has {theirs:g}"
    if not allow:
        raise SFNetError(f"{sentence}: name the dataset they were made from, or allow the mismatch explicitly.")
    return f"{sentence}; shown together because the mismatch was allowed."
