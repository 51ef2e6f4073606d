"""Light of one simulated galaxy in g, r and i: star colours by redshift, and the map on a fine grid before the seeing.

Colours come from the template spectra of Coleman, Wu & Weedman (1980, ApJS 43, 393: elliptical, Sbc, Scd, irregular)
through LSST's g, r and i, both shipped with GalSim. Maps are (3, H, W) float64 in nanomaggies per pixel, bands in
the order g, r, i; an array's row 0 is the south.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from sfnet_core.astro import scaling_relations as relations
from sfnet_core.data.simulate.population import Form, Physics

__all__ = ["BANDS", "companion_map", "galaxy_magnitudes", "galaxy_map"]

BANDS = ("g", "r", "i")

#: Effective wavelengths of the bands in μm, for the dust.
WAVELENGTHS = (0.477, 0.623, 0.763)

#: Absolute AB magnitude of the Sun in r (Willmer 2018, ApJS 236, 47, table 3).
SUN_R = 4.65

_TEMPLATES = ("CWW_E_ext", "CWW_Sbc_ext", "CWW_Scd_ext", "CWW_Im_ext")
_REDSHIFTS = np.linspace(0.0, 0.32, 33)
_DUST = np.array([relations.dust_law(w) for w in WAVELENGTHS])


@lru_cache(maxsize=1)
def _colour_table() -> tuple[np.ndarray, np.ndarray]:
    """Observed AB magnitude − rest-frame r magnitude (4, Z, 3), and the rest-frame g − r (4,)."""
    import galsim

    share = Path(galsim.meta_data.share_dir)
    bands = [galsim.Bandpass(str(share / "bandpasses" / f"LSST_{b}.dat"), "nm").withZeropoint("AB") for b in BANDS]
    table = np.empty((len(_TEMPLATES), _REDSHIFTS.size, len(BANDS)))
    rest = np.empty(len(_TEMPLATES))
    for t, name in enumerate(_TEMPLATES):
        spectrum = galsim.SED(str(share / "SEDs" / f"{name}.sed"), "Ang", "flambda")
        for j, z in enumerate(_REDSHIFTS):
            # atRedshift keeps photons per second and nanometre at λ/(1 + z), which with the luminosity distance is the
            # K correction whole: of its (1 + z) factors none is left over for photon-counting detectors (Hogg et al.
            # 2002, astro-ph/0210394, eq. 13).
            shifted = spectrum.atRedshift(float(z))
            table[t, j] = [shifted.calculateMagnitude(b) for b in bands]
        rest[t] = table[t, 0, 0] - table[t, 0, 1]
        table[t] -= table[t, 0, 1]
    return table, rest


def _colours(age: float, z: float) -> np.ndarray:
    """Observed magnitude − rest-frame r for a place ``age`` in the template sequence, (3,)."""
    table, _ = _colour_table()
    at_z = np.array([[np.interp(z, _REDSHIFTS, table[t, :, b]) for b in range(3)] for t in range(len(_TEMPLATES))])
    age = float(np.clip(age, 0.0, 3.6))
    low = min(int(age), 2)
    # Past the last template the step from Scd to Im goes on: knots are bluer than a whole irregular.
    return at_z[low] + (age - low) * (at_z[low + 1] - at_z[low])


def _rest_colour(age: float) -> float:
    _, rest = _colour_table()
    return float(np.interp(np.clip(age, 0.0, 3.0), np.arange(4), rest))


def _ages(form: Form) -> dict[str, float]:
    return {
        "bulge": form.age_bulge,
        "disk": max(form.age_disk - 0.25, 0.0),
        "young": float(np.clip(form.age_disk + 0.85, 0.9, 3.6)),
    }


def _weights(form: Form) -> dict[str, float]:
    """Shares of the rest-frame r light."""
    disk = 1.0 - form.bulge
    return {"bulge": form.bulge, "disk": disk * (1.0 - form.young), "young": disk * form.young}


def galaxy_magnitudes(physics: Physics, form: Form) -> dict[str, np.ndarray]:
    """Apparent g, r, i of each component, behind the diffuse dust, AB mag (3,); ``"total"`` is their sum.

    Stellar mass and rest-frame g − r give the luminosity (Roediger & Courteau 2015), the templates the rest.
    """
    weights, ages = _weights(form), _ages(form)
    # Rest-frame g − r of the whole: fluxes add, magnitudes do not.
    g_over_r = sum(w * 10.0 ** (-0.4 * _rest_colour(ages[c])) for c, w in weights.items())
    absolute = SUN_R - 2.5 * (physics.log_mass - float(relations.mass_to_light_r(-2.5 * np.log10(g_over_r))))
    modulus = 5.0 * np.log10(float(relations.luminosity_distance(physics.z))) + 25.0
    answer: dict[str, np.ndarray] = {}
    for component, weight in weights.items():
        if weight <= 0:
            continue
        dust = form.reddening * _DUST * (0.5 if component == "bulge" else 1.0)
        answer[component] = absolute - 2.5 * np.log10(weight) + modulus + _colours(ages[component], physics.z) + dust
    total = sum(10.0 ** (-0.4 * m) for m in answer.values())
    answer["total"] = -2.5 * np.log10(total)
    return answer


def galaxy_map(
    rng: np.random.Generator,
    physics: Physics,
    form: Form,
    magnitudes: dict[str, np.ndarray],
    size: int,
    scale: float,
    centre: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Surface brightness (3, size, size) in nanomaggies per pixel of ``scale`` arcsec, before the seeing.

    A Sérsic bulge, an inclined exponential disk, and a young population that follows logarithmic arms and knots;
    a dust lane in front of half of an inclined disk. ``centre`` is (x, y) in arcsec from the middle.
    """
    frame = _Frame(size, scale, form, centre)
    answer = np.zeros((3, size, size))
    if "bulge" in magnitudes:
        _add(answer, _bulge(frame, form), magnitudes["bulge"])
    if "disk" in magnitudes:
        disk = _disk(frame, form)
        pattern = _pattern(rng, frame, form)
        old = disk * (1.0 + 0.45 * min(form.contrast, 1.0) * (pattern - 1.0))
        if form.bar:
            old = (1.0 - form.bar) * old / old.sum() + form.bar * _bar(frame, form)
        _add(answer, old, magnitudes["disk"])
        young = disk * np.maximum(1.0 + form.contrast * (pattern - 1.0), 0.02)
        young = _fade_centre(frame, form, young)
        share = min(0.012 * form.knots, 0.42)
        _add(answer, young, magnitudes["young"] - 2.5 * np.log10(1.0 - share))
        if share:
            knots = _knots(rng, frame, form, young)
            _add(answer, knots, magnitudes["young"] - 2.5 * np.log10(share) + _hii_colour(physics.z))
    if form.lane:
        answer *= _lane(rng, frame, form)
    return answer


class _Frame:
    """Coordinates of every pixel: on the sky, and in the plane of the disk."""

    def __init__(self, size: int, scale: float, form: Form, centre: tuple[float, float]):
        axis = (np.arange(size) - 0.5 * (size - 1)) * scale
        x, y = np.meshgrid(axis - centre[0], axis - centre[1])
        cos, sin = np.cos(form.angle), np.sin(form.angle)
        #: Along the major and the minor axis, arcsec.
        self.u, self.v = cos * x + sin * y, -sin * x + cos * y
        self.size, self.scale, self.centre = size, scale, centre
        tilt = max(np.cos(form.inclination), 0.12)
        self.radius = np.hypot(self.u, self.v / tilt)
        self.azimuth = np.arctan2(self.v / tilt, self.u)


def _add(target: np.ndarray, shape: np.ndarray, magnitudes: np.ndarray) -> None:
    """Add a light distribution of any normalisation, with the given total magnitudes (3,)."""
    flux = 10.0 ** (-0.4 * (magnitudes - 22.5))
    target += flux[:, None, None] * (shape / shape.sum())


def _bulge(frame: _Frame, form: Form) -> np.ndarray:
    """Sérsic (1963) profile; b from Ciotti & Bertin 1999, A&A 352, 447, eq. 18; cusp softened by half a pixel."""
    n, q = form.bulge_index, form.bulge_q
    b = 2.0 * n - 1.0 / 3.0 + 4.0 / (405.0 * n) + 46.0 / (25_515.0 * n**2)
    radius = np.sqrt(q * frame.u**2 + frame.v**2 / q + (0.5 * frame.scale) ** 2)
    return np.exp(-b * (radius / form.bulge_r50) ** (1.0 / n)) * _edge(radius, 6.0 * form.bulge_r50)


def _edge(radius: np.ndarray, limit: float) -> np.ndarray:
    """1 inside ``limit``, falling smoothly to 0 at 1.3 times it: galaxies end."""
    return 0.5 * (1.0 + np.cos(np.pi * np.clip((radius / limit - 1.0) / 0.3, 0.0, 1.0)))


def _disk(frame: _Frame, form: Form) -> np.ndarray:
    """GalSim's inclined exponential disk of finite thickness (van der Kruit & Searle 1981)."""
    import galsim

    disk = galsim.InclinedExponential(
        form.inclination * galsim.radians, half_light_radius=form.disk_r50, scale_h_over_r=form.thickness
    )
    disk = disk.rotate(form.angle * galsim.radians).shift(*frame.centre)
    # A narrow Gaussian bounds the Fourier grid of an edge-on disk; the seeing is many times wider.
    smooth = galsim.Convolve(disk, galsim.Gaussian(sigma=0.6 * frame.scale), real_space=False)
    image = smooth.drawImage(nx=frame.size, ny=frame.size, scale=frame.scale, method="no_pixel", dtype=float)
    return np.maximum(image.array, 0.0) + 1e-12


def _pattern(rng: np.random.Generator, frame: _Frame, form: Form) -> np.ndarray:
    """Arms as a factor with mean about 1: m logarithmic spirals, uneven along their length and of unequal strength."""
    phase, patch, uneven = rng.uniform(0.0, 2.0 * np.pi, 3), rng.uniform(0.0, 2.0 * np.pi, 4), rng.random()
    if not form.arms or form.inclination > np.radians(78.0):
        return np.ones_like(frame.radius)
    length = form.disk_r50 / 1.678
    winding = np.log(np.maximum(frame.radius, 0.3 * length) / length) / np.tan(form.pitch)
    spiral = frame.azimuth - form.winding * winding
    arms = np.exp(3.0 * (np.cos(form.arms * spiral + phase[0]) - 1.0))
    arms *= 1.0 + 0.35 * uneven * np.cos(spiral + phase[1])
    arms *= 1.0 + 0.35 * np.cos(3.0 * frame.azimuth + 1.7 * winding * form.winding + patch[0])
    arms *= 1.0 + 0.25 * np.cos(5.0 * frame.azimuth - 2.9 * winding * form.winding + patch[1])
    floor = 0.08
    # The mean of exp(3 (cos − 1)) over a turn is about 0.24: arms and floor together average near 1.
    factor = (floor + arms) / (floor + 0.24)
    start = 1.0 / (1.0 + np.exp(-(frame.radius / length - 0.7) / 0.15))
    face_on = np.clip((78.0 - np.degrees(form.inclination)) / 15.0, 0.0, 1.0)
    return 1.0 + face_on * start * (factor - 1.0)


def _fade_centre(frame: _Frame, form: Form, young: np.ndarray) -> np.ndarray:
    """Young stars avoid the bulge: less of them inside its half-light radius."""
    if form.bulge < 0.05:
        return young
    return young * (1.0 - 0.75 * np.exp(-0.5 * (frame.radius / (1.2 * form.bulge_r50 + 0.3)) ** 2))


def _bar(frame: _Frame, form: Form) -> np.ndarray:
    """A boxy Gaussian bar in the disk's plane, a fixed fraction of the disk long."""
    length = 0.75 * form.disk_r50
    turn = 0.6
    a = frame.radius * np.cos(frame.azimuth - turn)
    b = frame.radius * np.sin(frame.azimuth - turn)
    bar = np.exp(-0.5 * ((np.abs(a) / length) ** 3 + (np.abs(b) / (0.28 * length)) ** 2))
    return bar / bar.sum()


def _knots(rng: np.random.Generator, frame: _Frame, form: Form, young: np.ndarray) -> np.ndarray:
    """Star-forming knots, placed where the young disk shines; luminosities are log-normal, sizes 0.2–0.5 arcsec."""
    weight = (young * _edge(frame.radius, 1.8 * form.disk_r50)).ravel()
    where = np.searchsorted(np.cumsum(weight), rng.random(form.knots) * weight.sum())
    rows, columns = np.divmod(np.minimum(where, weight.size - 1), frame.size)
    brightness = np.exp(np.clip(rng.normal(0.0, 0.7, form.knots), -1.5, 1.3))
    sigmas = rng.uniform(0.2, 0.5, form.knots) / frame.scale
    answer = np.full_like(young, 1e-15)
    for row, column, light, sigma in zip(rows, columns, brightness, sigmas, strict=True):
        reach = int(np.ceil(4.0 * sigma))
        top, left = max(row - reach, 0), max(column - reach, 0)
        box = answer[top : row + reach + 1, left : column + reach + 1]
        y = np.arange(top, top + box.shape[0])[:, None] - row
        x = np.arange(left, left + box.shape[1])[None, :] - column
        box += light / sigma**2 * np.exp(-0.5 * (x**2 + y**2) / sigma**2)
    return answer


def _hii_colour(z: float) -> np.ndarray:
    """Magnitudes by which line emission brightens a knot in g, r, i: Hα moves from r into i near z = 0.05."""
    inside_r = 1.0 / (1.0 + np.exp((0.6563 * (1.0 + z) - 0.690) / 0.004))
    return -np.array([0.10, 0.22 * inside_r, 0.30 * (1.0 - inside_r)])


def _lane(rng: np.random.Generator, frame: _Frame, form: Form) -> np.ndarray:
    """Transmission (3, H, W) of a dust layer near the midplane, seen against the far half of the light."""
    length = form.disk_r50 / 1.678
    height = max(0.35 * form.thickness * length, 0.8 * frame.scale)
    side = rng.choice([-1.0, 1.0]) * (0.2 * height + 0.5 * length * np.cos(form.inclination))
    depth = np.exp(-0.5 * ((frame.v - side) / (1.6 * height)) ** 2 - np.abs(frame.u) / (2.2 * length))
    tau = form.lane * (_DUST / _DUST[1])[:, None, None] * depth
    return 0.35 + 0.65 * np.exp(-tau)


def companion_map(
    rng: np.random.Generator,
    physics: Physics,
    form: Form,
    magnitudes: dict[str, np.ndarray],
    size: int,
    scale: float,
) -> np.ndarray:
    """What makes a merger of a galaxy: a second, smaller body close by and a tidal tail, as :func:`galaxy_map`."""
    angle, distance = rng.uniform(0.0, 2.0 * np.pi), form.r50 * rng.uniform(1.2, 2.4)
    ratio = rng.uniform(0.2, 0.6)
    other = replace(
        form,
        r50=form.r50 * 0.6,
        disk_r50=form.disk_r50 * 0.6,
        bulge_r50=form.bulge_r50 * 0.7,
        angle=float(rng.uniform(0.0, 2.0 * np.pi)),
        inclination=float(np.arccos(rng.uniform(0.2, 1.0))),
        arms=0,
        contrast=0.0,
        bar=0.0,
        knots=form.knots // 3,
        lane=0.0,
    )
    fainter = {name: m - 2.5 * np.log10(ratio) for name, m in magnitudes.items()}
    centre = (float(distance * np.cos(angle)), float(distance * np.sin(angle)))
    answer = galaxy_map(rng, physics, other, fainter, size, scale, centre)
    frame = _Frame(size, scale, form, (0.0, 0.0))
    tail = np.full_like(frame.u, 1e-15)
    side = rng.choice([-1.0, 1.0])
    start = angle - form.angle + np.pi
    for step in np.linspace(0.0, 1.0, 24):
        # An opening spiral that widens and fades outwards, in the plane of the sky.
        radius, turn = form.r50 * (1.0 + 2.2 * step), start + side * 1.6 * step
        x, y = radius * np.cos(turn), radius * np.sin(turn)
        width = form.r50 * (0.16 + 0.22 * step)
        tail += (1.0 - 0.8 * step) / width**2 * np.exp(-0.5 * ((frame.u - x) ** 2 + (frame.v - y) ** 2) / width**2)
    _add(answer, tail, magnitudes["young"] - 2.5 * np.log10(rng.uniform(0.25, 0.6)))
    return answer
