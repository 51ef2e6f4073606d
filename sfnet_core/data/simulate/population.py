"""Which galaxies a flux-limited survey sees: mass, redshift, SFR, O/H, lines and form of one galaxy at a time.

The relations come from :mod:`sfnet_core.astro.scaling_relations`; what is not a published relation (fractions of kinds,
scatters, how form follows mass) is a choice made here so that the cutouts resemble SDSS ones, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sfnet_core.astro import scaling_relations as relations
from sfnet_core.astro.scaling_relations import fmr_oh

__all__ = ["LINES", "Form", "Physics", "draw_form", "draw_lines", "draw_physics", "sky_position"]

#: The four lines, in the order their errors are drawn.
LINES = ("nii_6584", "h_alpha", "oiii_5007", "h_beta")

#: Scatter of O/H about the fundamental relation that nothing in a picture shows, dex, and the part of it that goes
#: with size: dex per standard deviation of ln R at fixed mass. Larger galaxies of a mass are metal-poorer (Ellison et
#: al. 2008, ApJ 672, L107, find up to 0.2 dex from small to large); the two together make 0.08 dex.
OH_SCATTER, OH_WITH_SIZE = 0.06, -0.055

#: Flux limit of the SDSS main galaxy sample (Strauss et al. 2002, AJ 124, 1810) and a bright end, r mag.
R_FAINT, R_BRIGHT = 17.77, 14.2

#: Nearest redshift; the farthest follows from the flux limit.
Z_MIN = 0.015


@dataclass(frozen=True)
class Physics:
    """What a galaxy is: redshift, log10 M☉, log10 M☉/yr, 12 + log(O/H), A(Hα) in mag, and its kind."""

    z: float
    log_mass: float
    log_sfr: float
    oh: float
    a_halpha: float
    kind: str
    agn: float  #: share of Hα that comes from an active nucleus, 0 without one
    size: float  #: ln R about the median for its mass, in standard deviations

    @property
    def offset(self) -> float:
        """Distance from the main sequence in dex."""
        return self.log_sfr - float(relations.main_sequence(self.log_mass))

    @property
    def log_ssfr(self) -> float:
        """log10 of SFR / mass, 1/yr."""
        return self.log_sfr - self.log_mass


@dataclass(frozen=True)
class Form:
    """How a galaxy looks: lengths in arcsec, angles in radians."""

    r50: float  #: half-light radius of the whole, seen face-on
    bulge: float  #: share of the light in the bulge, 0–1
    bulge_r50: float
    bulge_index: float  #: Sérsic index
    bulge_q: float  #: axis ratio of the bulge
    disk_r50: float
    inclination: float
    thickness: float  #: scale height / scale length
    angle: float
    arms: int  #: 0 for none
    pitch: float
    winding: int  #: +1 or −1, the handedness of the arms
    contrast: float  #: strength of the arms, 0–1
    bar: float  #: share of the light in a bar
    young: float  #: share of disk light from the young, clumpy population
    knots: int
    age_disk: float  #: place of the smooth disk in the template sequence, 0 (elliptical) to 3 (irregular)
    age_bulge: float
    lane: float  #: optical depth of a dust lane in r
    reddening: float  #: E(B−V) of the stars, mag


def draw_physics(rng: np.random.Generator) -> Physics:
    """One galaxy of the parent population; the flux limit is applied by the caller, who knows its magnitude."""
    log_mass, z = _mass_and_redshift(rng)
    offset = rng.normal(0.0, 0.30)
    quiet = 0.06 + 0.28 / (1.0 + np.exp(-(log_mass - 10.55) / 0.25))
    if rng.random() < quiet:
        offset -= min(rng.exponential(0.5), 1.6)
    kind = _kind(rng, log_mass, offset)
    if kind == "merger":
        offset += abs(rng.normal(0.25, 0.12))
    log_sfr = float(relations.main_sequence(log_mass)) + offset
    size = float(np.clip(rng.normal(), -1.7, 1.7))
    # Eq. 2 was fitted down to log SFR = −1.45; below that the parabola turns over, which is no more than its form.
    oh = float(fmr_oh(log_mass, np.clip(log_sfr, -1.45, 1.5)))
    oh += OH_WITH_SIZE * size + rng.normal(0.0, OH_SCATTER)
    if kind == "merger":
        # Close pairs lie about 0.05–0.1 dex low (Ellison et al. 2008, AJ 135, 1877; Kewley et al. 2006, AJ 131, 2004).
        oh -= abs(rng.normal(0.07, 0.02))
    a_halpha = float(np.clip(relations.dust_halpha(log_mass) + rng.normal(0.0, 0.28), 0.0, 2.6))
    hosts = 0.20 / (1.0 + np.exp(-(log_mass - 10.6) / 0.18))
    agn = float(rng.uniform(0.25, 0.95)) if rng.random() < hosts else 0.0
    return Physics(z, log_mass, log_sfr, float(np.clip(oh, 7.8, 9.35)), a_halpha, kind, agn, size)


def draw_form(rng: np.random.Generator, physics: Physics) -> Form:
    """Structure that follows mass, specific SFR and kind (tendencies of the Hubble sequence; the numbers are ours)."""
    mass, kind = physics.log_mass, physics.kind
    early = kind == "elliptical"
    kpc = float(relations.size_kpc(mass, early)) * np.exp(physics.size * float(relations.size_scatter(mass)))
    arcsec_per_kpc = 206_264.8 * (1.0 + physics.z) / (1e3 * float(relations.comoving_distance(physics.z)))
    r50 = kpc * arcsec_per_kpc

    bulge = 0.03 + 0.42 / (1.0 + np.exp(-(mass - 10.55 - 0.5 * physics.offset) / 0.35)) + rng.normal(0.0, 0.05)
    bulge = {"elliptical": 0.85 + 0.1 * rng.random(), "irregular": 0.0}.get(kind, float(np.clip(bulge, 0.0, 0.65)))
    inclination = float(np.arccos(rng.uniform(0.0, 1.0)))
    if kind == "edge_on":
        inclination = float(np.radians(rng.uniform(80.0, 90.0)))
    elif kind == "irregular":
        inclination = min(inclination, float(np.radians(70.0)))
    grand = 1.0 / (1.0 + np.exp(-(mass - 9.9) / 0.3))
    armed = kind in ("spiral", "merger") and physics.offset > -0.9 and rng.random() < 0.35 + 0.6 * grand
    ssfr = physics.log_ssfr + 10.0
    young = float(np.clip(0.42 + 0.22 * ssfr + rng.normal(0.0, 0.04), 0.08, 0.8))
    bar = 0.3 * young if kind == "irregular" else 0.0
    if armed and rng.random() < 0.35:
        bar = float(rng.uniform(0.06, 0.16))
    # More metals and more dust make a disk of the same specific SFR redder.
    age_disk = 1.35 + 0.9 * ssfr - 0.5 * (physics.oh - 8.9) + rng.normal(0.0, 0.42)
    tilt = np.log10(1.0 / np.hypot(np.cos(inclination), 0.2))
    reddening = 0.44 * physics.a_halpha / relations.dust_law(relations.HALPHA) * (0.3 + 1.3 * tilt)
    lane = 0.0
    if kind == "edge_on":
        lane = float(np.clip(0.5 + 0.9 * physics.a_halpha + rng.normal(0.0, 0.25), 0.2, 2.6))
    elif inclination > np.radians(72.0) and kind == "spiral":
        lane = float(0.45 * physics.a_halpha * rng.random())
    return Form(
        r50=r50,
        bulge=float(bulge),
        bulge_r50=r50 if early else float(np.clip(0.22 * r50 * np.exp(rng.normal(0.0, 0.2)), 0.25, 2.2)),
        bulge_index=float(rng.choice([3.0, 4.0])) if mass > 10.3 or early else float(rng.choice([1.5, 2.0])),
        bulge_q=float(rng.uniform(0.6, 1.0)),
        disk_r50=float(r50 * (1.0 + 0.55 * bulge)),
        inclination=inclination,
        thickness=float(rng.uniform(0.16, 0.28)) * (0.6 if kind == "edge_on" else 1.0),
        angle=float(rng.uniform(0.0, 2.0 * np.pi)),
        arms=int(rng.choice([2, 2, 2, 3, 4])) if armed else 0,
        pitch=float(np.radians(rng.uniform(13.0, 32.0))),
        winding=int(rng.choice([-1, 1])),
        contrast=float(np.clip(rng.normal(0.95, 0.25), 0.4, 1.35)) if armed else 0.0,
        bar=float(bar),
        young=0.03 if early else young,
        knots=0 if early else int(rng.poisson(np.clip(10.0 + 14.0 * ssfr + 12.0 * (10.0 - mass), 2.0, 45.0))),
        age_disk=float(np.clip(age_disk, 0.0, 3.0)),
        age_bulge=float(np.clip(0.05 + 0.55 * (10.6 - mass) + 0.35 * (ssfr + 0.3) + rng.normal(0, 0.2), 0.0, 2.2)),
        lane=lane,
        reddening=float(max(reddening, 0.0)),
    )


def draw_lines(rng: np.random.Generator, physics: Physics, r50: float) -> dict[str, float]:
    """Fluxes of the four lines in a 3″ fibre and their errors, 1e-17 erg/s/cm², measured with noise.

    Ratios scatter about the Maiolino et al. (2008) relations along the star-forming sequence; an active nucleus
    adds gas with Seyfert or LINER ratios, so that its hosts move off the sequence along mixing curves.
    """
    n2, o3 = (float(v) for v in relations.line_ratios(physics.oh))
    excitation = rng.normal(0.0, 0.07)
    n2, o3 = n2 - 0.4 * excitation + rng.normal(0.0, 0.04), o3 + excitation
    luminosity = float(relations.halpha_luminosity(physics.log_sfr)) - 0.4 * physics.a_halpha
    # cm per Mpc is 3.0857e24; the unit of flux is 1e-17.
    distance = float(relations.luminosity_distance(physics.z)) * 3.0857e24
    total = 10.0 ** (luminosity + 17.0) / (4.0 * np.pi * distance**2)
    # By construction half of the light lies within r50.
    fibre = 1.0 - 0.5 ** ((1.5 / max(r50, 0.3)) ** 1.2)
    halpha, balmer = total * fibre, float(relations.balmer_ratio(physics.a_halpha))
    flux = {
        "nii_6584": halpha * 10.0**n2,
        "h_alpha": halpha,
        "oiii_5007": halpha / balmer * 10.0**o3,
        "h_beta": halpha / balmer,
    }
    if physics.agn:
        seyfert = rng.random() < 0.5
        nuclear = halpha * physics.agn / (1.0 - physics.agn)
        agn_n2 = rng.normal(0.02 if seyfert else 0.16, 0.07)
        agn_o3 = rng.normal(0.85 if seyfert else 0.32, 0.12)
        flux["nii_6584"] += nuclear * 10.0**agn_n2
        flux["h_alpha"] += nuclear
        flux["oiii_5007"] += nuclear / balmer * 10.0**agn_o3
        flux["h_beta"] += nuclear / balmer
    answer: dict[str, float] = {}
    floor = float(np.exp(rng.normal(np.log(2.4), 0.25)))
    for line in LINES:
        error = float(np.hypot(floor, 0.016 * flux[line]))
        answer[f"{line}_flux"] = float(flux[line] + rng.normal(0.0, error))
        answer[f"{line}_flux_err"] = error
    return answer


def sky_position(rng: np.random.Generator) -> tuple[float, float]:
    """RA and Dec in degrees, uniform over 120° < RA < 240°, 0° < Dec < 60°."""
    return float(rng.uniform(120.0, 240.0)), float(np.degrees(np.arcsin(rng.uniform(0.0, np.sin(np.radians(60.0))))))


def _kind(rng: np.random.Generator, log_mass: float, offset: float) -> str:
    """Fractions of kinds: our choice, in the spirit of Galaxy Zoo's (about 4 % mergers, some 8 % edge-on)."""
    roll = rng.random()
    if roll < 0.04:
        return "merger"
    if roll < 0.12:
        return "edge_on"
    if log_mass < 9.5 and roll > 0.45:
        return "irregular"
    if offset < -0.55 and log_mass > 10.0 and roll > 0.5:
        return "elliptical"
    return "spiral"


@lru_cache(maxsize=1)
def _parent() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masses, the cumulative number seen to twice the flux limit's volume, and the farthest z for each mass."""
    mass = np.linspace(8.5, 11.5, 601)
    # A generous luminosity: nothing that could pass the flux limit is left out by the farthest redshift.
    colour = 0.30 + 0.10 * np.clip(mass - 9.0, 0.0, 2.0)
    magnitude = 4.65 - 2.5 * (mass - relations.mass_to_light_r(colour))
    grid = np.linspace(0.001, 0.32, 1200)
    modulus = 5.0 * np.log10(relations.luminosity_distance(grid)) + 25.0
    farthest = np.interp(R_FAINT - magnitude, modulus, grid)
    farthest = np.clip(farthest, Z_MIN + 0.002, 0.25)
    volume = relations.comoving_distance(farthest) ** 3 - relations.comoving_distance(Z_MIN) ** 3
    forming = 0.04 + 0.96 / (1.0 + np.exp((mass - 10.85) / 0.25))
    # A flux-limited survey holds few dwarfs; they are drawn more often here, or O/H would hardly vary.
    dwarfs = 10.0 ** (0.4 * np.clip(10.3 - mass, 0.0, 1.3))
    number = np.cumsum(relations.mass_function(mass) * volume * forming * dwarfs)
    return mass, number / number[-1], farthest


def _mass_and_redshift(rng: np.random.Generator) -> tuple[float, float]:
    mass, number, farthest = _parent()
    log_mass = float(np.interp(rng.random(), number, mass))
    far = float(np.interp(log_mass, mass, farthest))
    near3, far3 = (float(relations.comoving_distance(z)) ** 3 for z in (Z_MIN, far))
    distance = (near3 + rng.random() * (far3 - near3)) ** (1.0 / 3.0)
    grid = np.linspace(0.0, 0.26, 261)
    return log_mass, float(np.interp(distance, relations.comoving_distance(grid), grid))
