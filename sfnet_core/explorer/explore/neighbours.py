"""Galaxies like the one in focus: by code (the features they share) and by catalogue."""

from __future__ import annotations

import numpy as np

from sfnet_core.analysis.neighbours import code_norms, nearest_by_catalogue, nearest_by_code, shared_features
from sfnet_core.explorer.explore.table_pane import TablePane, galaxies, heading, line
from sfnet_core.utils.errors import SFNetError

__all__ = ["Neighbours"]

SHOWN = 8


class Neighbours(TablePane):
    """The nearest galaxies in view, by code and by mass, SFR and redshift."""

    tab = "near"
    observes = frozenset({"tab", "galaxy", "split", "filter", "target", "k", "labels"})

    def compose(self) -> list[dict]:
        """Two rows of pictures, each with what makes them near."""
        scene, state = self._scene, self._state
        if state.galaxy < 0:
            return [heading("Neighbours"), line("Choose a galaxy: those most like it are shown here.")]
        within = scene.view(state)
        where = f"among {len(within):,} galaxies, {state.where}"
        return [*self._by_code(within, where), *self._by_catalogue(within, where)]

    def _name(self) -> str:
        return self._scene.target_label(self._state.target)

    def _value(self, row: int) -> str:
        truth = float(self._scene.truth(self._state.target)[row])
        unit = self._scene.unit(self._state.target)
        if np.isfinite(truth):
            return f"{truth:.2f} {unit}".strip()
        return f"predicted {self._scene.prediction_of(self._state, row):.2f} {unit}".strip()

    def _item(self, row: int, words: str) -> tuple[str, bytes, str]:
        return str(self._scene.codes.ids[row]), self._pictures.jpeg(row), f"{self._value(row)} · {words}"

    def _by_code(self, within: np.ndarray, where: str) -> list[dict]:
        codes, row = self._scene.codes, self._state.galaxy
        norms = self._scene.remember(("norms",), lambda: code_norms(codes))
        found = nearest_by_code(codes, row, SHOWN, within=within, norms=norms)
        out = [heading("By code"), line(f"True {self._name()}, cosine of the activations, features shared; {where}.")]
        if not len(found.rows):
            return [*out, line("No other galaxy here shares a feature with this one.")]
        items = []
        for other, cosine in zip(found.rows.tolist(), found.cosine.tolist(), strict=True):
            shared = ", ".join(self._label(int(f)) for f in shared_features(codes, row, other))
            items.append(self._item(other, f"{cosine:.2f}: {shared}"))
        return [*out, galaxies(items)]

    def _by_catalogue(self, within: np.ndarray, where: str) -> list[dict]:
        out = [heading("By catalogue")]
        try:
            found = nearest_by_catalogue(self._scene.codes, self._state.galaxy, SHOWN, within=within)
        except SFNetError as error:
            return [*out, line(str(error))]
        columns = ", ".join(found.columns)
        out.append(line(f"True {self._name()}, distance in {columns}, each in its standard deviation; {where}."))
        return [
            *out,
            galaxies([self._item(int(r), f"{d:.2f} σ") for r, d in zip(found.rows, found.distance, strict=True)]),
        ]
