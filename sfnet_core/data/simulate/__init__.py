"""A simulated survey: which galaxies it sees, their light, their cutouts."""
