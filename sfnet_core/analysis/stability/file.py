"""What was measured of a set of codes against other trainings: the document, where it lies, and how it is read.

The file stands beside the codes as ``CODES.stability.json``. It holds for the codes whose fingerprint it names and for
no others. It is read with suspicion, because it may come from anywhere: sizes, types and ranges are checked, texts are
cut to plain letters.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from sfnet_core.utils.documents import Count, file_bytes, json_object, read_document
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import write_text

__all__ = ["SAME", "Score", "Stability", "Training", "read_stability", "stability_path", "write_stability"]

KIND, SCHEMA = "sfnet stability", 2
SAME = 0.9  # a matched pair above this is called the same feature
FEW = 10  # galaxies: of a feature that fires on fewer, no correlation says whether it came back
MOST_BYTES = 16 << 20
MOST_FEATURES, MOST_OTHERS, MOST_TEXT = 1 << 15, 200, 300
LISTED = 8  # features named in the sentence

HAIR = 1e-6  # by the rounding of sums a correlation or a share may be this much beyond 1
Correlation = Annotated[float, Meta(ge=-1 - HAIR, le=1 + HAIR)]
Share = Annotated[float, Meta(ge=-HAIR, le=1 + HAIR)]
Seed = Annotated[int, Meta(ge=-(1 << 53), le=1 << 53)]


def _plain(text: str) -> str:
    """Without control characters and marks that turn the text after them, and not too long for a page."""
    return "".join(filter(str.isprintable, text[:MOST_TEXT]))


@dataclass(frozen=True)
class Training:
    """One of the trainings: name of its codes file, fingerprints of codes and run, seed where it is recorded.

    ``active``: its features that fire on the galaxies measured. ``agreement``: the mean of their ρ with their
    counterparts in all the other trainings, each counted as often as it fires, with a 95 % interval from ``low`` to
    ``high``; ``tied``: it is the most stable or can't be told apart from that one
    (:mod:`sfnet_core.analysis.stability.choice`). ``same``: the share of (feature, other training) with ρ above 0.9.
    All are ``None`` where there are only two trainings.
    """

    name: str
    fingerprint: str
    run: str
    seed: Seed | None
    active: Count
    agreement: Correlation | None
    low: Correlation | None
    high: Correlation | None
    tied: bool | None
    same: Correlation | None

    def __post_init__(self) -> None:
        for name in ("name", "fingerprint", "run"):
            object.__setattr__(self, name, _plain(getattr(self, name)))


@dataclass(frozen=True)
class Score:
    """How well one feature is found again.

    ``rho``: mean ρ with its counterparts over the other trainings, 0 where it has none; ``lowest`` of them; ``each`` of
    them, with the ``counterpart``'s number (-1: none); ``found``: share of the others in which ρ is above 0.9.
    ``null_mean``, ``null_95``: what shuffled galaxies give for ``rho``, mean and 95th percentile; ``chance``: how often
    they give as much or more, counted as (1 + times) / (1 + shuffles). ``fires``, ``rate``: on how many, and on which
    share, of the galaxies measured it fires.
    """

    feature: Annotated[int, Meta(ge=0, le=MOST_FEATURES)]
    rho: Correlation
    lowest: Correlation
    found: Share
    null_mean: Correlation
    null_95: Correlation
    chance: Share
    fires: Count
    rate: Share
    each: Annotated[tuple[Correlation, ...], Meta(max_length=MOST_OTHERS)]
    counterpart: Annotated[tuple[Annotated[int, Meta(ge=-1, le=MOST_FEATURES)], ...], Meta(max_length=MOST_OTHERS)]

    @property
    def by_chance(self) -> bool:
        """Whether shuffled galaxies do as well in one of 20 shuffles or more."""
        return self.rho <= self.null_95

    @property
    def rare(self) -> bool:
        """Whether it fires on too few galaxies to say anything, however high its ρ."""
        return self.fires < FEW

    @property
    def doubt(self) -> str:
        """Why its ρ says nothing, in words; empty where it does."""
        if self.rare:
            return f"too rare to judge: fires on {self.fires}"
        return "no better than shuffled" if self.by_chance else ""


@dataclass(frozen=True)
class Stability:
    """A set of codes against other trainings on the same galaxies; ``features`` by falling ``rho``.

    ``n`` galaxies of ``split`` (``''``: of all); ``mean``: of the features' ρ, with what shuffled galaxies give;
    ``same``: share of (feature, other training) with ρ above 0.9; ``overlap``: of the spaces of activations, mean over
    the others (:class:`sfnet_core.analysis.stability.matching.Match`).
    """

    codes: Training
    others: Annotated[tuple[Training, ...], Meta(min_length=1, max_length=MOST_OTHERS)]
    n: Count
    split: str
    permutations: Count
    seed: Seed
    mean: Correlation
    null_mean: Correlation
    null_95: Correlation
    same: Share
    overlap: Correlation
    overlap_null: Correlation
    features: Annotated[tuple[Score, ...], Meta(max_length=MOST_FEATURES)]
    notes: Annotated[tuple[str, ...], Meta(max_length=50)]

    def __post_init__(self) -> None:
        if any(not len(one.each) == len(one.counterpart) == len(self.others) for one in self.features):
            raise ValueError("`features`: one has not one value of `each` and `counterpart` for each of the `others`")
        if len({one.feature for one in self.features}) < len(self.features):
            raise ValueError("`features` names a feature twice")
        object.__setattr__(self, "split", _plain(self.split))
        object.__setattr__(self, "notes", tuple(map(_plain, self.notes)))

    @property
    def most_stable(self) -> Training | None:
        """Of three trainings or more the one that agrees best with the rest."""
        known = [one for one in (self.codes, *self.others) if one.agreement is not None]
        return max(known, key=lambda one: one.agreement) if len(known) == len(self.others) + 1 > 2 else None

    @property
    def choice(self) -> str:
        """The most stable training, and those that can't be told apart from it, in words; empty for two trainings."""
        best = self.most_stable
        if best is None:
            return ""
        of = f"Of the {len(self.others) + 1} trainings {best.name} agrees best with the rest"
        if best.low is not None and best.high is not None:
            of += f" ({best.agreement:.2f}, 95 %: {best.low:.2f} to {best.high:.2f})"
        tied = [one.name for one in (self.codes, *self.others) if one.tied and one is not best]
        if not tied:
            return f"{of}; the others agree less, by more than chance."
        if len(tied) == len(self.others):
            return f"{of}, but no other can be told apart from it: a tie of all."
        more = ", …" if len(tied) > LISTED else ""
        return f"{of}; not told apart from it: {', '.join(tied[:LISTED])}{more}."

    @property
    def sentence(self) -> str:
        """What is not stable, in words."""
        others = len(self.others)
        there = "the other training" if others == 1 else f"any of the {others} other trainings"
        everywhere = "the other training" if others == 1 else f"each of the {others} other trainings"
        judged = [one for one in self.features if not one.rare]
        rare = len(self.features) - len(judged)
        lost = [one for one in judged if one.found == 0]
        partly = sum(0 < one.found < 1 for one in judged)
        weak = [one.feature for one in judged if one.by_chance]
        few = f"{rare} more fire on fewer than {FEW}: too rare to judge." if rare else ""
        which = f"features that fire on at least {FEW} galaxies"
        if not judged:
            return f"None of the {rare} features fires on {FEW} galaxies: too rare to judge."
        if not lost and not partly:
            return f"All {len(judged)} {which} are found again above {SAME} in {everywhere}. {few}".rstrip()
        parts = []
        if lost:
            parts.append(f"{len(lost)} of the {len(judged)} {which} are not found above {SAME} in {there}")
        if partly:
            whose = "" if lost else f" of the {len(judged)} {which}"
            parts.append(f"{partly}{whose} are found in some of them only")
        if weak:
            named = ", ".join(f"f{feature}" for feature in weak[:LISTED]) + (", …" if len(weak) > LISTED else "")
            parts.append(f"{len(weak)} agree no better than with shuffled galaxies ({named})")
        return f"Not stable: {'; '.join(parts)}. {few}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        best = self.most_stable
        about = {name: value for name, value in asdict(self).items() if name != "features"}
        words = {"most_stable": best.name if best else None, "choice": self.choice, "sentence": self.sentence}
        features = [asdict(one) | {"too_rare": one.rare} for one in self.features]
        return {"kind": KIND, "schema": SCHEMA, **about, **words, "features": features}


def stability_path(codes: str | os.PathLike) -> Path:
    """Where the stability of a codes file is: ``run.parquet`` → ``run.stability.json`` in the same folder."""
    path = Path(codes)
    return path.with_name(f"{path.stem}.stability.json")


def write_stability(path: str | os.PathLike, found: Stability) -> None:
    """Write it, whole or not at all. Another kind of file of that name is not replaced (:class:`SFNetError`)."""
    path = Path(path)
    if path.suffix.lower() != ".json":
        raise SFNetError(f"Stability is written to a .json file, not to {path.name!r}.")
    if path.exists():
        try:
            ours = json_object(file_bytes(path, MOST_BYTES), path.name).get("kind") == KIND
        except (OSError, SFNetError):
            ours = False
        if not ours:
            raise SFNetError(f"{path} exists and holds no stability; move it away or choose another name.")
    write_text(path, json.dumps(found.as_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_stability(path: str | os.PathLike) -> Stability:
    """The measurement in a file.

    Raises
    ------
    SFNetError
        With the file and the field, for whatever else it holds.
    """
    path = Path(path)
    try:
        content = file_bytes(path, MOST_BYTES)
    except OSError as error:
        raise SFNetError(f"{path.name} can't be read ({os.strerror(error.errno or 0)}).") from None
    return read_document(
        Stability, content, path.name, schema=SCHEMA, mark=KIND, way="run `sfnet seeds stability` again"
    )
