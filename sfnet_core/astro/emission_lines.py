"""The paper's four emission lines: their columns in a catalogue, their units, and which measurements count.

Wu (2025) predicts log10 of the fluxes of [NII]λ6584, Hα, [OIII]λ5007 and Hβ with one network of four outputs, in this
order, from galaxies whose four lines all have S/N > 3 and a flux below 10⁵. Fluxes are in 10⁻¹⁷ erg s⁻¹ cm⁻². Arrays
are (N,) float64; a galaxy without a measurement is NaN.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from sfnet_core.utils.errors import SFNetError

__all__ = [
    "FLUX_UNIT",
    "LABELS",
    "LINES",
    "RATIOS",
    "REASONS",
    "catalogue_name",
    "counted",
    "find_column",
    "flux_of",
    "has_lines",
    "log_flux",
    "missing_column",
    "renamed",
    "to_flux_unit",
    "why_not",
]

#: Target → the column of its flux, as galSpecLine of MPA-JHU (SDSS) names it; the simulated survey does so too.
LINES = {
    "log_N2": "nii_6584_flux",
    "log_Ha": "h_alpha_flux",
    "log_O3": "oiii_5007_flux",
    "log_Hb": "h_beta_flux",
}
LABELS = {
    "log_N2": "log F([NII])",
    "log_Ha": "log F(Hα)",
    "log_O3": "log F([OIII])",
    "log_Hb": "log F(Hβ)",
}
#: The two axes of the BPT diagram as differences of targets.
RATIOS = {"n2_ha": ("log_N2", "log_Ha"), "o3_hb": ("log_O3", "log_Hb")}

FLUX_UNIT = "1e-17 erg/s/cm2"
LARGEST, MIN_SN = 1e5, 3.0

#: Why a flux is no measurement, in the order in which it is asked; place 0: it is one.
REASONS = ("", "not known", "not above 0", "1e5 or more", "without a positive error", "S/N not above 3")

# emissionLinesPort (Portsmouth, Thomas et al. 2013, MNRAS 431, 1383) names the lines by their wavelength in air
_PORTSMOUTH = {
    "log_N2": "flux_nii_6583",
    "log_Ha": "flux_ha_6562",
    "log_O3": "flux_oiii_5006",
    "log_Hb": "flux_hb_4861",
}
_POWER = re.compile(r"^(?:1(?:\.0*)?)?(?:[x*]?10(?:\^|\*\*)?|e)\(?([+-]?\d{1,2})\)?")
_DIGITS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−×", "0123456789--x")
# a flux per area in cgs, without spaces, dots and signs of powers
_CGS = (
    *("erg/s/cm2", "erg/cm2/s", "ergs/s/cm2", "ergs/cm2/s", "erg/(scm2)", "erg/(cm2s)", "erg/(s*cm2)", "erg/(cm2*s)"),
    *("ergs-1cm-2", "ergcm-2s-1", "ergss-1cm-2", "ergscm-2s-1", "erg*s-1*cm-2", "erg*cm-2*s-1"),
)


def catalogue_name(target: str, *, error: bool = False) -> str:
    """The column of a line's flux, or of its error."""
    return f"{LINES[target]}_err" if error else LINES[target]


def find_column(target: str, names: Collection[str], *, error: bool = False) -> str | None:
    """The column among ``names`` that holds a line's flux (or its error); ``None`` where there is none.

    As MPA-JHU's galSpecLine (``h_alpha_flux``, ``h_alpha_flux_err``) or the Portsmouth emissionLinesPort
    (``Flux_Ha_6562``, ``Flux_Ha_6562_Err``) write it, in capitals or not; the exact lower-case name comes first.
    """
    tail = "_err" if error else ""
    lower = {name.strip().lower(): name for name in reversed(list(names))}
    exact = LINES[target] + tail
    if exact in names:
        return exact
    return next((lower[name] for name in (exact, _PORTSMOUTH[target] + tail) if name in lower), None)


def renamed(names: Collection[str]) -> dict[str, str]:
    """Columns that hold line fluxes or their errors under another catalogue's names → the names used here.

    A name that is taken already stays another column's.
    """
    out = {}
    for target in LINES:
        for error in (False, True):
            wanted, found = catalogue_name(target, error=error), find_column(target, names, error=error)
            if found not in (None, wanted):
                out[found] = wanted
    return out


def missing_column(target: str, names: Iterable[str]) -> SFNetError:
    """What to say where a line's flux is asked for and no column holds it."""
    listed = ", ".join(list(names)[:20]) or "none besides the identifier"
    return SFNetError(
        f"No column holds the {LABELS[target][6:-1]} flux that {target} is the logarithm of: it is called "
        f"{LINES[target]} in MPA-JHU's galSpecLine and {_PORTSMOUTH[target]} in emissionLinesPort (capitals do not "
        f"matter); name yours so and pack again. The numbers here are: {listed}."
    )


def to_flux_unit(unit: str) -> float:
    """What fluxes in ``unit`` are multiplied by to be in 10⁻¹⁷ erg s⁻¹ cm⁻²; no unit counts as that one.

    Raises :class:`SFNetError` where the unit is no flux of a line in erg s⁻¹ cm⁻² with a power of ten.
    """
    plain = re.sub(r"</?sup>|[\s·{}]|\.(?!\d)", "", unit.lower().translate(_DIGITS))
    if not plain:
        return 1.0
    exponent = 0
    if power := _POWER.match(plain):
        exponent, plain = int(power[1]), plain[power.end() :].lstrip("*x")
    plain = plain.replace("**", "").replace("^", "")
    if plain not in _CGS:
        raise SFNetError(
            f"Line fluxes in {unit!r} are not understood; give them in {FLUX_UNIT}, or in erg/s/cm2 with another power "
            "of ten, and write that in the table's units."
        )
    return 10.0 ** (exponent + 17)


def why_not(flux: np.ndarray, error: np.ndarray | None = None) -> np.ndarray:
    """(N,) int8: places in :data:`REASONS`, 0 where ``flux`` counts as measured: 0 < flux < 10⁵ and S/N > 3.

    An error that is unknown, 0 or negative marks a line that was not measured (MPA-JHU). Without errors S/N is not
    asked for.
    """
    flux = np.asarray(flux, dtype=np.float64)
    out = np.zeros(flux.shape, dtype=np.int8)
    if error is not None:
        error = np.asarray(error, dtype=np.float64)
        positive = np.isfinite(error) & (error > 0)
        out[positive & ~(flux > MIN_SN * np.where(positive, error, 1.0))] = 5
        out[~positive] = 4
    out[flux >= LARGEST] = 3
    out[flux <= 0] = 2
    out[~np.isfinite(flux)] = 1
    return out


def log_flux(flux: np.ndarray, error: np.ndarray | None = None) -> np.ndarray:
    """log10 of fluxes in 10⁻¹⁷ erg s⁻¹ cm⁻² that count as measured (:func:`why_not`), NaN for the others."""
    flux = np.asarray(flux, dtype=np.float64)
    good = why_not(flux, error) == 0
    return np.log10(flux, where=good, out=np.full(flux.shape, np.nan))


def flux_of(log_value: np.ndarray | float) -> np.ndarray:
    """The flux, in 10⁻¹⁷ erg s⁻¹ cm⁻², of a target's value."""
    return 10.0 ** np.asarray(log_value, dtype=np.float64)


def has_lines(targets: Collection[str]) -> bool:
    """Whether all four lines are among the targets: what a BPT diagram of predictions needs."""
    return set(LINES) <= set(targets)


def counted(reasons: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Target → (N,) places in :data:`REASONS` → how many galaxies each reason leaves out, each galaxy once.

    A galaxy counts for the first target, in the order given, that has a reason.
    """
    out: dict[str, int] = {}
    free = None
    for target, places in reasons.items():
        free = np.ones(len(places), dtype=bool) if free is None else free
        for place in np.unique(places[free & (places > 0)]).tolist():
            out[f"{target} {REASONS[place]}"] = int((free & (places == place)).sum())
        free &= places == 0
    return out
