"""Starting a training from another run: its trunk and its normalisation.

What a trunk has learnt holds for cutouts like those it saw, so a start that does not fit is refused and says why.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sfnet_core.model.checkpoint import load_imagenet
from sfnet_core.model.run import Run
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset
    from sfnet_core.model.network import SFNet

__all__ = ["check_normalisation", "first_weights", "open_start"]

_SHIFT, _STRETCH = 3.0, 4.0  # how far the bands' mean (in standard deviations) and spread (a factor) may lie apart


def open_start(path: str | os.PathLike, dataset: Dataset, width: int | None, side: int) -> Run:
    """The run to start from.

    An unknown pixel scale can't be checked and passes, as in :func:`sfnet_core.inference.runner.check_fit`.

    Parameters
    ----------
    path : the run
    dataset : of the new training
    width : asked for, or ``None``
    side : of the new training's crop, in px

    Raises
    ------
    SFNetError
        Where the run's width, crop, cutout size or pixel scale is another.
    """
    run = Run.open(path)
    had = run.metadata
    if width is not None and width != had["width"]:
        raise SFNetError(
            f"{path} has width {had['width']}, not {width}; a trunk fits its own width only. Leave --width out."
        )
    size = [dataset.meta["height"], dataset.meta["width"]]
    for name, theirs, ours, way_out in (
        ("cutouts", "×".join(map(str, had["cutout_size"])), "×".join(map(str, size)), "Pack them at that size"),
        ("a crop", str(had["crop"]), str(side), "Take a recipe with that crop"),
    ):
        if theirs != ours:
            raise SFNetError(
                f"{path} was trained on {name} of {theirs} px, here it would see {name} of {ours} px and its features "
                f"mean nothing there. {way_out}, or start from scratch."
            )
    theirs, ours = had["pixel_scale"], dataset.pixel_scale
    if theirs is not None and ours is not None and abs(theirs / ours - 1) > 0.01:
        raise SFNetError(
            f"{path} was trained at {theirs:g} arcsec per pixel, these cutouts have {ours:g}: galaxies would look "
            "larger or smaller than it knows them. Pack the cutouts at its scale, or start from scratch."
        )
    return run


def check_normalisation(run: Run, mean: list[float], std: list[float]) -> tuple[list[float], list[float]]:
    """The run's normalisation, checked against the new cutouts.

    Parameters
    ----------
    run : to start from
    mean, std : of the new training cutouts, per band on the 0…1 scale

    Returns
    -------
    mean, std
        Of the run.

    Raises
    ------
    SFNetError
        Where these would put the cutouts far from what the run's trunk saw.
    """
    had = run.metadata["mean"], run.metadata["std"]
    for band, (m, s, m0, s0) in enumerate(zip(mean, std, *had, strict=True), 1):
        if abs(m - m0) > _SHIFT * s0 or not 1 / _STRETCH <= s / s0 <= _STRETCH:
            raise SFNetError(
                f"{run.path} was trained on cutouts whose band {band} has mean {m0:.3f} and spread {s0:.3f} (of 1), "
                f"here it has {m:.3f} and {s:.3f}: another stretch or background. Pack the cutouts as those were "
                "packed, or start from scratch."
            )
    return had


def first_weights(network: SFNet, weights: str | None, start: Run | None) -> str:
    """Put ImageNet's weights or another run's trunk, to the bit, into the network; its head stays.

    Parameters
    ----------
    network : changed in place; as it is where neither is given
    weights : ``"hub"`` or a file
    start : the run whose trunk is taken

    Returns
    -------
    str
        Where the weights come from, for the run's record.
    """
    if weights is not None:
        return load_imagenet(network, weights)
    if start is None:
        return "from scratch"
    state = start.network().state_dict()
    network.load_state_dict({n: t for n, t in state.items() if not n.startswith("head.")}, strict=False)
    had, names = start.metadata, ", ".join(start.targets[:3]) + (" …" if len(start.targets) > 3 else "")
    galaxies = f"{'simulated' if had['simulated'] else 'observed'} galaxies ({had['dataset'] or 'unnamed'})"
    return f"from the run {start.name} ({start.fingerprint}): {names} of {galaxies}, {had['weights_origin']}"
