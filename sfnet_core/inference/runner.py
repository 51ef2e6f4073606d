"""Dataset × Run → SparseCodes: resumable, and the same bytes however it was cut into pieces.

Batches have one fixed size and are counted from the first row (:mod:`sfnet_core.inference.encoding`), so the size of
the pieces, a kill or a resume change no number.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from sfnet_core.codes.empty_sky import Sky, typical_sky
from sfnet_core.codes.header import RUNNERS_UP
from sfnet_core.codes.novelty import COLUMNS, Typical
from sfnet_core.codes.novelty import FILE as UNLIKE
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.targets import read_targets
from sfnet_core.inference import novelty_fit
from sfnet_core.inference.encoding import Encoder, Part
from sfnet_core.inference.recompute import recompute_doubtful
from sfnet_core.model import checkpoint
from sfnet_core.model.device import computes_bfloat16, has_bfloat16, pick_device
from sfnet_core.model.kernels.fused import can_fuse
from sfnet_core.model.network import SFNet
from sfnet_core.model.preprocess import ORIENTATIONS
from sfnet_core.model.run import Run
from sfnet_core.utils.array_cache import read_arrays, write_arrays
from sfnet_core.utils.console import say
from sfnet_core.utils.errors import SetAside, SFNetError
from sfnet_core.utils.files import folder_lock, write_json
from sfnet_core.utils.malloc import kept_memory
from sfnet_core.utils.version import __version__

__all__ = ["check_fit", "infer"]

PRECISIONS = ("float32", "bfloat16")
# From where on bfloat16 is quicker (benchmarks/results/precision.json): of few galaxies too many are computed again,
# and a narrow network is as quick in float32.
MANY, WIDE = 512, 32


def infer(
    run: Run | str | os.PathLike,
    dataset: Dataset | str | os.PathLike,
    out: str | os.PathLike,
    *,
    tta: bool = False,
    runners_up: int = RUNNERS_UP,
    maps: bool = True,
    batch: int = 2048,
    device: str = "auto",
    precision: str = "auto",
    resume: bool = True,
    progress: bool = True,
    allow_mismatch: bool = False,
) -> SparseCodes:
    """Encode every galaxy and write one codes file.

    Args:
        run: a :class:`Run`, its folder, or a checkpoint file.
        dataset: a :class:`Dataset` or its folder.
        out: the codes file (``.parquet``), replaced atomically.
        tta: also the mean prediction over the 8 orientations (``prediction_NAME_d4``); eight times the work.
        runners_up: activations stored after the k kept ones.
        maps: store the feature-map cells of the kept features, from which contribution maps are drawn, and every
            feature's map of one blank image of the dataset's typical sky (:mod:`sfnet_core.codes.empty_sky`).
        batch: galaxies per piece of work; a finished piece survives a kill. Does not change the result.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``.
        precision: ``float32``, ``bfloat16`` or ``auto``. In bfloat16 activations are off by about a percent of the
            galaxy's largest, but a galaxy whose gate that could have changed is computed again in float32, so that
            every galaxy keeps the features that float32 keeps (:mod:`sfnet_core.inference.tolerance`; a measured
            tolerance, not a proof), and so is one near the limit of :mod:`sfnet_core.codes.novelty`. The runners-up and
            their order, and the turned views' gates, are bfloat16's. The tolerance is measured on this dataset. A
            galaxy with fewer than k active features is always computed again. Hardware that emulates bfloat16 is slower
            with it, and a processor without it computes in float32; either is said. ``auto`` goes on as an interrupted
            call began; else it takes bfloat16 on a CPU that has it (AVX512-BF16, AMX), from 512 galaxies and width 32
            on, where it is faster.
        resume: take finished pieces of the same run and dataset from an earlier, interrupted call.
        allow_mismatch: go on where cutout size or pixel scale are not those of the training; said in the notes.

    A galaxy whose activations are not finite is set aside with its row; the others are as without it. Raises
    :class:`SFNetError` where the weights do not fit the cutouts.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    dataset = dataset if isinstance(dataset, Dataset) else Dataset.open(dataset)
    out = Path(out)
    if out.is_dir():
        raise SFNetError(f"{out} is a folder; give the codes file a name, such as {out / 'codes.parquet'}.")
    if precision not in ("auto", *PRECISIONS):
        raise SFNetError(f"There is no precision {precision!r} here; choose auto, {' or '.join(PRECISIONS)}.")
    if batch < 1 or runners_up < 0:
        raise SFNetError(f"batch={batch} must be at least 1 and runners_up={runners_up} at least 0.")
    notes = check_fit(run, dataset, allow_mismatch=allow_mismatch)
    where = pick_device(device)
    network = run.network()
    network = network.to(where, memory_format=network.memory_format)  # type: ignore[call-overload]
    typical = novelty_fit.stored(run)
    ours = dataset.fingerprint == run.metadata["data_fingerprint"]
    to_learn = typical is None and ours and len(run.split.get("train", ())) > 1
    encoder = Encoder(
        network, run.metadata, dataset, runners_up=runners_up, maps=maps, tta=tta,
        places=novelty_fit.places(run, dataset.ids) if ours else None,
    )  # fmt: skip
    step = -(-batch // encoder.micro) * encoder.micro

    def job(precision: str) -> dict[str, Any]:
        return {
            "run": run.fingerprint,
            "dataset": dataset.fingerprint,
            "options": [tta, runners_up, maps, encoder.micro, where.type, precision, can_fuse(network)],
            "versions": [__version__, torch.__version__],
            "unlike": "to be learnt" if to_learn else typical and checkpoint.fingerprint(run.path / UNLIKE),
        }

    begun = next((name for name in PRECISIONS if resume and _is_begun(out, job(name))), "")
    precision = _precision(precision, network, len(dataset), begun, progress)
    dtype, key = getattr(torch, precision), job(precision)
    computed: dict[str, Any] = {"precision": precision}
    with _work_folder(out, key, resume) as work, kept_memory():
        encoder.typical = _learnt(run, dataset, work / UNLIKE, device, progress) if to_learn else typical
        parts = []
        with tqdm(total=len(dataset), unit=" galaxies", desc="infer", disable=not progress, file=sys.stderr) as bar:
            for start in range(0, len(dataset), step):
                rows = np.arange(start, min(start + step, len(dataset)))
                make = partial(encoder.encode, rows, dtype, bar.update)
                parts.append(_piece(work, "part", rows, make, bar.update))
        whole = {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}  # not all twice
        if dtype != torch.float32:
            with tqdm(unit=" galaxies", desc="float32", disable=not progress, file=sys.stderr) as bar:
                computed |= recompute_doubtful(encoder, whole, partial(_piece, work), step, bar.update)
        sky = encoder.sky(typical_sky(dataset.cutouts, run.metadata["crop"])) if maps else None
        codes = _assemble(run, network, dataset, whole, notes, computed, encoder.typical, sky)
        codes.save(out)
    return SparseCodes.open(out)


def _precision(asked: str, network: SFNet, galaxies: int, begun: str, progress: bool) -> str:
    """``float32`` or ``bfloat16``: what was asked for where it can be computed; ``auto`` is decided here.

    Args:
        asked: ``auto``, ``float32`` or ``bfloat16``.
        network: on the device that computes.
        galaxies: how many there are.
        begun: the precision of an interrupted call that can go on; empty where there is none.
        progress: whether to say what the user may not expect.
    """
    device = next(network.parameters()).device
    what = "graphics card" if device.type == "cuda" else "processor"
    if asked == "auto":
        if begun == "float32" or (begun and computes_bfloat16(device)):
            return begun
        quicker = device.type == "cpu" and has_bfloat16(device) and can_fuse(network)
        return "bfloat16" if quicker and galaxies >= MANY and network.width >= WIDE else "float32"
    if asked == "bfloat16" and not computes_bfloat16(device):
        say(progress, f"This {what} cannot compute in bfloat16; the codes are computed in float32.")
        return "float32"
    if asked == "bfloat16" and device.type != "mps" and not has_bfloat16(device):
        say(progress, f"This {what} has no bfloat16 arithmetic of its own: float32 is faster here.")
    return asked


def check_fit(run: Run, dataset: Dataset, *, allow_mismatch: bool = False) -> list[str]:
    """Do these weights fit these cutouts? → sentences for the codes' notes; a mismatch is refused with both values.

    A network trained on one crop and scale fails silently on another (0.09 dex becomes 0.66 dex when 96 px become 112).
    """
    trained, notes = run.metadata, []
    height, width = dataset.meta["height"], dataset.meta["width"]
    wrong = []
    if [height, width] != trained["cutout_size"]:
        was = "×".join(map(str, trained["cutout_size"]))
        wrong.append(f"the weights were trained on cutouts of {was} px, these have {height}×{width} px")
    ours, theirs = trained["pixel_scale"], dataset.pixel_scale
    if ours is not None and theirs is not None:
        if abs(ours / theirs - 1) > 0.01:
            wrong.append(f"the weights were trained at {ours:g} arcsec per pixel, these cutouts have {theirs:g}")
    elif ours != theirs or dataset.fingerprint != trained["data_fingerprint"]:
        known = [f"{value:g} arcsec per pixel" if value else "unknown" for value in (ours, theirs)]
        notes.append(
            f"Pixel scale: training {known[0]}, these cutouts {known[1]}; whether they agree could not be checked."
        )
    if wrong:
        sentence = "; ".join(wrong)
        sentence = sentence[0].upper() + sentence[1:]
        if trained["crop"] > min(height, width):
            raise SFNetError(
                f"{sentence}: the crop of {trained['crop']} px does not fit. Pack the cutouts at the "
                f"training's size (sfnet pack --size {trained['cutout_size'][0]})."
            )
        if not allow_mismatch:
            raise SFNetError(
                f"{sentence}. Predictions would be wrong without any warning. Pack the cutouts at "
                "the training's size and scale, or continue with --allow-mismatch."
            )
        notes.append(f"Mismatch allowed: {'; '.join(wrong)}.")
    if dataset.fingerprint != trained["data_fingerprint"]:
        notes.append(f"The weights were trained on another dataset ({trained['dataset'] or 'unnamed'}).")
    if trained["simulated"] and not dataset.simulated:
        notes.append("The weights were trained on simulated galaxies; these are observed.")
    return notes


def _learnt(run: Run, dataset: Dataset, path: Path, device: str, progress: bool) -> Typical:
    """What the training galaxies are like, where the run does not say but its galaxies are at hand."""
    if path.is_file():
        with suppress(SFNetError):
            return Typical.open(path)
    with tqdm(unit=" galaxies", desc="training galaxies", disable=not progress, file=sys.stderr) as bar:
        typical = novelty_fit.fit(run, dataset, device, bar.update)
    typical.save(path)
    return typical


def _piece(work: Path, name: str, rows: np.ndarray, make: Callable[[], Part], done: Callable[[int], object]) -> Part:
    """A finished piece from the work folder, else made and kept there."""
    path = work / f"{name}-{rows[0]:09d}-{rows[-1] + 1:09d}.npz"
    part = read_arrays(path)
    if part is None:
        part = make()
        write_arrays(path, **part)
    else:
        done(len(rows))
    return part


def _assemble(
    run: Run,
    network: SFNet,
    dataset: Dataset,
    part: Part,
    notes: list[str],
    computed: dict[str, Any],
    typical: Typical | None,
    sky: Sky | None,
) -> SparseCodes:
    good, metadata = part["good"], run.metadata
    bad = [
        SetAside("the activations are not finite", row=int(i) + 1, id=str(dataset.ids[i]))
        for i in np.flatnonzero(~good)
    ]
    if not good.any():
        raise SFNetError(
            f"None of the {len(good):,} galaxies has finite activations; the weights or cutouts are broken."
        )
    weight = network.head.weight.detach().double().cpu().numpy()  # (T, F)
    bias = network.head.bias.detach().double().cpu().numpy()
    indices, values = part["indices"][good], part["values"][good]
    d4 = None
    if "views" in part:
        padded = np.append(weight, np.zeros((len(weight), 1)), axis=1)  # an empty slot, −1, finds a 0
        plain = bias + np.einsum("tnk,nk->nt", padded[:, indices[:, : network.k]], values[:, : network.k])
        d4 = (plain + part["views"][good]) / ORIENTATIONS
    columns = {name: dataset.column(name)[good] for name in dataset.columns if name != "id"}
    known = read_targets(dataset, run.targets, absent=True)  # new galaxies without it: that is what predictions are for
    truth = dict(zip(known.names, known.values[good].T, strict=True))
    notes = [*notes, *known.remarks, *known.lacking_lines]
    ids = dataset.ids[good]
    split = run.split_of(ids)
    if dataset.fingerprint != metadata["data_fingerprint"] and (split != "").any():
        trained = int((split != "").sum())
        notes = [*notes, f"{trained:,} galaxies have an identifier of the training's data, and its split."]
    if typical is None:
        notes = [*notes, "The run has no novelty statistics of its training galaxies; no galaxy is marked as novel."]
    provenance = {
        "dataset": dataset.meta["source"] or dataset.path.name,
        "dataset_fingerprint": dataset.fingerprint,
        "run": run.name,
        "run_fingerprint": run.fingerprint,
        "seed": run.config.get("seed"),
        "weights": metadata["weights_origin"],
        "trained_on": {"dataset": metadata["dataset"], "simulated": metadata["simulated"]},
        "crop": metadata["crop"],
        "cutout_size": [dataset.meta["height"], dataset.meta["width"]],
        "pixel_scale": dataset.pixel_scale,
        "normalisation": {"mean": metadata["mean"], "std": metadata["std"]},
        "computed": computed,
        **({"unlike": typical.about()} if typical else {}),
        "multi_k": run.config.get("recipe", {}).get("multi_k", 0),
        "versions": {"sfnet-core": __version__, "torch": torch.__version__, "numpy": np.__version__},
        "notes": [*dataset.meta.get("notes", []), *notes],
    }
    return SparseCodes.from_arrays(
        ids=ids,
        indices=indices,
        values=values,
        k=network.k,
        features=network.n_features,
        weight=weight,
        bias=bias,
        targets=run.targets,
        units=dict(zip(run.targets, metadata["units"], strict=True)),
        split=split,
        truth=truth,
        prediction_d4=d4,
        columns=columns,
        column_units=dataset.units,
        maps=part["maps"][good] if "maps" in part else None,
        unlike={name: part[name][good] for name in COLUMNS} if typical else None,
        sky=sky,
        simulated=dataset.simulated,
        provenance=provenance,
        set_aside=[*dataset.set_aside, *bad],
    )


def _work_of(out: Path) -> Path:
    """The folder beside ``out`` where finished pieces wait."""
    return out.with_name(f".{out.name}.work")


def _is_begun(out: Path, key: dict[str, Any]) -> bool:
    """Whether pieces of just this work wait beside ``out``."""
    job = _work_of(out) / "job.json"
    return job.is_file() and job.read_bytes() == (json.dumps(key, indent=2) + "\n").encode()


@contextmanager
def _work_folder(out: Path, key: dict[str, Any], resume: bool) -> Iterator[Path]:
    """The folder of finished pieces: kept on an interruption, removed when all is done."""
    work = _work_of(out)
    with folder_lock(work, "inference"):
        if not (resume and _is_begun(out, key)):
            for old in work.iterdir():
                if old.name != ".lock":
                    old.unlink()
            write_json(work / "job.json", key)
        yield work
        shutil.rmtree(work, ignore_errors=True)
