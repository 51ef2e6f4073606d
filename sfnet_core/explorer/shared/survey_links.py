"""Plain links from a galaxy to the survey viewers and databases that show the same place on the sky."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import numpy as np

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["survey_links"]

USUAL_FIELD = 42.0  # arcsec, where the size of the cutouts is not recorded
VIEW = 512  # pixels of a viewer that a cutout should fill


def survey_links(codes: SparseCodes, row: int, width: int | None = None) -> list[list[str]]:
    """[name, address, what it shows] of one galaxy; [] where it is simulated or its position is not known.

    ``width`` is a cutout's width in pixels; with the codes' pixel scale the viewers open on the field of the cutout.
    Legacy Survey: its zoom levels are those of a Mercator map, 360 deg over 256·2^zoom pixels; SDSS: arcsec per pixel.
    """
    if codes.simulated or codes.ra is None or codes.dec is None:
        return []
    ra, dec = float(codes.ra[row]), float(codes.dec[row])
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return []
    scale = codes.provenance.get("pixel_scale")
    field = float(scale) * width if scale and width else USUAL_FIELD  # arcsec
    zoom = min(16, max(5, round(math.log2(360 * 3600 * VIEW / (256 * field) * math.cos(math.radians(dec)) + 1e-9))))
    here = {"ra": f"{ra:.6f}", "dec": f"{dec:.6f}"}
    legacy = {**here, "layer": "ls-dr10", "zoom": zoom, "mark": f"{ra:.6f},{dec:.6f}"}
    sdss = {"opt": "G", **here, "scale": f"{max(field / VIEW, 0.05):.3f}"}
    simbad = {"Coord": f"{ra:.6f} {dec:+.6f}", "CooFrame": "ICRS", "Radius": 10, "Radius.unit": "arcsec"}
    return [
        ["Legacy Survey", f"https://www.legacysurvey.org/viewer?{urlencode(legacy, safe=',')}", "its sky viewer, here"],
        ["SDSS", f"https://skyserver.sdss.org/dr18/VisualTools/navi?{urlencode(sdss)}", "its sky viewer, here"],
        [
            "SIMBAD",
            f"https://simbad.cds.unistra.fr/simbad/sim-coo?{urlencode(simbad, quote_via=quote)}",
            "objects within 10″",
        ],
    ]
