"""What is special about the selected galaxies, beside the rest of the galaxies in view; and their export."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sfnet_core.analysis.ds9 import caption, export_selection
from sfnet_core.analysis.enrichment import bpt_mix, enrichment, medians
from sfnet_core.astro.axis_labels import COLUMN_LABELS
from sfnet_core.astro.galaxy_classes import CLASSES
from sfnet_core.explorer.explore.table_pane import TablePane, buttons, heading, line, table
from sfnet_core.explorer.shared.context import Context
from sfnet_core.explorer.shared.quantities import format_value, signed
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.state import unpack_rows
from sfnet_core.explorer.shared.view import text

__all__ = ["Selection"]

SHOWN = 12  # features in the table
FORMATS = {
    "csv": ("CSV", "text/csv"),
    "ecsv": ("ECSV", "text/plain"),
    "vot": ("VOTable", "application/x-votable+xml"),
    "fits": ("FITS", "application/fits"),
    "parquet": ("Parquet", "application/vnd.apache.parquet"),
    "reg": ("DS9 regions", "text/plain"),
}
OF_THE_NETWORK = {"prediction": "predictions", "residual": "residuals", "margin": "margins"}


def short(value: float) -> str:
    """Two significant digits, without an exponent as far as that reads well."""
    if not 1e-4 <= value < 1e5:
        return f"{value:.0e}"
    digits = 4 if value < 0.01 else 2 if value < 1 else 1 if value < 10 else 0
    return f"{float(f'{value:.2g}'):,.{digits}f}"


class Selection(TablePane):
    """Features enriched or depleted in the selection, its BPT mix, its medians, its export."""

    tab = "selection"

    def __init__(self, context: Context, origin: Callable[[bytes], tuple[str, str] | None] = lambda _selection: None):
        """``origin`` knows the quantities of the plot that a selection was drawn in."""
        self._origin = origin
        actions = {f"save-{suffix}": (lambda m, suffix=suffix: self.save(suffix, m)) for suffix in FORMATS}
        super().__init__(context, actions | {"save-caption": self._save_caption})

    def compose(self, query: Query) -> list[dict]:
        """Tables for the selection and the rest, or what to do to have one."""
        scene, chosen = self.context.scene, unpack_rows(query.selection)
        within = scene.view(query)
        rest = len(np.setdiff1d(within, chosen, assume_unique=True))
        if not len(chosen):
            return [
                heading("Selection"),
                line("Draw a lasso or a box in a plot: its galaxies are compared with the rest."),
            ]
        out = [heading(f"{len(chosen):,} selected galaxies beside {rest:,} others, {query.where}")]
        if rest:
            out += self._features(query, chosen, within)
            out += [*self._mix(query, chosen, within), *self._medians(chosen, within)]
        else:
            out.append(line("All galaxies in view are selected: there is no rest to compare with."))
        words = [(name, f"save-{suffix}", f"Save the selection as {name}") for suffix, (name, _) in FORMATS.items()]
        words.append(("caption", "save-caption", "Save what the selection is of and where it comes from, as text"))
        note = []
        if scene.codes.ra is None or scene.codes.dec is None:
            words = [word for word in words if word[1] != "save-reg"]
            note = [line("No DS9 regions: these galaxies have no RA and Dec.")]
        return [*out, heading("Save the selection"), buttons(*words), *note]

    def _circular(self, query: Query) -> list[dict]:
        """What enrichment can't say where the selection was drawn on what the network made of the galaxies."""
        keys = self._origin(query.selection)
        if keys is None:
            words = (
                "Drawn on an activation, a prediction or a residual, a selection has its features more or less often "
                "because of how it was drawn: that is not a finding."
            )
        elif "activation" in keys:
            words = (
                "This selection was drawn on a feature's activation: that this feature, and those that fire with it, "
                "are more or less frequent here follows from that."
            )
        elif drawn := [OF_THE_NETWORK[key] for key in keys if key in OF_THE_NETWORK]:
            words = (
                f"This selection was drawn on the network's {' and '.join(drawn)}, which are made of these features: "
                "part of this enrichment follows from that."
            )
        else:
            return []
        return [line(words)]

    def _features(self, query: Query, chosen: np.ndarray, within: np.ndarray) -> list[dict]:
        found = enrichment(self.context.scene.gated(query), chosen, within=within, target=query.target)
        unit, names = self.context.scene.unit(query.target), self.context.labels.names(query)
        rows = [
            (
                names[int(found["feature"][i])],
                f"{100 * found['rate'][i]:.0f} / {100 * found['rate_rest'][i]:.0f}",
                f"{short(found['odds'][i])} [{short(found['low'][i])}, {short(found['high'][i])}]",
                f"{found['q'][i]:.3f}" if found["q"][i] >= 0.001 else "<0.001",
                signed(found["contribution"][i], 3),
            )
            for i in range(min(SHOWN, len(found["feature"])))
        ]
        columns = ("feature", "% here / rest", "odds ratio [95 %]", "q", f"Δ [{unit}]")
        note = (
            "% of galaxies on which it fires, in the selection and in the rest; odds ratio of firing, 95 % interval; "
            "q: false discovery rate (Benjamini–Hochberg); Δ: mean contribution here minus in the rest."
        )
        return [table(columns, rows, found["feature"][: len(rows)]), line(note), *self._circular(query)]

    def _mix(self, query: Query, chosen: np.ndarray, within: np.ndarray) -> list[dict]:
        mixes = bpt_mix(self.context.scene.gated(query), chosen, within=within)
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
        found = medians(self.context.scene.codes, chosen, within=within)
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

    def caption(self, place: str = "") -> str:
        """What the selection is of, a fact a line; ``place``: the page's address in the browser."""
        scene, query = self.context.scene, self.context.state.query
        chosen = unpack_rows(query.selection)
        keys = self._origin(query.selection)
        drawn = [] if keys is None else [" and ".join(scene.quantities[key].label for key in keys)]
        return caption(
            scene.codes,
            n=len(chosen),
            split=query.split,
            what=f"Selection of {len(chosen):,} of {len(scene.view(query)):,} galaxies",
            filter=query.filter,
            more=[f"Drawn in the plot of {words}" for words in drawn],
            link=self.context.link(place),
        )

    def save(self, suffix: str, message: dict | None = None) -> None:
        """Have the browser save the selected galaxies' codes as a table, or their places as DS9 regions."""
        chosen = unpack_rows(self.context.state.selection)
        if suffix not in FORMATS or not len(chosen):
            raise ValueError("there is no selection to save")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"selection.{suffix}"
            codes = self.context.scene.gated(self.context.state.query)
            export_selection(codes, chosen, path, comment=self.caption(_place(message)))
            self.download(f"sfnet-selection-{len(chosen)}.{suffix}", FORMATS[suffix][1], path.read_bytes())

    def _save_caption(self, message: dict) -> None:
        n = len(unpack_rows(self.context.state.selection))
        if not n:
            raise ValueError("there is no selection to save")
        words = self.caption(_place(message)) + "\n"
        self.download(f"sfnet-selection-{n}-caption.txt", "text/plain", words.encode("utf-8", "replace"))


def _place(message: dict | None) -> str:
    """The page's address, where the browser gave one."""
    return text(message, "link", 20_000) if message and "link" in message else ""
