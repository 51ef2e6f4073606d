"""How the error depends on k, as a figure: on the page, in the report."""

from __future__ import annotations

import numpy as np

from sfnet_core.figures.plot import ACCENT, FRAME, Curve, Dots, Drawing, Layer
from sfnet_core.figures.plot_data import padded

__all__ = ["rmse_against_k"]


def rmse_against_k(rmse: list[float], k: int, unit: str, title: str) -> Drawing:
    """The figure of RMSE against k, the k in use marked.

    Parameters
    ----------
    rmse
        RMSE for k = 1, 2, …, in ``unit``.
    k
        The k in use.
    unit
        The target's unit; empty for none.
    title
        Of the figure.
    """
    x, y = np.arange(1.0, len(rmse) + 1), np.array(rmse)
    low, high = padded(y, 0.08)
    layers: list[Layer] = [
        Curve(x, y, colour=FRAME, opacity=1, width=1.6),
        Dots(x, y, "#566575", size=6, name="RMSE"),
        Dots(x[k - 1 : k], y[k - 1 : k], ACCENT, size=10, name=f"k = {k}"),
    ]
    marks = x[:: -(-len(rmse) // 16)].tolist()
    label = f"RMSE [{unit}]" if unit else "RMSE"
    return Drawing(title, "k, features the gate keeps", label, ((0.5, len(rmse) + 0.5), (low, high)), layers, marks)
