"""Arithmetic on codes: what features do, how good predictions are, what is special about galaxies."""
