"""The top of the atlas: whose data and weights, which split, how the features are sorted and searched."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sfnet_core.explorer.atlas.parts import front_end
from sfnet_core.explorer.atlas.saving import Saving, file_name
from sfnet_core.explorer.atlas.state import LEAST, AtlasState
from sfnet_core.explorer.shared.page_header import PageHeader
from sfnet_core.explorer.shared.view import source, text, whole

if TYPE_CHECKING:
    from sfnet_core.analysis.feature_statistics import FeatureStatistics
    from sfnet_core.explorer.shared.scene import Scene

__all__ = ["AtlasHead", "status"]

LEAST_LABELS = {"": "any", "0.001": "≥ 0.1 %", "0.01": "≥ 1 %", "0.1": "≥ 10 %"}


def status(statistics: FeatureStatistics, state: AtlasState) -> str:
    """What the numbers on the page are of, e.g. '32 of 128 features fire · validation · n = 240'."""
    active = len(statistics.table(state.split, state.target)["feature"])
    known, n = statistics.known(state.split, state.target), len(statistics.rows(state.split))
    parts = [f"{active} of {statistics.codes.features} features fire", state.split or "all splits", f"n = {n:,}"]
    if known < n:
        parts.append(f"{known:,} with a true value" if known else "no true values")
    return " · ".join(parts)


class AtlasHead(PageHeader):
    """Title, badge, facts, split, sort, search; the number of features (``sf-status``), messages (``sf-notice``)."""

    _esm = front_end("shared/keys", "atlas/keys", "shared/page_head", "atlas/head")
    _css = "\n".join(source(name) for name in ("shared/explorer.css", "atlas/atlas.css"))

    def __init__(
        self,
        statistics: FeatureStatistics,
        scene: Scene,
        state: AtlasState,
        *,
        title: str,
        facts: list[str],
        open_link: Callable[[str], None],
        make_page: Callable[[Callable[[int, int], None]], bytes] | None = None,
    ):
        """``make_page(progress)`` gives the atlas as one HTML file; without it the page offers none."""
        self._statistics = statistics
        saving = None if make_page is None else Saving(make_page, self.send, file_name(title))
        self._savable = saving is not None
        actions = {}
        if saving is not None:
            actions = {"save-page": lambda _m: saving.begin(), "save-piece": lambda m: saving.piece(whole(m, "from"))}
        super().__init__(
            scene,
            state,
            title,
            facts,
            open_link,
            {
                **actions,
                "split": lambda m: state.change(split=text(m, "split")),
                "target": lambda m: state.change(target=self._target(m)),
                "sort": lambda m: self._sort(text(m, "sort")),
                "order": lambda _m: state.change(descending=not state.descending),
                "find": lambda m: state.change(find=text(m, "find").strip()),
                "least": lambda m: state.change(least=text(m, "least")),
                "view": lambda m: state.change(view=text(m, "view"), feature=-1),
            },
        )

    def _target(self, message: dict) -> int:
        target = whole(message, "target")
        if not 0 <= target < len(self._statistics.codes.targets):
            raise ValueError("there is no such target")
        return target

    def _sort(self, key: str) -> None:
        if key not in self._statistics.sorts():
            raise ValueError("there is no such quantity to sort by")
        self._state.change(sort=key)

    def status(self) -> str:
        """What the numbers on the page are of."""
        return status(self._statistics, self._state)

    def draw(self, query: str | None = None) -> None:
        """Send what the top shows; ``query`` is the state's permalink."""
        codes, state = self._statistics.codes, self._state
        self.data = self.shared(query) | {
            "status": self.status(),
            "warn": bool(np.any(codes.split == "train")) and not state.split,
            "sorts": [[key, label] for key, label in self._statistics.sorts().items()],
            "sort": state.sort,
            "descending": state.descending,
            "find": state.find,
            "leasts": [[key, LEAST_LABELS[key]] for key in LEAST],
            "least": state.least,
            "view": state.view,
            "feature": state.feature,
            "savable": self._savable,
        }
