"""Two galaxies, or two selections, contribution by contribution."""

from __future__ import annotations

import numpy as np

from sfnet_core.analysis.contribution_differences import compare
from sfnet_core.explorer.explore.table_pane import TablePane, bars, buttons, galaxies, heading, line
from sfnet_core.explorer.shared.context import Context
from sfnet_core.explorer.shared.quantities import MINUS, signed
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.state import unpack_rows

__all__ = ["Comparison"]

DIGITS = 4


class Comparison(TablePane):
    """The galaxy in focus beside the pinned one; the selection beside the kept one."""

    tab = "compare"

    def __init__(self, context: Context):
        state = context.state
        actions = {
            "pin": lambda _m: state.change(pinned=state.galaxy),
            "unpin": lambda _m: state.change(pinned=-1),
            "keep": lambda _m: state.change(pinned_selection=state.selection),
            "drop": lambda _m: state.change(pinned_selection=b""),
        }
        super().__init__(context, actions)

    def compose(self, query: Query) -> list[dict]:
        """The two comparisons, each with how to get it where it is not there."""
        return [*self._galaxies(query), *self._selections(query)]

    def _galaxies(self, query: Query) -> list[dict]:
        out = [heading("Two galaxies")]
        if query.pinned < 0:
            out.append(line("Pin the galaxy in focus, then choose another one to see why their predictions differ."))
            return [*out, buttons(("pin the galaxy in focus", "pin", "Use it as the second of the pair"))]
        named = [(row, what) for row, what in ((query.galaxy, "in focus"), (query.pinned, "pinned")) if row >= 0]
        pair, codes = [row for row, _ in named], self.context.scene.codes
        items = [(row, f"{what} · {codes.split[row]}".rstrip(" ·")) for row, what in named]
        out.append(galaxies([(str(codes.ids[row]), self.context.pictures.jpeg(row), words) for row, words in items]))
        out.append(
            buttons(("unpin", "unpin", "Forget the pinned galaxy"), ("pin the one in focus", "pin", "Pin it instead"))
        )
        if len(pair) == 2 and pair[0] != pair[1]:
            out += self._difference(query, np.array(pair[:1]), np.array(pair[1:]), "in focus − pinned")
        else:
            out.append(line("Choose another galaxy: this one is pinned."))
        return out

    def _selections(self, query: Query) -> list[dict]:
        chosen, kept = unpack_rows(query.selection), unpack_rows(query.pinned_selection)
        out = [heading("Two selections")]
        if not len(kept):
            out.append(line("Select galaxies, keep that selection, then select others."))
            return (
                [*out, buttons(("keep this selection", "keep", "Keep it as the second group"))] if len(chosen) else out
            )
        out.append(
            buttons(("drop the kept one", "drop", "Forget it"), ("keep this selection", "keep", "Keep it instead"))
        )
        if len(chosen) and not np.array_equal(chosen, kept):
            words = f"{self._of(chosen, 'selected')} − {self._of(kept, 'kept')}"
            return [*out, *self._difference(query, chosen, kept, words)]
        return [*out, line(f"{len(kept):,} galaxies are kept; select others to compare with them.")]

    def _of(self, rows: np.ndarray, what: str) -> str:
        """How many galaxies, and of which splits: '22 selected (validation)'."""
        splits = [str(s) for s in np.unique(self.context.scene.codes.split[rows]) if s]
        return f"{len(rows):,} {what} ({', '.join(splits)})" if splits else f"{len(rows):,} {what}"

    def _difference(self, query: Query, a: np.ndarray, b: np.ndarray, words: str) -> list[dict]:
        scene, names = self.context.scene, self.context.labels.names(query)
        unit = scene.unit(query.target)
        found = compare(scene.gated(query), a, b, target=query.target, off=query.off, mode=query.mode)
        texts = [text.replace("-", MINUS) if text.startswith("-") else f"+{text}" for text in found.texts(DIGITS)]
        labels = [names[int(f)] for f in found.feature]
        total = signed(found.total, DIGITS)
        rows = bars(
            [*labels, "sum"], [*found.difference, found.total], [*texts, f"{total} {unit}"], [*found.feature, -1]
        )
        means = f"{found.prediction_a:.{DIGITS}f} − {found.prediction_b:.{DIGITS}f} = {total} {unit}"
        return [line(f"Prediction{'s, means' if max(len(a), len(b)) > 1 else ''}: {words}: {means}"), rows]
