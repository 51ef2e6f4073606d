"""What is to be predicted: catalogue columns as float64, unusable values as NaN, each with its unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.survey.dataset import Dataset

__all__ = ["LINES", "read_target", "read_targets", "target_names"]

# Wu (2025): one model with four outputs, in this order
LINES = {
    "log_N2": "nii_6584_flux",
    "log_Ha": "h_alpha_flux",
    "log_O3": "oiii_5007_flux",
    "log_Hb": "h_beta_flux",
}
_SENTINELS = (-99.0, -999.0, -9999.0)  # MPA-JHU and others write these for "not measured"
_DEX = ("oh_", "log_", "lgm_", "sfr_tot_", "specsfr_", "ssfr_", "logmass")


def target_names(target: str | Sequence[str]) -> list[str]:
    """``"oh_p50"``, ``"a,b"``, a list, or ``"lines"`` (the paper's four line fluxes) → names, each once."""
    names = target.split(",") if isinstance(target, str) else list(target)
    names = [name.strip() for name in names]
    names = list(LINES) if names == ["lines"] else names
    if not names or not all(names) or len(set(names)) != len(names):
        raise SFNetError(f"Name one or more different target columns, not {target!r}.")
    return names


def read_target(dataset: Dataset, name: str) -> tuple[np.ndarray, str]:
    """One target → ((N,) float64 with NaN where it is unusable, unit).

    A column of that name is taken as it is, without the sentinels −99, −999, −9999 and infinities; 12+log(O/H)
    (``oh_…``) must be above 0. ``log_X`` without such a column is log10 of ``X`` or ``X_flux`` (or of the paper's
    ``log_N2 log_Ha log_O3 log_Hb``), with the paper's cuts: above 0, below 1e5, and more than 3 times its ``_err``
    where there is one.
    """
    if name in dataset.columns:
        values = _numbers(dataset, name)
        values[np.isin(values, _SENTINELS)] = np.nan
        if name.startswith("oh_"):
            values[values <= 0] = np.nan
    else:
        base = name.removeprefix("log_")
        options = [LINES.get(name, ""), base, f"{base}_flux"] if name.startswith("log_") else []
        column = next((option for option in options if option in dataset.columns), None)
        if column is None:
            numeric = ", ".join(dataset.columns[1:21]) or "none beside the identifier"
            raise SFNetError(f"The dataset has no column {name!r} to predict; it has: {numeric}. Choose with --target.")
        flux = _numbers(dataset, column)
        good = (flux > 0) & (flux < 1e5)
        if f"{column}_err" in dataset.columns:
            good &= flux > 3 * _numbers(dataset, f"{column}_err")
        values = np.full(len(flux), np.nan)
        values[good] = np.log10(flux[good])
    values[~np.isfinite(values)] = np.nan
    unit = dataset.units.get(name) or ("dex" if name.lower().startswith(_DEX) else "")
    return values, unit


def read_targets(dataset: Dataset, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Several targets → ((N, T) float64, T units)."""
    columns = [read_target(dataset, name) for name in names]
    return np.stack([values for values, _ in columns], axis=1), [unit for _, unit in columns]


def _numbers(dataset: Dataset, name: str) -> np.ndarray:
    values = dataset.column(name)
    if values.dtype.kind not in "biuf":
        raise SFNetError(f"The column {name!r} holds text, not numbers, and cannot be a target. Choose with --target.")
    return values.astype(np.float64)
