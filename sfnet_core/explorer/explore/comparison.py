"""Two galaxies, or two selections, contribution by contribution."""

from __future__ import annotations

import numpy as np

from sfnet_core.analysis.contribution_differences import compare
from sfnet_core.explorer.explore.table_pane import TablePane, bars, buttons, galaxies, heading, line
from sfnet_core.explorer.shared.header import MINUS, signed
from sfnet_core.explorer.shared.state import unpack_rows

__all__ = ["Comparison"]

DIGITS = 4


class Comparison(TablePane):
    """The galaxy in focus beside the pinned one; the selection beside the kept one."""

    tab = "compare"
    observes = frozenset(
        {"tab", "galaxy", "pinned", "selection", "kept", "off", "mode", "target", "k", "feature", "labels"}
    )

    def __init__(self, scene, state, pictures, notify, label):
        actions = {
            "pin": lambda _m: state.change(pinned=state.galaxy),
            "unpin": lambda _m: state.change(pinned=-1),
            "keep": lambda _m: state.change(kept=state.selection),
            "drop": lambda _m: state.change(kept=b""),
        }
        super().__init__(scene, state, pictures, notify, label, actions)

    def compose(self) -> list[dict]:
        """The two comparisons, each with how to get it where it is not there."""
        return [*self._galaxies(), *self._selections()]

    def _galaxies(self) -> list[dict]:
        state = self._state
        out = [heading("Two galaxies")]
        if state.pinned < 0:
            out.append(line("Pin the galaxy in focus, then choose another one to see why their predictions differ."))
            return [*out, buttons(("pin the galaxy in focus", "pin", "Keep it as the second of the pair"))]
        named = [(row, what) for row, what in ((state.galaxy, "in focus"), (state.pinned, "pinned")) if row >= 0]
        pair, codes = [row for row, _ in named], self._scene.codes
        items = [(row, f"{what} · {codes.split[row]}".rstrip(" ·")) for row, what in named]
        out.append(galaxies([(str(codes.ids[row]), self._pictures.jpeg(row), words) for row, words in items]))
        out.append(
            buttons(("unpin", "unpin", "Forget the pinned galaxy"), ("pin the one in focus", "pin", "Pin it instead"))
        )
        if len(pair) == 2 and pair[0] != pair[1]:
            out += self._difference(np.array(pair[:1]), np.array(pair[1:]), "in focus − pinned")
        else:
            out.append(line("Choose another galaxy: this one is pinned."))
        return out

    def _selections(self) -> list[dict]:
        state = self._state
        chosen, kept = unpack_rows(state.selection), unpack_rows(state.kept)
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
            return [*out, *self._difference(chosen, kept, f"{self._of(chosen, 'selected')} − {self._of(kept, 'kept')}")]
        return [*out, line(f"{len(kept):,} galaxies are kept; select others to compare with them.")]

    def _of(self, rows: np.ndarray, what: str) -> str:
        """How many galaxies, and of which splits: '22 selected (validation)'."""
        splits = [str(s) for s in np.unique(self._scene.codes.split[rows]) if s]
        return f"{len(rows):,} {what} ({', '.join(splits)})" if splits else f"{len(rows):,} {what}"

    def _difference(self, a: np.ndarray, b: np.ndarray, words: str) -> list[dict]:
        state, unit = self._state, self._scene.unit(self._state.target)
        found = compare(self._scene.codes, a, b, target=state.target, off=state.off, mode=state.mode)
        texts = [text.replace("-", MINUS) if text.startswith("-") else f"+{text}" for text in found.texts(DIGITS)]
        labels = [self._label(int(f)) for f in found.feature]
        total = signed(found.total, DIGITS)
        rows = bars(
            [*labels, "sum"], [*found.difference, found.total], [*texts, f"{total} {unit}"], [*found.feature, -1]
        )
        means = f"{found.prediction_a:.{DIGITS}f} − {found.prediction_b:.{DIGITS}f} = {total} {unit}"
        return [line(f"Prediction{'s, means' if max(len(a), len(b)) > 1 else ''}: {words}: {means}"), rows]
