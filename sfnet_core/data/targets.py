"""What is to be predicted: catalogue columns as float64, unusable values as NaN, each with its unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.astro.emission_lines import LINES, REASONS, counted, find_column, missing_column, to_flux_unit, why_not
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset

__all__ = ["LINES", "left_out", "read_target", "read_targets", "remarks", "target_names", "without_errors"]

_SENTINELS = (-99.0, -999.0, -9999.0)  # MPA-JHU and others write these for "not measured"
_DEX = ("oh_", "log_", "lgm_", "sfr_tot_", "specsfr_", "ssfr_", "logmass")
_UNKNOWN, _NOT_POSITIVE = REASONS.index("not known"), REASONS.index("not above 0")


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
    (``oh_…``) must be above 0. ``log_X`` without such a column is log10 of ``X`` or ``X_flux``, and
    ``log_N2 log_Ha log_O3 log_Hb`` are those of the paper's lines
    (:func:`sfnet_core.astro.emission_lines.find_column`), in 10⁻¹⁷ erg s⁻¹ cm⁻², with the paper's cuts: above 0, below
    1e5, and more than 3 times a positive ``_err`` where there is such a column.
    """
    values, why = _read(dataset, name)
    values[why > 0] = np.nan
    unit = dataset.units.get(name) or ("dex" if name.lower().startswith(_DEX) else "")
    return values, unit


def read_targets(dataset: Dataset, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Several targets → ((N, T) float64, T units)."""
    columns = [read_target(dataset, name) for name in names]
    return np.stack([values for values, _ in columns], axis=1), [unit for _, unit in columns]


def left_out(dataset: Dataset, names: Sequence[str]) -> dict[str, int]:
    """Why galaxies have no usable value of all ``names`` → how many; each galaxy counts once, for the first reason."""
    return counted({name: _read(dataset, name)[1] for name in names})


def remarks(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """Sentences on the line fluxes among ``names``: how many are no measurement and why, or what is wrong with them."""
    lines = _lines(dataset, names)
    try:
        reasons = left_out(dataset, lines) if lines else {}
    except SFNetError as error:
        return [str(error)]
    out = without_errors(dataset, names)
    if reasons:
        why = ", ".join(f"{reason} ({n:,})" for reason, n in reasons.items())
        out = [f"{sum(reasons.values()):,} of {len(dataset):,} galaxies lack a measurement of a line: {why}.", *out]
    return out


def without_errors(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """A sentence where lines among ``names`` have fluxes without errors, so that the cut in S/N is not made."""
    bare = [name for name in _lines(dataset, names) if find_column(name, dataset.columns, error=True) is None]
    return [f"There are no flux errors for {', '.join(bare)}, so S/N > 3 is not asked for."] if bare else []


def _lines(dataset: Dataset, names: Sequence[str]) -> list[str]:
    """Those of ``names`` that are computed from a column of line fluxes."""
    names = [name for name in names if name in LINES and name not in dataset.columns]
    return [name for name in names if find_column(name, dataset.columns)]


def _read(dataset: Dataset, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A target's (N,) values and (N,) places in ``REASONS`` of why they are unusable."""
    if name in dataset.columns:
        values = _numbers(dataset, name)
        why = np.where(np.isfinite(values) & ~np.isin(values, _SENTINELS), 0, _UNKNOWN).astype(np.int8)
        if name.startswith("oh_"):
            why[(why == 0) & (values <= 0)] = _NOT_POSITIVE
        return values, why
    column, error = _flux_columns(dataset, name)
    scale = to_flux_unit(dataset.units.get(column, "")) if name in LINES else 1.0
    flux = _numbers(dataset, column) * scale
    why = why_not(flux, None if error is None else _numbers(dataset, error) * scale)
    return np.log10(flux, where=why == 0, out=np.full(flux.shape, np.nan)), why


def _flux_columns(dataset: Dataset, name: str) -> tuple[str, str | None]:
    """The columns that ``log_X`` is computed from: a flux and, where there is one, its error."""
    if name in LINES and (column := find_column(name, dataset.columns)) is not None:
        return column, find_column(name, dataset.columns, error=True)
    base = name.removeprefix("log_")
    options = [base, f"{base}_flux"] if name.startswith("log_") else []
    column = next((option for option in options if option in dataset.columns), None)
    if column is None and name in LINES:
        raise missing_column(name, dataset.columns[1:])
    if column is None:
        numeric = ", ".join(dataset.columns[1:21]) or "none beside the identifier"
        raise SFNetError(f"The dataset has no column {name!r} to predict; it has: {numeric}. Choose with --target.")
    return column, f"{column}_err" if f"{column}_err" in dataset.columns else None


def _numbers(dataset: Dataset, name: str) -> np.ndarray:
    values = dataset.column(name)
    if values.dtype.kind not in "biuf":
        raise SFNetError(f"The column {name!r} holds text, not numbers, and cannot be a target. Choose with --target.")
    return values.astype(np.float64)
