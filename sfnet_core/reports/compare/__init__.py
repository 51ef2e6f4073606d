"""``sfnet compare``: Table 2 of Wu (2025) for any dataset, as numbers, CSV, figure and page (:func:`compare`).

The verb is loaded when it is asked for: it needs torch, and the modules of tables, fits and words here do not.
"""
