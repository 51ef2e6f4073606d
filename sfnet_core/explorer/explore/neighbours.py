"""Galaxies like the one in focus: by code (the features they share) and by catalogue."""

from __future__ import annotations

import numpy as np

from sfnet_core.analysis.neighbours import code_norms, nearest_by_catalogue, nearest_by_code, shared_features
from sfnet_core.explorer.explore.table_pane import TablePane, galaxies, heading, line
from sfnet_core.explorer.shared.query import Query, cached
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.utils.errors import SFNetError

__all__ = ["Neighbours"]

SHOWN = 8


@cached("k", keep=1)
def norms_of(scene: Scene, query: Query) -> np.ndarray:
    """Lengths of all codes behind the query's gate."""
    return code_norms(scene.gated(query))


class Neighbours(TablePane):
    """The nearest galaxies in view, by code and by mass, SFR and redshift."""

    tab = "near"

    def compose(self, query: Query) -> list[dict]:
        """Two rows of pictures, each with what makes them near."""
        scene = self.context.scene
        if query.galaxy < 0:
            return [heading("Neighbours"), line("Choose a galaxy: those most like it are shown here.")]
        within = scene.view(query)
        where = f"among {len(within):,} galaxies, {query.where}"
        return [*self._by_code(query, within, where), *self._by_catalogue(query, within, where)]

    def _name(self, query: Query) -> str:
        return self.context.scene.target_label(query.target)

    def _value(self, query: Query, row: int) -> str:
        truth = float(self.context.scene.truth(query.target)[row])
        unit = self.context.scene.unit(query.target)
        if np.isfinite(truth):
            return f"{truth:.2f} {unit}".strip()
        return f"predicted {self.context.scene.prediction_of(query, row):.2f} {unit}".strip()

    def _item(self, query: Query, row: int, words: str) -> tuple[str, bytes, str]:
        identifier, jpeg = str(self.context.scene.codes.ids[row]), self.context.pictures.jpeg(row)
        return identifier, jpeg, f"{self._value(query, row)} · {words}"

    def _by_code(self, query: Query, within: np.ndarray, where: str) -> list[dict]:
        scene, row = self.context.scene, query.galaxy
        codes, norms, names = scene.gated(query), norms_of(scene, query), self.context.labels.names(query)
        found = nearest_by_code(codes, row, SHOWN, within=within, norms=norms)
        out = [
            heading("By code"),
            line(f"True {self._name(query)}, cosine of the activations, features shared; {where}."),
        ]
        if not len(found.rows):
            return [*out, line("No other galaxy here shares a feature with this one.")]
        items = []
        for other, cosine in zip(found.rows.tolist(), found.cosine.tolist(), strict=True):
            shared = ", ".join(names[int(f)] for f in shared_features(codes, row, other))
            items.append(self._item(query, other, f"{cosine:.2f}: {shared}"))
        return [*out, galaxies(items)]

    def _by_catalogue(self, query: Query, within: np.ndarray, where: str) -> list[dict]:
        out = [heading("By catalogue")]
        try:
            found = nearest_by_catalogue(self.context.scene.codes, query.galaxy, SHOWN, within=within)
        except SFNetError as error:
            return [*out, line(str(error))]
        columns = ", ".join(found.columns)
        out.append(line(f"True {self._name(query)}, distance in {columns}, each in its standard deviation; {where}."))
        return [
            *out,
            galaxies(
                [self._item(query, int(r), f"{d:.2f} σ") for r, d in zip(found.rows, found.distance, strict=True)]
            ),
        ]
