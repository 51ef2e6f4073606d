"""Targets and catalogue columns as astronomers write them on an axis."""

from __future__ import annotations

from sfnet_core.astro import emission_lines as lines

__all__ = ["COLUMN_LABELS", "TARGET_LABELS"]

#: Target → label.
TARGET_LABELS = {"oh_p50": "12+log(O/H)", **lines.LABELS}
#: Column → (label, unit).
COLUMN_LABELS = {
    "lgm_tot_p50": ("log stellar mass", "M☉"),
    "sfr_tot_p50": ("log SFR", "M☉/yr"),
    "z": ("redshift z", ""),
    "ra": ("RA", "deg"),
    "dec": ("Dec", "deg"),
}
