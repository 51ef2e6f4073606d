"""FITS, ECSV and VOTable catalogues through astropy."""

from __future__ import annotations
