"""Galaxies as they come in: catalogues, cutouts, datasets, targets, splits, filters, simulated surveys. No torch."""
