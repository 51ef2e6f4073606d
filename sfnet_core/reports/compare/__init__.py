"""``sfnet compare``: Table 2 of Wu (2025) for any dataset, as numbers, CSV, figure and page."""
