"""What is special about the selected galaxies, beside the rest of the galaxies in view; and their export."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from sfnet_core.explorer.header import signed
from sfnet_core.explorer.quantities import COLUMN_LABELS, format_value
from sfnet_core.explorer.report import Report, buttons, heading, line, table
from sfnet_core.explorer.state import unpack_rows
from sfnet_core.selection import CLASSES, bpt_mix, enrichment, medians

__all__ = ["Special"]

SHOWN = 12  # features in the table
FORMATS = {
    "csv": ("CSV", "text/csv"),
    "ecsv": ("ECSV", "text/plain"),
    "vot": ("VOTable", "application/x-votable+xml"),
    "fits": ("FITS", "application/fits"),
    "parquet": ("Parquet", "application/vnd.apache.parquet"),
}


def short(value: float) -> str:
    """Two significant digits, without an exponent as far as that reads well."""
    if not 1e-4 <= value < 1e5:
        return f"{value:.0e}"
    digits = 4 if value < 0.01 else 2 if value < 1 else 1 if value < 10 else 0
    return f"{float(f'{value:.2g}'):,.{digits}f}"


class Special(Report):
    """Features enriched or depleted in the selection, its BPT mix, its medians, its export."""

    tab = "selection"
    observes = frozenset({"tab", "selection", "split", "target", "k", "feature", "filter"})

    def __init__(self, scene, state, pictures, notify, label):
        actions = {f"save-{suffix}": (lambda _m, suffix=suffix: self.save(suffix)) for suffix in FORMATS}
        super().__init__(scene, state, pictures, notify, label, actions)

    def rows(self) -> np.ndarray:
        """The selected rows."""
        return unpack_rows(self._state.selection)

    def compose(self) -> list[dict]:
        """Tables for the selection and the rest, or what to do to have one."""
        scene, state, chosen = self._scene, self._state, self.rows()
        within = scene.view(state)
        rest = len(np.setdiff1d(within, chosen, assume_unique=True))
        if not len(chosen):
            return [
                heading("Selection"),
                line("Draw a lasso or a box in a plot: its galaxies are compared with the rest."),
            ]
        out = [heading(f"{len(chosen):,} selected galaxies beside {rest:,} others, {state.split or 'all splits'}")]
        if rest:
            out += [*self._features(chosen, within), *self._mix(chosen, within), *self._medians(chosen, within)]
        else:
            out.append(line("All galaxies in view are selected: there is no rest to compare with."))
        words = [(name, f"save-{suffix}", f"Save the selection as {name}") for suffix, (name, _) in FORMATS.items()]
        return [*out, heading("Save the selection"), buttons(*words)]

    def _features(self, chosen: np.ndarray, within: np.ndarray) -> list[dict]:
        found = enrichment(self._scene.codes, chosen, within=within, target=self._state.target)
        unit = self._scene.unit(self._state.target)
        rows = [
            (
                self._label(int(found["feature"][i])),
                f"{100 * found['rate'][i]:.0f} / {100 * found['rate_rest'][i]:.0f}",
                f"{short(found['odds'][i])} [{short(found['low'][i])}, {short(found['high'][i])}]",
                f"{found['q'][i]:.3f}" if found["q"][i] >= 0.001 else "<0.001",
                signed(found["contribution"][i], 3),
            )
            for i in range(min(SHOWN, len(found["feature"])))
        ]
        columns = ("feature", "% here / rest", "odds ratio [95 %]", "q", f"Δ [{unit}]")
        note = (
            "% of galaxies on which it fires, selected and rest; odds ratio of firing with its 95 % interval; q: false "
            "discovery rate (Benjamini–Hochberg); Δ: mean contribution here minus in the rest."
        )
        return [table(columns, rows, found["feature"][: len(rows)]), line(note)]

    def _mix(self, chosen: np.ndarray, within: np.ndarray) -> list[dict]:
        mixes = bpt_mix(self._scene.codes, chosen, within=within)
        if mixes is None:
            return []

        def share(mix, i: int) -> str:
            if not mix.classified:
                return "–"
            return f"{100 * mix.share[i]:.0f} % [{100 * mix.low[i]:.0f}, {100 * mix.high[i]:.0f}]"

        rows = [(name, *(share(mix, i) for mix in mixes)) for i, name in enumerate(CLASSES)]
        here, rest = mixes
        columns = ("BPT class", f"here, n = {here.classified:,}", f"rest, n = {rest.classified:,}")
        return [table(columns, rows)]

    def _medians(self, chosen: np.ndarray, within: np.ndarray) -> list[dict]:
        found = medians(self._scene.codes, chosen, within=within)
        rows = []
        for i, name in enumerate(found["column"]):
            label, unit = COLUMN_LABELS.get(name, (name, found["unit"][i]))
            here, rest = (
                f"{format_value(found[f'median{part}'][i])} "
                f"[{format_value(found[f'low{part}'][i])}, {format_value(found[f'high{part}'][i])}]"
                for part in ("", "_rest")
            )
            rows.append((f"{label} [{unit}]" if unit else label, here, rest))
        return [table(("median [95 %]", "here", "rest"), rows)] if rows else []

    def save(self, suffix: str) -> None:
        """Have the browser save the selected galaxies' codes as a table."""
        from sfnet_core.export import export

        chosen = self.rows()
        if suffix not in FORMATS or not len(chosen):
            raise ValueError("there is no selection to save")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"selection.{suffix}"
            export(self._scene.codes.take(chosen), path)
            self.download(f"sfnet-selection-{len(chosen)}.{suffix}", FORMATS[suffix][1], path.read_bytes())
