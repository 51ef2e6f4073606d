"""How steady features are over several trainings, as the pages say it: what `sfnet seeds stability` wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfnet_core.analysis.stability.file import FEW, SAME, Score, Stability, read_stability, stability_path
from sfnet_core.annotations.labels import own_labels_path
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from pathlib import Path

    from sfnet_core.codes.table import SparseCodes

__all__ = ["FeatureStability"]

HINT = "Is it the same feature in another training? `sfnet seeds stability CODES OTHER…` measures that, for this place."
LISTED = 4  # counterparts named


class FeatureStability:
    """The scores of one set of codes; false where there are none. ``notes``: sentences to say when a page opens."""

    def __init__(self, found: Stability | None = None, notes: list[str] | None = None):
        self.found, self.notes = found, notes or []
        self._scores = {} if found is None else {one.feature: one for one in found.features}

    @classmethod
    def beside(cls, codes: SparseCodes) -> FeatureStability:
        """From the folder of the labels or from beside the codes; a file that is not of these codes is not shown."""
        notes = []
        for path in _places(codes):
            try:
                found = read_stability(path)
            except SFNetError as error:
                notes.append(f"No feature's stability is shown: {error}")
                continue
            if found.codes.fingerprint == codes.fingerprint:
                return cls(found)
            notes.append(
                f"No feature's stability is shown: {path.name} was measured on codes with another fingerprint "
                f"({found.codes.fingerprint[:8]}; these have {codes.fingerprint[:8]}). "
                "Run `sfnet seeds stability` again."
            )
        return cls(None, notes)

    def __bool__(self) -> bool:
        return self.found is not None

    def rho(self, feature: int) -> float:
        """A feature's mean ρ with its counterparts, to sort by; NaN where it was not measured or is too rare to say."""
        one = self._scores.get(feature)
        return float("nan") if one is None or one.rare else one.rho

    def of(self, feature: int) -> dict[str, Any] | None:
        """What is shown of a feature: its score, the mark of chance, and the words; ``None`` without a file."""
        if self.found is None:
            return None
        one = self._scores.get(feature)
        if one is None:
            return {"rho": None, "words": self._silent()}
        return {
            "rho": one.rho,
            "found": round(one.found * len(self.found.others)),
            "of": len(self.found.others),
            "null": one.null_95,
            "chance": one.by_chance,
            "rare": one.rare,
            "fires": one.fires,
            "words": self._words(one),
        }

    def line(self, feature: int) -> str:
        """The sentence on a feature's page; without a file, how to get one."""
        if self.found is None:
            return HINT
        one = self._scores.get(feature)
        if one is None:
            return self._silent()
        pairs = [
            f"f{number} of {training.name} {rho:.2f}".replace("-", "\N{MINUS SIGN}")
            for rho, number, training in zip(one.each, one.counterpart, self.found.others, strict=True)
            if number >= 0
        ]
        more = f", and {len(pairs) - LISTED} more" if len(pairs) > LISTED else ""
        named = f" Counterparts: {', '.join(pairs[:LISTED])}{more}." if pairs else ""
        return f"{self._words(one)}{named}"

    @property
    def about(self) -> str:
        """Of what the scores are, for a caption; empty without a file."""
        if self.found is None:
            return ""
        rare = any(one.rare for one in self.found.features)
        few = f"; “too rare”: fires on fewer than {FEW} of these, so that ρ means nothing" if rare else ""
        return f"stability: mean ρ with its counterparts in {self._others()}, {self._of()}{few}"

    @property
    def summary(self) -> str:
        """All features in sentences; empty without a file."""
        found = self.found
        if found is None:
            return ""
        return (
            f"Mean best correlation of the features with their counterparts in {self._others()}: {found.mean:.2f}, "
            f"with shuffled galaxies {found.null_mean:.2f} (95 % below {found.null_95:.2f}); {self._of()}. "
            f"{found.sentence} {found.choice}"
        ).rstrip()

    def _others(self) -> str:
        others = len(self.found.others)
        return f"{others} other training{'s' * (others > 1)}"

    def _of(self) -> str:
        return f"n = {self.found.n:,}, {self.found.split or 'all splits'}"

    def _words(self, one: Score) -> str:
        """A score in words."""
        others = len(self.found.others)
        several, times = others > 1, round(one.found * others)
        found = "No better than with shuffled galaxies in" if one.by_chance else "Stability in"
        if one.rare:
            found = f"Too rare to judge: it fires on {one.fires} of these galaxies, fewer than {FEW}. Measured in"
        words = (
            f"{found} {self._others()}: {'mean ' * several}ρ {one.rho:.2f} with its counterpart"
            f"{f's, lowest {one.lowest:.2f}' if several else ''}; above {SAME} in {times} of {others}; "
            f"shuffled galaxies give {one.null_mean:.2f}, 95 % below {one.null_95:.2f} ({self._of()})."
        )
        return words.replace("-", "\N{MINUS SIGN}")

    def _silent(self) -> str:
        return f"Stability not measured: it fires on none of the galaxies that were compared ({self._of()})."


def _places(codes: SparseCodes) -> list[Path]:
    """Where a file may be, the user's own folder first; only those that are there."""
    if codes.path is None:
        return []
    labels = own_labels_path(codes)
    places = [*([stability_path(labels.with_name(codes.path.name))] if labels else []), stability_path(codes.path)]
    return [path for path in dict.fromkeys(places) if path.exists()]
