"""``sfnet compare``: Table 2 of Wu (2025) for any dataset, as numbers, CSV, figure and page (:func:`compare`).

The verb is loaded when it is asked for: it needs torch, and the modules of tables, fits and words here do not.
"""

from typing import Any

__all__ = ["compare"]


def __getattr__(name: str) -> Any:
    if name != "compare":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sfnet_core.compare.verb import compare

    return compare
