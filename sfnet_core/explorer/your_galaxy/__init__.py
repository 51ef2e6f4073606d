"""Your galaxy: one galaxy of the visitor's own beside the galaxies of a codes file."""
