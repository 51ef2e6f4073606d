"""A simulated survey: galaxies of known physics, drawn as SDSS would have seen them, packed as a Dataset.

Every galaxy depends on ``(seed, index)`` alone: number 17 of seed 0 is the same, to the last bit, whatever ``n`` and
however many processes draw. Needs GalSim (Rowe et al. 2015, Astronomy and Computing 10, 121).

These galaxies show that the method works and what it can see. No result on them says anything about real galaxies.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from sfnet_core.astro.bpt import bpt_class_from_fluxes
from sfnet_core.data.dataset import Dataset
from sfnet_core.data.simulate import light, population, render
from sfnet_core.data.store import META, UnfinishedWriter
from sfnet_core.utils.console import say
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.signals import Interrupts
from sfnet_core.utils.version import __version__

__all__ = ["COLUMNS", "Galaxy", "draw_cutout", "draw_galaxies", "draw_galaxy", "simulate"]

#: Name → unit of every column of a simulated catalogue, in order; ids come before them.
COLUMNS: dict[str, str] = {
    "ra": "deg",
    "dec": "deg",
    "z": "",
    "oh_p50": "dex",
    "lgm_tot_p50": "log10(Msun)",
    "sfr_tot_p50": "log10(Msun/yr)",
    **{f"{line}_{part}": "1e-17 erg/s/cm2" for line in population.LINES for part in ("flux", "flux_err")},
    "bptclass": "",
    "kind": "",
    "r_mag": "mag",
    "r50": "arcsec",
    "bulge_fraction": "",
    "inclination": "deg",
    "arms": "",
    "winding": "",
    "a_halpha": "mag",
    "agn_fraction": "",
}

#: Half-light radii kept, arcsec: resolved, and small enough for the field.
R50_RANGE = (1.3, 4.8)

#: Mean r surface brightness within the half-light radius that is kept, mag/arcsec²: no blobs, nothing invisible.
SURFACE_BRIGHTNESS = (18.9, 23.0)

SAVE_SECONDS = 60  # an unannounced kill loses at most this much work

_SOURCE = "simulated with GalSim, seed {seed}"

_CATALOGUE, _PICTURE = 0, 1


@dataclass(frozen=True)
class Galaxy:
    """One galaxy: its physics, form, observed magnitudes, companion (for mergers) and catalogue row."""

    physics: population.Physics
    form: population.Form
    magnitudes: dict[str, np.ndarray]
    row: dict[str, float | int | str]


def simulate(
    n: int,
    *,
    seed: int = 0,
    out: str | os.PathLike,
    size: int = 128,
    workers: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
    resume: bool = False,
) -> Dataset:
    """Draw ``n`` galaxies into a new Dataset at ``out``.

    Parameters
    ----------
    n : int
        Number of galaxies; ids are ``sim-SEED-000000`` onwards.
    seed : int
        Seed ≥ 0. The first galaxies of a longer run are those of a shorter one.
    out : path
        Folder of the new dataset.
    size : int
        Side of a cutout in pixels; the field stays 25.3″ wide, so the pixel scale is 25.3/size.
    workers : int, optional
        Processes; by default one per core, at most 8. A script that asks for more than one must call this under
        ``if __name__ == "__main__":``.
    progress : bool
        Show a bar on stderr.
    overwrite : bool
        Replace an existing dataset; begin anew where one is unfinished.
    resume : bool
        Go on with an unfinished one. What has been drawn is kept once a minute, and on Ctrl-C and SIGTERM, which
        raise ``KeyboardInterrupt`` or ``SystemExit(143)``; the dataset has the same bytes in the end.

    Raises
    ------
    SFNetError
        Where GalSim is missing, an argument makes no sense, or what is unfinished was begun with other arguments.
    """
    if importlib.util.find_spec("galsim") is None:
        raise SFNetError('Simulating needs GalSim, which is not installed: pip install "sfnet-core[simulate]".')
    if n < 1 or seed < 0 or not 16 <= size <= 1024:
        raise SFNetError(f"simulate needs n ≥ 1, seed ≥ 0 and 16 ≤ size ≤ 1024; it was given {n=}, {seed=}, {size=}.")
    workers = min(os.cpu_count() or 1, 8) if workers is None else workers
    if workers < 1:
        raise SFNetError(f"simulate needs at least one worker; it was given {workers}.")
    job = {"n": n, "seed": seed, "size": size, "software": _libraries()}
    if resume and not overwrite and (done := _finished(out, n, seed, size)):
        say(progress, f"{out} is already finished; nothing was done.")
        return done
    with UnfinishedWriter(out, job, resume=resume, overwrite=overwrite, expected=n) as writer:
        _draw_into(writer, n, seed, size, workers, progress)
        meta = {
            "pixel_scale": render.FIELD / size,
            "bands": "gri",
            "source": _SOURCE.format(seed=seed),
            "simulated": True,
            "set_aside": [],
            "notes": ["Simulated galaxies: no result on them says anything about real ones."],
            "seed": seed,
        }
        units = {name: unit for name, unit in COLUMNS.items() if unit}
        ids = [f"sim-{seed}-{index:06d}" for index in range(n)]
        writer.finish(ids, writer.columns(COLUMNS), units=units, meta=meta)
    return Dataset.open(out)


def draw_galaxy(seed: int, index: int) -> Galaxy:
    """The galaxy ``index`` of ``seed``: draws from the population until one passes the survey's limits.

    Limits: r within 14.2–17.77, R50 and surface brightness as above, Hα, Hβ and [NII] at S/N > 3, as a catalogue
    of metallicities has them. The BPT class is that of the measured fluxes and errors (Brinchmann et al. 2004).
    """
    rng = np.random.default_rng([seed, index, _CATALOGUE])
    for _ in range(10_000):
        physics = population.draw_physics(rng)
        form = population.draw_form(rng, physics)
        if not R50_RANGE[0] < form.r50 < R50_RANGE[1]:
            continue
        magnitudes = light.galaxy_magnitudes(physics, form)
        r_mag = float(magnitudes["total"][1])
        if not population.R_BRIGHT < r_mag < population.R_FAINT:
            continue
        # Half of the light within πR50².
        surface = r_mag + 2.5 * np.log10(2.0 * np.pi * form.r50**2)
        if not SURFACE_BRIGHTNESS[0] < surface < SURFACE_BRIGHTNESS[1]:
            continue
        lines = population.draw_lines(rng, physics, form.r50)
        if all(lines[f"{k}_flux"] > 3.0 * lines[f"{k}_flux_err"] for k in ("h_alpha", "h_beta", "nii_6584")):
            return Galaxy(physics, form, magnitudes, _row(rng, physics, form, r_mag, lines))
    raise SFNetError(
        f"No galaxy {index} of seed {seed} passed the survey's limits in 10,000 draws."
    )  # pragma: no cover


def draw_cutout(seed: int, size: int, index: int) -> np.ndarray:
    """The picture of galaxy ``index`` of ``seed``, (size, size, 3) uint8, north up."""
    return _draw(seed, size, index)[0]


def _draw(seed: int, size: int, index: int) -> tuple[np.ndarray, dict[str, float | int | str]]:
    """Picture and catalogue row of one galaxy."""
    galaxy = draw_galaxy(seed, index)
    rng = np.random.default_rng([seed, index, _PICTURE])
    centre = tuple(rng.normal(0.0, 0.15, 2))
    grid = (render.FINE_PIXELS, render.FINE_SCALE)
    picture = light.galaxy_map(rng, galaxy.physics, galaxy.form, galaxy.magnitudes, *grid, centre)
    if galaxy.physics.kind == "merger":
        picture = picture + light.companion_map(rng, galaxy.physics, galaxy.form, galaxy.magnitudes, *grid)
    return render.resample(render.asinh_rgb(render.expose(rng, picture)), size), galaxy.row


def _row(
    rng: np.random.Generator,
    physics: population.Physics,
    form: population.Form,
    r_mag: float,
    lines: dict[str, float],
) -> dict[str, float | int | str]:
    ra, dec = population.sky_position(rng)
    fluxes = [lines[f"{line}_flux"] for line in population.LINES]
    errors = [lines[f"{line}_flux_err"] for line in population.LINES]
    return {
        "ra": ra,
        "dec": dec,
        "z": physics.z,
        "oh_p50": physics.oh,
        "lgm_tot_p50": physics.log_mass,
        "sfr_tot_p50": physics.log_sfr,
        **lines,
        "bptclass": int(bpt_class_from_fluxes(*fluxes, *errors)),
        "kind": physics.kind,
        "r_mag": r_mag,
        "r50": form.r50,
        "bulge_fraction": form.bulge,
        "inclination": float(np.degrees(form.inclination)),
        "arms": form.arms,
        "winding": form.winding if form.arms else 0,
        "a_halpha": physics.a_halpha,
        "agn_fraction": physics.agn,
    }


def _draw_into(writer: UnfinishedWriter, n: int, seed: int, size: int, workers: int, progress: bool) -> None:
    """Draw what is not there yet; a signal ends it after the galaxy at hand, with everything kept."""
    from tqdm import tqdm

    bar = tqdm(total=n, initial=writer.n, desc="simulate", unit="galaxy", file=sys.stderr, disable=not progress)
    with Interrupts() as interrupts, bar, closing(draw_galaxies(writer.n, n, seed, size, workers)) as galaxies:
        for cutout, row in galaxies:
            writer.add(cutout, row)
            bar.update()
            if interrupts.signal or interrupts.seconds_since_save() > SAVE_SECONDS:
                writer.keep()
                interrupts.saved()
            if interrupts.signal:
                bar.close()
                say(True, f"Stopped after {writer.n:,} of {n:,} galaxies; --resume continues.")
                interrupts.leave()


def draw_galaxies(
    start: int, stop: int, seed: int, size: int, workers: int
) -> Iterator[tuple[np.ndarray, dict[str, float | int | str]]]:
    """Pictures, (size, size, 3) uint8, and catalogue rows of galaxies ``start`` … ``stop`` − 1 of ``seed``, in order.

    ``workers`` processes draw them; at most a few hundred are held at a time.
    """
    draw = partial(_draw, seed, size)
    if workers == 1 or stop - start < 16:
        yield from map(draw, range(start, stop))
        return
    indices = iter(range(start, stop))
    # "spawn" also where threads run already (torch, a notebook's kernel), which "fork" does not forgive.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _leave_interrupts_to_the_parent) as pool:
        try:
            while block := list(islice(indices, 64 * workers)):
                yield from pool.map(draw, block, chunksize=8)
        except BrokenProcessPool as error:
            raise SFNetError(
                "The processes that draw galaxies ended too soon. In a script, call simulate under "
                'if __name__ == "__main__":, or use workers=1.'
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches every process of the terminal; the parent alone answers it, the others end with the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _libraries() -> str:
    """Versions of what a galaxy's bytes depend on beside its seed and index."""
    import galsim
    import PIL

    known = {"galsim": galsim, "numpy": np, "pillow": PIL}
    return ", ".join([f"sfnet-core {__version__}", *(f"{name} {used.__version__}" for name, used in known.items())])


def _finished(out: str | os.PathLike, n: int, seed: int, size: int) -> Dataset | None:
    """The dataset at ``out`` where it is this very simulation."""
    if not (Path(out) / META).is_file():
        return None
    found = Dataset.open(out)
    here = (len(found), found.meta["height"], found.meta["source"], found.meta.get("seed"))
    return found if found.simulated and here == (n, size, _SOURCE.format(seed=seed), seed) else None
