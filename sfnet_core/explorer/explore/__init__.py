"""The explorer: browse galaxies, switch features off, read plots and pictures together."""
