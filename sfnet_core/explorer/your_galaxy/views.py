"""The page's own views: its head, what the visitor brings, what the checks say, and the nearest galaxies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sfnet_core.analysis.neighbours import nearest_to_code
from sfnet_core.explorer.shared.context import Context, Pane
from sfnet_core.explorer.shared.inspector import Inspector
from sfnet_core.explorer.shared.page_header import PageHeader
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.shared.view import View, front_end, source, text
from sfnet_core.explorer.your_galaxy.checks import Check, Training
from sfnet_core.explorer.your_galaxy.engine import Engine
from sfnet_core.explorer.your_galaxy.galaxy import GalaxyQuery
from sfnet_core.utils.subsample import evenly

__all__ = ["Checks", "GalaxyHeader", "GalaxyInspector", "Inputs", "Neighbours"]

NEIGHBOURS = 24
ORDERS = {"cosine": "cosine of the codes", "shared": "shared features"}


class GalaxyHeader(PageHeader):
    """Title, provenance, split, the one-line answer (``sf-status``), messages (``sf-notice``)."""

    _esm = front_end("shared/keys", "your_galaxy/keys", "shared/page_head", "your_galaxy/head")
    _css = "\n".join(source(name) for name in ("shared/explorer.css", "your_galaxy/your_galaxy.css"))

    def __init__(
        self,
        scene: Scene,
        state: State,
        *,
        title: str,
        facts: list[str],
        open_link: Callable[[str], None],
        set_theme: Callable[[bool], None],
    ):
        self._status = ""
        super().__init__(
            scene,
            state,
            title,
            facts,
            open_link,
            {
                "split": lambda m: state.change(split=text(m, "split")),
                "target": lambda m: state.change(target=int(text(m, "target", 6)), map="sum"),
                "theme": lambda m: set_theme(m["dark"] is True),
            },
        )

    def draw(self, query: str | None = None, status: str | None = None) -> None:
        """Send what the head shows; ``query`` is the permalink, ``status`` the answer in one line."""
        self._status = self._status if status is None else status
        self.data = self.shared(query) | {"status": self._status}


class Inputs(View):
    """Where the visitor brings a galaxy: an image, a path or an identifier; and a folder for a codes file."""

    _esm = front_end("your_galaxy/inputs")
    with_buffers = frozenset({"image"})


class Checks(Pane):
    """Does it look like the training data? One line per question (``sf-check`` with ``data-state``)."""

    _esm = front_end("your_galaxy/checks")

    def __init__(self, context: Context, training: Training, engine: Engine):
        self._training, self._engine = training, engine
        super().__init__(context, {})

    def show(self, query: GalaxyQuery) -> dict:
        """The answers; none where there is no galaxy yet."""
        checks: list[Check] = []
        if query.shown is not None:
            name = self.context.labels.names(query).__getitem__
            checks = self._training.checks(query.shown, self._engine.trained, query.target, name)
        return {
            "checks": [check.as_dict() for check in checks],
            "empty": query.shown is None,
            "warnings": sum(check.state == "warn" for check in checks),
            "trained": self._training.name,
        }


class Neighbours(Pane):
    """The nearest galaxies by code (``sf-galaxy`` with ``data-id``); galaxies to try where there is none in focus."""

    _esm = front_end("your_galaxy/near")

    def __init__(self, context: Context, open_row: Callable[[int], None]):
        super().__init__(
            context,
            {
                "focus": lambda m: open_row(self.row(text(m, "id"))),
                "order": lambda m: context.state.change(sort=self._order(text(m, "by"))),
            },
        )

    def _order(self, by: str) -> str:
        if by not in ORDERS:
            raise ValueError("there is no such order")
        return by

    def show(self, query: GalaxyQuery) -> dict:
        """The neighbours of the galaxy in focus."""
        scene, codes, galaxy = self.context.scene, self.context.scene.codes, query.shown
        by = query.sort if query.sort in ORDERS else "cosine"
        if galaxy is None:
            rows = scene.rows(query.split)
            rows = rows[evenly(len(rows), NEIGHBOURS)]
            likeness = [""] * len(rows)
        else:
            found = nearest_to_code(codes, galaxy.features, galaxy.activations, NEIGHBOURS, by=by, skip=galaxy.row)
            rows, own = found.rows, int((galaxy.features >= 0).sum())
            likeness = [f"{c:.4f} · {s} of {own}" for c, s in zip(found.cosine, found.shared, strict=True)]
        prediction, truth = codes.prediction(query.target), codes.truth(query.target)
        return {
            "galaxies": [
                {
                    "id": str(codes.ids[row]),
                    "jpeg": self.context.pictures.jpeg(int(row)),
                    "likeness": words,
                    "prediction": f"{prediction[row]:.3f}",
                    "truth": f"{truth[row]:.3f}" if np.isfinite(truth[row]) else "–",
                    "split": str(codes.split[row]) or "–",
                }
                for row, words in zip(rows, likeness, strict=True)
            ],
            "near": galaxy is not None,
            "by": by,
            "orders": [[key, label] for key, label in ORDERS.items()],
            "n": scene.n,
            "unit": scene.unit(query.target),
            "label": scene.target_label(query.target),
            "why": self.context.pictures.why,
        }


class OnePicture:
    """The galaxy's picture in the form that the inspector asks for."""

    def __init__(self, rgb: np.ndarray | None, why: str):
        self._rgb, self.why = rgb, "" if rgb is not None else why
        self.size = None if rgb is None else tuple(rgb.shape[:2])

    def jpeg(self, _row: int) -> bytes:
        """The picture as JPEG; empty where there is none."""
        if self._rgb is None:
            return b""
        from sfnet_core.data.cutouts import encode_jpeg

        return encode_jpeg(np.ascontiguousarray(self._rgb), quality=94)


class GalaxyInspector(Inspector):
    """The explorer's inspector, of the galaxy that this page is about."""

    among_others = annotated = False
    empty = "Choose an image on the left, type an identifier, or try one of the galaxies below."

    def __init__(self, context: Context, training: Training):
        self._training = training
        super().__init__(context)

    def show(self, query: GalaxyQuery) -> dict:
        """The galaxy, as the inspector shows the one of a table with this galaxy alone."""
        galaxy = query.shown
        if galaxy is None:
            return {"shown": True, "id": "", "empty": self.empty}
        pictures = OnePicture(galaxy.rgb, self.context.pictures.why)
        context = replace(self.context, scene=galaxy.scene, pictures=pictures)
        names = ("target", "map", "sky", "feature", "labels")
        alone = Query(galaxy=0, k=galaxy.codes.k, **{name: getattr(query, name) for name in names})
        data, place = self.galaxy(context, alone), self._training.margin_place(galaxy)
        facts = [
            [name, f"{value}, {place}" if name.startswith("margin") and place else value, *hint]
            for name, value, *hint in data["facts"]
        ]
        return {**data, "id": galaxy.name, "scale": galaxy.scale, "facts": facts}
