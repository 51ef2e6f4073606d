"""What is to be predicted: catalogue columns as float64, unusable values as NaN, each with its unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.astro.emission_lines import LINES, REASONS, counted, find_column, missing_column, to_flux_unit, why_not
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from sfnet_core.data.dataset import Dataset

__all__ = ["LINES", "Targets", "read_targets", "target_names"]

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


@dataclass(frozen=True)
class Targets:
    """What is to be predicted for N galaxies, read once.

    Attributes
    ----------
    names : T targets
    values : (N, T) float64, NaN where a value is unusable
    units : one for each target, ``""`` where it has none
    places : target → (N,) places in :data:`sfnet_core.astro.emission_lines.REASONS`, 0 where the value is usable
    remarks : sentences for the user: lines whose S/N can't be asked for, targets that the dataset lacks
    lines : those of ``names`` that are computed from a column of line fluxes
    """

    names: list[str]
    values: np.ndarray
    units: list[str]
    places: dict[str, np.ndarray]
    remarks: list[str]
    lines: list[str]

    @property
    def usable(self) -> np.ndarray:
        """(N,) bool: every target is known."""
        return np.isfinite(self.values).all(axis=1)

    @property
    def reasons(self) -> dict[str, int]:
        """Why galaxies have no usable value of all targets → how many; each galaxy counts once, for the first."""
        return counted(self.places)

    @property
    def lacking_lines(self) -> list[str]:
        """A sentence where galaxies lack a measurement of a line: how many, and why."""
        reasons = counted({name: self.places[name] for name in self.lines})
        if not reasons:
            return []
        why = ", ".join(f"{reason} ({n:,})" for reason, n in reasons.items())
        return [f"{sum(reasons.values()):,} of {len(self.values):,} galaxies lack a measurement of a line: {why}."]


def read_targets(dataset: Dataset, target: str | Sequence[str], *, absent: bool = False) -> Targets:
    """Read the columns to be predicted.

    A column of a target's name is taken as it is, without the sentinels −99, −999, −9999 and infinities; 12+log(O/H)
    (``oh_…``) must be above 0. ``log_X`` without such a column is log10 of ``X`` or ``X_flux``, and
    ``log_N2 log_Ha log_O3 log_Hb`` are those of the paper's lines
    (:func:`sfnet_core.astro.emission_lines.find_column`), in 10⁻¹⁷ erg s⁻¹ cm⁻², with the paper's cuts: above 0, below
    1e5, and more than 3 times a positive ``_err`` where there is such a column.

    Parameters
    ----------
    dataset : where the columns are
    target : as :func:`target_names` takes it
    absent : leave out a target that the dataset lacks, with a remark; otherwise it is refused

    Returns
    -------
    Targets
        The targets that were read.

    Raises
    ------
    SFNetError
        Where a column is missing, holds text or has a unit that is not understood (unless ``absent``).
    """
    names, values, places, remarks = [], [], {}, []
    for name in target_names(target):
        try:
            column, why = _read(dataset, name)
        except SFNetError as error:
            if not absent:
                raise
            remarks.append(f"The dataset has no usable column for {name}: there is no truth to compare with.")
            remarks += [str(error)] if _is_line(dataset, name) else []  # its flux is there, in another unit, say
            continue
        column[why > 0] = np.nan
        names.append(name)
        values.append(column)
        places[name] = why
    lines = [name for name in names if _is_line(dataset, name)]
    bare = [name for name in lines if find_column(name, dataset.columns, error=True) is None]
    remarks += [f"There are no flux errors for {', '.join(bare)}, so S/N > 3 is not required."] if bare else []
    units = [dataset.units.get(name) or ("dex" if name.lower().startswith(_DEX) else "") for name in names]
    table = np.stack(values, axis=1) if values else np.empty((len(dataset), 0))
    return Targets(names, table, units, places, remarks, lines)


def _is_line(dataset: Dataset, name: str) -> bool:
    """Whether a target is computed from a column of line fluxes."""
    return name in LINES and name not in dataset.columns and find_column(name, dataset.columns) is not None


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
