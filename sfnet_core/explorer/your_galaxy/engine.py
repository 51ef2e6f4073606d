"""From an image to its code: the one place of the page that needs the network, which is loaded when it is asked for."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.codes.novelty import COLUMNS
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.codes.empty_sky import Sky
    from sfnet_core.codes.table import SparseCodes

__all__ = ["Engine", "ImageOptions", "Mismatch", "find_run", "mismatch"]

MODEL = "model.safetensors"
TELL_MISSING = (
    'Decomposing a new image needs {}, which is not installed here: pip install "sfnet-core[torch]". '
    "Identifiers of the loaded codes work without."
)


@dataclass(frozen=True)
class ImageOptions:
    """How the visitor wants an image to be read. ``scale`` is in arcsec per pixel, ``None`` where not known.

    ``anyway``: go on although size or scale are not those of the training; then ``resample`` brings the central square
    to the training's size, else the central pixels are used as they are.
    """

    scale: float | None = None
    anyway: bool = False
    resample: bool = True


def find_run(codes: SparseCodes) -> Path | None:
    """Where the weights behind these codes are: ``SFNET_RUN``, else beside the codes file under the run's name.

    Only whether something is there is looked at; :meth:`Engine.prepare` checks that it is the right one.
    """
    if os.environ.get("SFNET_RUN"):
        return Path(os.environ["SFNET_RUN"])
    if codes.path is None:
        return None
    beside, name = codes.path.parent, str(codes.provenance.get("run") or "")
    names = [name, f"{name}.safetensors"] if name and Path(name).name == name and name not in (".", "..") else []
    names.append(f"{codes.path.stem.removesuffix('-codes')}-model.safetensors")  # as the embedded sample's are named
    for candidate in (beside / part for part in names):
        if candidate.is_file() or (candidate / MODEL).is_file():
            return candidate
    return None


class Mismatch(SFNetError):
    """An image of another size or scale than the training's; the visitor may go on knowingly."""


def mismatch(trained: dict[str, Any], size: tuple[int, int], scale: float | None) -> list[str]:
    """How an image's size (H, W) and scale differ from the training's (:attr:`Engine.trained`), both values said."""
    wrong = []
    if trained["size"] and list(size) != list(trained["size"]):
        was, now = (f"{w}×{h}" for h, w in (trained["size"], size))
        wrong.append(f"The network was trained on images of {was} px, this one has {now} px")
    if scale and trained["scale"] and abs(scale / trained["scale"] - 1) > 0.01:
        wrong.append(f"The network was trained at {trained['scale']:g}″ per pixel, this image has {scale:g}″")
    return wrong


class Engine:
    """The network behind some codes. Nothing is imported before :meth:`prepare`, which takes seconds the first time."""

    def __init__(self, codes: SparseCodes, run: str | os.PathLike | None = None, *, allow_mismatch: bool = False):
        self._codes, self._allow = codes, allow_mismatch
        self.path = Path(run) if run is not None else find_run(codes)
        self._run: Any = None
        self.notes: list[str] = []

    @property
    def why_not(self) -> str:
        """A sentence why images can't be decomposed here, or an empty text where they can."""
        if self.path is None:
            name = self._codes.provenance.get("run") or "the run"
            return (
                f"The weights that made these codes ({name}) were not found, so new images can't be decomposed: "
                "start the page with --run RUN. Identifiers work without."
            )
        for module in ("torch", "safetensors"):
            if importlib.util.find_spec(module) is None:
                return TELL_MISSING.format(module)
        return ""

    @property
    def ready(self) -> bool:
        """Whether the network is at hand."""
        return self._run is not None

    def prepare(self, tell: Callable[[str], None] = lambda line: None) -> None:
        """Import torch and open the run, once; :class:`SFNetError` where it is not the run that made the codes."""
        if self.ready:
            return
        if self.why_not:
            raise SFNetError(self.why_not)
        tell("Loading the network (once, a few seconds)…")
        import sfnet_core.inference.runner  # noqa: F401  torch comes with it: here and not at the first image
        from sfnet_core.model.run import Run

        run = Run.open(self.path)
        ours, theirs = run.fingerprint, self._codes.provenance.get("run_fingerprint")
        if ours != theirs:
            sentence = (
                f"The weights in {self.path.name} have fingerprint {ours}, these codes were made by "
                f"{theirs or 'unknown weights'}"
            )
            if not self._allow:
                raise SFNetError(
                    f"{sentence}: their features are not the same, so nothing could be compared. Name the run that "
                    "made the codes (SFNET_RUN), or allow the mismatch explicitly (SFNET_ALLOW_MISMATCH=1)."
                )
            self.notes.append(f"{sentence}; shown together because the mismatch was allowed.")
        self._run = run

    @property
    def trained(self) -> dict[str, Any]:
        """The training's images: ``size`` [H, W] px, ``crop`` px, ``scale`` arcsec per px or ``None``, ``simulated``.

        What the codes say of themselves; once the run is open, its own word.
        """
        if self.ready:
            m = self._run.metadata
            return {
                "size": list(m["cutout_size"]),
                "crop": m["crop"],
                "scale": m["pixel_scale"],
                "simulated": m["simulated"],
            }
        p = self._codes.provenance
        simulated = (p.get("trained_on") or {}).get("simulated", self._codes.simulated)
        return {
            "size": list(p.get("cutout_size") or ()),
            "crop": p.get("crop"),
            "scale": p.get("pixel_scale"),
            "simulated": simulated,
        }

    def encode(
        self, name: str, rgb: np.ndarray, options: ImageOptions, tell: Callable[[str], None] = lambda line: None
    ) -> tuple[SparseCodes, np.ndarray, float | None]:
        """Decompose one image ``(H, W, 3)`` uint8 by the very path of ``sfnet infer``.

        Returns the codes of one row with their maps, in memory; the image as the network's cutout was taken from it;
        and its pixel scale. Raises :class:`Mismatch` where size or scale are not the training's and the visitor did
        not say to go on.
        """
        self.prepare(tell)
        wrong = mismatch(self.trained, rgb.shape[:2], options.scale)
        if wrong and not options.anyway:
            raise Mismatch(
                f"{'; '.join(wrong)}. The prediction would be wrong without any warning. Use an image at the "
                "training's size and scale, or tick “use it anyway”."
            )
        from sfnet_core.data.cutouts import resize
        from sfnet_core.data.dataset import Dataset
        from sfnet_core.inference.runner import infer

        scale, (height, width) = options.scale, self.trained["size"]
        if options.resample and options.anyway and height == width and rgb.shape[:2] != (height, width):
            scale = scale * min(rgb.shape[:2]) / height if scale else None
            rgb = resize(rgb, height)
        if min(rgb.shape[:2]) < self.trained["crop"]:
            raise Mismatch(
                f"The network uses the central {self.trained['crop']} px; this image has "
                f"{rgb.shape[1]}×{rgb.shape[0]} px. Resample it to the training's size."
            )
        tell("Computing its features…")
        with tempfile.TemporaryDirectory(prefix="sfnet-yours-") as folder:
            one = Dataset.create(Path(folder, "dataset"), [name], rgb[None], pixel_scale=scale, source=name)
            out, r = Path(folder, "codes.parquet"), self._codes.runners_up
            found = infer(
                self._run, one, out, runners_up=r, precision="float32", progress=False, allow_mismatch=options.anyway
            )
            same = found.provenance["run_fingerprint"] == self._codes.provenance.get("run_fingerprint")
            return in_memory(found, self._codes.sky if same else None), rgb, scale


def in_memory(codes: SparseCodes, sky: Sky | None = None) -> SparseCodes:
    """The same codes without their file, which is about to go; with ``sky``, the empty sky that others are less by."""
    return type(codes).from_arrays(
        ids=codes.ids,
        indices=codes.indices,
        values=codes.values,
        k=codes.k,
        features=codes.features,
        weight=codes.weight,
        bias=codes.bias,
        targets=codes.targets,
        units=codes.units,
        maps=codes.maps(slice(None)),
        unlike=None if codes.unlike is None else {name: codes.column(name) for name in COLUMNS},
        sky=sky or codes.sky,
        simulated=codes.simulated,
        provenance=codes.provenance,
    )
