"""What a filter may name of codes: the catalogue's columns, and features, predictions, residuals beside them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.astro.bpt import bpt_class
from sfnet_core.astro.emission_lines import RATIOS, has_lines
from sfnet_core.astro.galaxy_classes import CLASSES, class_index
from sfnet_core.codes.novelty import COLUMNS as UNLIKE
from sfnet_core.codes.sums import activations
from sfnet_core.data.filters.names import Names, UnknownName, Values, Words

if TYPE_CHECKING:
    from sfnet_core.codes.table import SparseCodes

__all__ = ["FEATURE", "CodeNames"]

FEATURE = re.compile(r"([fc])([0-9]{1,5})", re.IGNORECASE)
KEPT = 24  # features whose activations stay in memory
SPLITS = ("train", "validation", "test")
NUMBERS = frozenset({"residual", "truth", "prediction", "margin", "ra", "dec", *UNLIKE})


class CodeNames(Names):
    """The names of one set of codes and their (N,) values.

    Beside those of :class:`~sfnet_core.data.filters.names.Names`: ``truth``, ``prediction``, ``residual``
    (prediction − truth) in the target's unit, ``margin``, ``unlike`` (the training galaxies; 1 is the limit),
    ``unlike_distance``, ``unlike_range``, ``split``, ``ra``, ``dec`` (deg), ``n2_ha_predicted``, ``o3_hb_predicted``
    and ``bpt_predicted`` where the network predicts the four lines, ``f61`` the activation of feature 61 (0 where the
    gate does not keep it), ``c61`` its contribution in the target's unit, and the target's own name.

    Parameters
    ----------
    codes
        The galaxies.
    target
        Number of the target that ``truth``, ``prediction``, ``residual`` and contributions are of.
    given
        As of :class:`~sfnet_core.data.filters.names.Names`; ``prediction`` given changes ``residual`` with it.
    """

    def __init__(
        self, codes: SparseCodes, *, target: int = 0, given: Mapping[str, Callable[[], Any]] | None = None
    ) -> None:
        super().__init__(codes, given=given)
        self.codes, self.target = codes, codes.target_index(target)
        self._features: dict[int, np.ndarray] = {}

    @property
    def position(self) -> tuple[np.ndarray, np.ndarray] | None:
        """RA and Dec, (N,) deg each; ``None`` where they are not known."""
        ra, dec = self.codes.ra, self.codes.dec
        return None if ra is None or dec is None else (ra, dec)

    def _offered(self) -> dict[str, Callable[[], Values]]:
        codes, t = self.codes, self.target
        own: dict[str, Callable[[], Values]] = {
            "residual": self._residual,
            "truth": lambda: codes.truth(t),
            "prediction": lambda: codes.prediction(t),
            "margin": lambda: codes.margin,
            "id": lambda: self.ids,
            "split": self._split,
        }
        if codes.unlike is not None:
            own |= {name: lambda name=name: codes.column(name) for name in UNLIKE}
        if self.position is not None:
            own |= {"ra": lambda: codes.ra, "dec": lambda: codes.dec}
        own |= super()._offered()
        if has_lines(codes.targets):
            own |= {f"{name}_predicted": lambda name=name: self._predicted_ratio(name) for name in RATIOS}
            own["bpt_predicted"] = self._bpt_predicted
        target = codes.targets[t]
        if target not in codes.columns:
            own.setdefault(target, own["truth"])
        return own

    def _split(self) -> Words:
        place = np.full(len(self), -1, dtype=np.int8)
        for i, name in enumerate(SPLITS):
            place[self.codes.in_split(name)] = i
        return Words(place, SPLITS)

    def _residual(self) -> np.ndarray:
        return self.values("prediction") - self.values("truth")

    def _predicted_ratio(self, name: str) -> np.ndarray:
        """(N,) predicted log10([NII]λ6584/Hα) or log10([OIII]λ5007/Hβ), all features on."""
        top, bottom = RATIOS[name]
        return self.codes.prediction(top) - self.codes.prediction(bottom)

    def _bpt_predicted(self) -> Words:
        return Words(class_index(bpt_class(*map(self._predicted_ratio, RATIOS))), CLASSES)

    @cached_property
    def active(self) -> list[int]:
        """Features that the gate keeps anywhere, the most frequent first."""
        kept = self.codes.indices[:, : self.codes.k]
        fires = np.bincount(kept[kept >= 0].astype(np.int64), minlength=self.codes.features)
        order = np.argsort(-fires, kind="stable")
        return order[fires[order] > 0].tolist()

    def words(self) -> list[str]:
        """Every name as it is written in a filter; for completion, so the active features only, activations and then
        contributions last."""
        return list(dict.fromkeys([*super().words(), *(f"{kind}{j}" for kind in "fc" for j in self.active)]))

    # -- features ----------------------------------------------------------------------------------------------

    def _means_more(self, name: str) -> bool:
        return bool(FEATURE.fullmatch(name))

    def resolve(self, text: str, column: bool = False) -> str:
        """As :meth:`Names.resolve <sfnet_core.data.filters.names.Names.resolve>`; ``f61`` and ``c61`` too."""
        match = None if column or text in self._named else FEATURE.fullmatch(text)
        if match is None or (int(match[2]) >= self.codes.features and text in self.codes.columns):
            return super().resolve(text, column)
        if int(match[2]) >= self.codes.features:
            raise UnknownName(f"There is no feature {int(match[2])}; they go from 0 to {self.codes.features - 1}")
        return f"{match[1].lower()}{int(match[2])}"

    def values(self, name: str) -> Values:
        """(N,) numbers, flags or texts of a name from :meth:`resolve`."""
        if name in self._given or not (name == "residual" or FEATURE.fullmatch(name)):
            return super().values(name)
        if name == "residual":  # never kept: a prediction that is given may be another each time
            return self._residual()
        feature = int(name[1:])
        if feature not in self._features:
            if len(self._features) >= KEPT:
                del self._features[next(iter(self._features))]
            self._features[feature] = activations(self.codes, feature)
        found = self._features[feature]
        return found if name[0] == "f" else found * self.codes.weight[self.target, feature]

    def is_feature(self, name: str) -> bool:
        """Whether a resolved name is an activation such as ``f61``, which alone says that the feature fires."""
        return name[:1] == "f" and self._means_more(name) and name not in self._given

    def kind(self, name: str) -> str:
        """``number``, ``flag`` or ``text``."""
        if self._means_more(name) or name in NUMBERS:
            return "number"
        return "text" if name == "split" and name not in self._given else super().kind(name)

    def closed(self, name: str) -> bool:
        """Whether a text name can have only its :meth:`choices`, so that any other text is a slip of the pen."""
        return name in ("bpt", "bpt_predicted", "split") and name not in self._given
