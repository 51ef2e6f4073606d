"""The atlas's page: one state, the views that observe it, and what opens first."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets

from sfnet_core.analysis.feature_statistics import FeatureStatistics
from sfnet_core.analysis.stability.summary import FeatureStability
from sfnet_core.data.pictures import Pictures
from sfnet_core.explorer.atlas.common import AtlasState
from sfnet_core.explorer.atlas.feature_page import FeaturePage
from sfnet_core.explorer.atlas.overview import AtlasHead, CardGrid, Tables
from sfnet_core.explorer.shared.label_editor import LabelEditor
from sfnet_core.explorer.shared.notes import NoteStrip
from sfnet_core.explorer.shared.opening import Sentence, facts, open_codes, or_sentence, show
from sfnet_core.explorer.shared.scene import Scene
from sfnet_core.explorer.shared.state import LABELS

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes
    from sfnet_core.data.dataset import Dataset

__all__ = ["Atlas", "atlas"]

# The atlas's own choices: a link may carry the explorer's too (features off, a selection), which mean nothing here.
OWN = frozenset({"split", "target", "feature", "view", "sort", "descending", "find", "least", "against", "seed"})


class Atlas:
    """The atlas over one codes file; every control is also here in Python (``page.state.change(feature=61)``).

    Parameters
    ----------
    codes
        What inference gave.
    dataset
        The cutouts behind the codes; without it the page works, without pictures.
    title
        What stands at the top of the page.
    """

    def __init__(
        self, codes: SparseCodes, dataset: Dataset | None = None, *, title: str = "", notes: list[str] | None = None
    ):
        self.codes, self._dataset, self._title, self._notes = codes, dataset, title, notes or []
        self.scene = Scene(codes)
        self.statistics = FeatureStatistics(codes, FeatureStability.beside(codes))
        slots = codes.indices.shape[1]
        self.state = AtlasState(codes.features, len(codes), self.scene.splits, len(codes.targets), slots, k=codes.k)
        split = "validation" if "validation" in self.scene.splits else ""
        against = "truth" if "truth" in self.scene.quantities else "prediction"
        self.state.change(split=split, sort="contribution", against=against)
        self.state.forget()
        self._defaults = self.state.values()
        self.naming = LabelEditor(codes, self.state)
        pictures = Pictures(codes, dataset)
        self.head = AtlasHead(
            self.statistics,
            self.scene,
            self.state,
            title=title or "SFNet atlas",
            facts=facts(codes),
            open_link=self.open_link,
            make_page=self._page,
        )
        say = self.head.notify
        self.strip = NoteStrip(self.state, self.naming, say)
        self.card_grid = CardGrid(self.statistics, self.state, pictures, say, self.label, self.naming.star)
        self.feature = FeaturePage(self.statistics, self.scene, self.state, pictures, say, self.label)
        self.tables = Tables(self.statistics, self.state, say, self.label)
        self.state.on_change(self._draw)
        self._draw(None)
        for note in [*(notes or []), *self.naming.opening(), *self.statistics.stability.notes]:
            say(note)
        self.widget = ipywidgets.VBox([self.head, self.strip, self.card_grid, self.feature, self.tables])
        for name in ("sf-root", "sf-atlas"):
            self.widget.add_class(name)

    def label(self, feature: int) -> str:
        """A feature's name on the page: its number, and its label where it has one."""
        return self.naming.label(feature)

    def open_link(self, query: str) -> None:
        """Read a permalink's query; what does not hold is said in a notice, and the page opens without it.

        What the link does not name goes back to how the page opens: the link is the whole state.
        """
        choices, troubles = self.state.from_url(query, self.scene.row_of)
        choices = {name: value for name, value in choices.items() if name in OWN}
        for key, known in (("sort", self.statistics.sorts()), ("against", self.scene.quantities)):
            if choices.get(key, next(iter(known))) not in known:
                troubles.append(f"The link's “{key}” was left out: there is no {choices.pop(key)!r} here.")
        self.head.follow({**self._defaults, **choices}, troubles, undoable=True)

    def save_page(self, out: str | os.PathLike, **how: Any) -> Path:
        """Write this atlas, of the split and target in view, to one HTML file that needs no server; see
        :func:`sfnet_core.explorer.atlas.saved.save_page`."""
        from sfnet_core.explorer.atlas.saved import save_page

        save_page(self.codes, out, self._dataset, **{**self._how(), **how})
        return Path(out)

    def _page(self, progress: Callable[[int, int], None]) -> bytes:
        """The bytes of that file."""
        from sfnet_core.explorer.atlas.saved import write_page
        from sfnet_core.explorer.atlas.sending import PageBuffer, file_name

        page = PageBuffer()
        name = file_name(self._title or "SFNet atlas")
        write_page(self.codes, page, self._dataset, progress=progress, name=name, **self._how())
        return page.getvalue().encode("utf-8")

    def _how(self) -> dict[str, Any]:
        from sfnet_core.explorer.atlas.saved import Choices

        choices = Choices(split=self.state.split, target=self.state.target)
        return {"choices": choices, "naming": self.naming, "title": self._title, "notes": self._notes}

    @property
    def query(self) -> str:
        """The permalink's query of the present state."""
        return self.state.to_url(self.codes.ids, self._defaults)

    def _draw(self, changed: frozenset[str] | None) -> None:
        """Bring every view up to the state; only what the change touches is sent."""
        if changed is not None and self.naming.refresh():  # another page wrote meanwhile
            changed |= LABELS
        self.head.draw(self.query)
        listed = {"split", "target", "sort", "descending", "find", "least", "view", "feature", *LABELS}
        if changed is None or changed & listed:
            self.card_grid.draw()
            self.tables.draw()
        self.strip.draw()
        self.feature.draw(changed)

    def _ipython_display_(self) -> None:
        show(self.widget)


def atlas(codes: Any = None, dataset: Any = None, *, allow_mismatch: bool = False) -> Atlas | Sentence:
    """The atlas of a codes file and, for the pictures, its dataset; without arguments what ``sfnet explore`` was given.

    ``codes`` and ``dataset`` are paths or open objects. Where neither is given and the environment names none
    (``SFNET_CODES``, ``SFNET_DATASET``), the page opens on the embedded simulated sample.

    Raises :class:`~sfnet_core.utils.errors.SFNetError` where the dataset is not the one that the codes were made from.
    """

    def make() -> Atlas:
        opened = open_codes(codes, dataset, allow_mismatch=allow_mismatch)
        title = f"{opened.title} · atlas" if opened.title else ""
        return Atlas(opened.codes, opened.dataset, title=title, notes=opened.notes)

    return or_sentence(make)
