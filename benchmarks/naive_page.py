"""The page one would write first, as a yardstick: every galaxy is a point, every toggle sends all of them again.

Served by ``bench_page.py`` in a notebook of one call. ``SFNET_NAIVE`` says who recomputes: ``numpy`` sums the kept
terms, ``torch`` gates a dense N × F matrix of activations anew, as the paper's notebooks hold them.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import ipywidgets
import numpy as np
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from jupyter_bokeh.widgets import BokehModel

from sfnet_core.analysis.interpret import activations, feature_table
from sfnet_core.astro.bpt import log_ratio
from sfnet_core.codes.table import SparseCodes

SWITCHES = 16


def by_numpy(codes: SparseCodes) -> Callable[[set[int]], np.ndarray]:
    """off → (N,) predictions from the stored codes, all of them."""
    indices, values, weight = codes.indices[:, : codes.k], codes.values[:, : codes.k], codes.weight[0]

    def predict(off: set[int]) -> np.ndarray:
        on = (indices >= 0) & ~np.isin(indices, list(off))
        return codes.bias[0] + (weight[indices] * values * on).sum(axis=1)

    return predict


def by_torch(codes: SparseCodes) -> Callable[[set[int]], np.ndarray]:
    """off → (N,) predictions from the dense matrix: top-k, switch off, linear head."""
    import torch

    dense = torch.zeros(len(codes), codes.features)
    for slot in range(codes.indices.shape[1]):
        rows = np.flatnonzero(codes.indices[:, slot] >= 0)
        dense[torch.from_numpy(rows), torch.from_numpy(codes.indices[rows, slot].astype(np.int64))] = torch.from_numpy(
            np.ascontiguousarray(codes.values[rows, slot])
        )
    weight = torch.from_numpy(codes.weight[0]).float()

    def predict(off: set[int]) -> np.ndarray:
        values, indices = torch.topk(dense, codes.k, dim=1)
        kept = torch.zeros_like(dense).scatter(1, indices, values)
        kept[:, list(off)] = 0
        return (kept @ weight + float(codes.bias[0])).double().numpy()

    return predict


def show() -> None:
    """Display the page of the codes in ``SFNET_CODES``."""
    from IPython.display import display

    codes = SparseCodes.open(os.environ["SFNET_CODES"])
    predict = {"numpy": by_numpy, "torch": by_torch}[os.environ.get("SFNET_NAIVE", "numpy")](codes)
    truth, features = codes.truth(), feature_table(codes)["feature"][:SWITCHES].tolist()
    mass, first = codes.column("lgm_tot_p50"), activations(codes, features[0])
    n2 = log_ratio(codes.column("nii_6584_flux"), codes.column("h_alpha_flux"))
    o3 = log_ratio(codes.column("oiii_5007_flux"), codes.column("h_beta_flux"))

    def columns(off: set[int]) -> dict[str, np.ndarray]:
        now = predict(off)
        return {"truth": truth, "prediction": now, "mass": mass, "activation": first, "n2": n2, "o3": o3}

    source = ColumnDataSource(columns(set()))
    figures = []
    for x, y in (("truth", "activation"), ("truth", "prediction"), ("mass", "truth"), ("n2", "o3")):
        figures.append(figure(width=420, height=300, tools="pan,wheel_zoom,lasso_select", output_backend="canvas"))
        figures[-1].scatter(x, y, source=source, size=5, fill_alpha=0.45, line_color=None)
    status = ipywidgets.Label(value="all features on")
    status.add_class("sf-status")
    switches = {f: ipywidgets.ToggleButton(value=True, description=f"f{f}") for f in features}

    def update(_change: dict) -> None:
        off = {f for f, switch in switches.items() if not switch.value}
        source.data = columns(off)
        residual = source.data["prediction"] - truth
        status.value = f"RMSE {np.sqrt(np.mean(residual**2)):.6f} dex, {len(off)} off"

    for feature, switch in switches.items():
        switch.add_class(f"sf-switch-{feature}")
        switch.observe(update, "value")
    plots = BokehModel(gridplot([figures[:2], figures[2:]]))
    page = ipywidgets.VBox([status, ipywidgets.HBox(list(switches.values())), plots])
    page.add_class("sf-page")
    plots.add_class("sf-plots")
    display(page)
