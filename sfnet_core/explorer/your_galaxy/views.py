"""The page's own views: its head, what the visitor brings, what the checks say, and the nearest galaxies."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.analysis.neighbours import nearest_to_code
from sfnet_core.explorer.shared.inspector import Inspector
from sfnet_core.explorer.shared.page_header import PageHeader
from sfnet_core.explorer.shared.state import State
from sfnet_core.explorer.shared.view import View, front_end, source, text
from sfnet_core.utils.subsample import evenly

if TYPE_CHECKING:
    from sfnet_core.data.pictures import Pictures
    from sfnet_core.explorer.shared.scene import Scene
    from sfnet_core.explorer.your_galaxy.checks import Check
    from sfnet_core.explorer.your_galaxy.galaxy import Galaxy

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


class Checks(View):
    """Does it look like the training data? One line per question (``sf-check`` with ``data-state``)."""

    _esm = front_end("your_galaxy/checks")

    def draw(self, checks: list[Check] | None, trained: str = "") -> None:
        """Send the answers; ``None`` where there is no galaxy yet."""
        warnings = [c for c in checks or [] if c.state == "warn"]
        self.data = {
            "checks": [c.as_dict() for c in checks or []],
            "empty": checks is None,
            "warnings": len(warnings),
            "trained": trained,
        }


class Neighbours(View):
    """The nearest galaxies by code (``sf-galaxy`` with ``data-id``); galaxies to try where there is none in focus."""

    _esm = front_end("your_galaxy/near")

    def __init__(
        self,
        scene: Scene,
        state: State,
        pictures: Pictures,
        notify: Callable[[str], None],
        open_row: Callable[[int], None],
    ):
        self._scene, self._state, self._pictures, self._open = scene, state, pictures, open_row
        super().__init__(
            notify,
            {
                "focus": lambda m: self._focus(text(m, "id")),
                "order": lambda m: state.change(sort=self._order(text(m, "by"))),
            },
        )

    def _focus(self, identifier: str) -> None:
        row = self._scene.row_of(identifier)
        if row is None:
            raise ValueError("that galaxy is not in the table")
        self._open(row)

    def _order(self, by: str) -> str:
        if by not in ORDERS:
            raise ValueError("there is no such order")
        return by

    def draw(self, galaxy: Galaxy | None) -> None:
        """Send the neighbours of the galaxy in focus."""
        scene, state, codes = self._scene, self._state, self._scene.codes
        by = state.sort if state.sort in ORDERS else "cosine"
        if galaxy is None:
            rows = scene.rows(state.split)
            rows = rows[evenly(len(rows), NEIGHBOURS)]
            likeness = [""] * len(rows)
        else:
            found = nearest_to_code(codes, galaxy.features, galaxy.activations, NEIGHBOURS, by=by, skip=galaxy.row)
            rows, own = found.rows, int((galaxy.features >= 0).sum())
            likeness = [f"{c:.4f} · {s} of {own}" for c, s in zip(found.cosine, found.shared, strict=True)]
        prediction, truth = codes.prediction(state.target), codes.truth(state.target)
        self.data = {
            "galaxies": [
                {
                    "id": str(codes.ids[row]),
                    "jpeg": self._pictures.jpeg(int(row)),
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
            "unit": scene.unit(state.target),
            "label": scene.target_label(state.target),
            "why": self._pictures.why,
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

    among_others = False
    empty = "Bring an image on the left, type an identifier, or try one of the galaxies below."

    def __init__(
        self, scene: Scene, state: State, pictures: Pictures, notify: Callable[[str], None], label: Callable[[int], str]
    ):
        self._page_state, self._why = state, pictures.why
        super().__init__(scene, state, pictures, notify, label)

    def show(self, galaxy: Galaxy | None, margin: str = "") -> None:
        """Draw ``galaxy``; ``margin`` says where its margin stands."""
        if galaxy is None:
            self.data = {"shown": True, "id": "", "empty": self.empty}
            return
        page, codes = self._page_state, galaxy.codes
        state = State(codes.features, 1, galaxy.scene.splits, len(codes.targets), k=codes.k)
        state.change(galaxy=0, target=page.target, map=page.map, sky=page.sky, feature=page.feature)
        self._scene, self._state = galaxy.scene, state
        self._pictures = OnePicture(galaxy.rgb, self._why)
        with self.hold_sync():
            self.draw()
            facts = [
                [name, f"{value}, {margin}" if name.startswith("margin") and margin else value, *hint]
                for name, value, *hint in self.data["facts"]
            ]
            self.data = {**self.data, "id": galaxy.name, "scale": galaxy.scale, "facts": facts}
