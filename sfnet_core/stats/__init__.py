"""Statistics that know of no galaxy: errors of predictions, one bootstrap, proportions, correlations."""
