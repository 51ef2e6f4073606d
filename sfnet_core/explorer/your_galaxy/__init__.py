"""One galaxy of the visitor's own beside the galaxies of a codes file: decomposed, compared, checked for likeness."""
