"""What was measured of a set of codes against other trainings: the document, where it lies, and how it is read.

The file stands beside the codes as ``CODES.stability.json``. It holds for the codes whose fingerprint it names and for
no others. It is read with suspicion, because it may come from anywhere: sizes, types and ranges are checked, texts are
cut to plain letters.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import write_text

__all__ = ["SAME", "Score", "Stability", "Training", "read_stability", "stability_path", "write_stability"]

KIND, SCHEMA = "sfnet stability", 2
SAME = 0.9  # a matched pair above this is called the same feature
FEW = 10  # galaxies: of a feature that fires on fewer, no correlation says whether it came back
MOST_BYTES = 16 << 20
MOST_FEATURES, MOST_OTHERS, MOST_TEXT, MOST_COUNT = 1 << 15, 200, 300, 1 << 53
LISTED = 8  # features named in the sentence


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
    run: str = ""
    seed: int | None = None
    active: int = 0
    agreement: float | None = None
    low: float | None = None
    high: float | None = None
    tied: bool | None = None
    same: float | None = None


@dataclass(frozen=True)
class Score:
    """How well one feature is found again.

    ``rho``: mean ρ with its counterparts over the other trainings, 0 where it has none; ``lowest`` of them; ``each`` of
    them, with the ``counterpart``'s number (-1: none); ``found``: share of the others in which ρ is above 0.9.
    ``null_mean``, ``null_95``: what shuffled galaxies give for ``rho``, mean and 95th percentile; ``chance``: how often
    they give as much or more, counted as (1 + times) / (1 + shuffles). ``fires``, ``rate``: on how many, and on which
    share, of the galaxies measured it fires.
    """

    feature: int
    rho: float
    lowest: float
    found: float
    null_mean: float
    null_95: float
    chance: float
    fires: int
    rate: float
    each: tuple[float, ...]
    counterpart: tuple[int, ...]

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
            return f"too rare to say: fires on {self.fires}"
        return "no better than shuffled" if self.by_chance else ""


@dataclass(frozen=True)
class Stability:
    """A set of codes against other trainings on the same galaxies; ``features`` by falling ``rho``.

    ``n`` galaxies of ``split`` (``''``: of all); ``mean``: of the features' ρ, with what shuffled galaxies give;
    ``same``: share of (feature, other training) with ρ above 0.9; ``overlap``: of the spaces of activations, mean over
    the others (:class:`sfnet_core.analysis.stability.matching.Match`).
    """

    codes: Training
    others: tuple[Training, ...]
    n: int
    split: str
    permutations: int
    seed: int
    mean: float
    null_mean: float
    null_95: float
    same: float
    overlap: float
    overlap_null: float
    features: tuple[Score, ...]
    notes: tuple[str, ...] = ()

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
        few = f"{rare} more fire on fewer than {FEW}: too rare to say." if rare else ""
        which = f"features that fire on at least {FEW} galaxies"
        if not judged:
            return f"None of the {rare} features fires on {FEW} galaxies: too rare to say."
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
            _object(_content(path), path.name)
        except SFNetError as error:
            raise SFNetError(f"{path} exists and holds no stability; move it away or choose another name.") from error
    write_text(path, json.dumps(found.as_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_stability(path: str | os.PathLike) -> Stability:
    """The measurement in a file. Raises :class:`SFNetError` with the file and the field, for whatever else it holds."""
    path = Path(path)
    data = _object(_content(path), path.name)
    try:
        others = tuple(_training(one) for one in _list(data, "others", MOST_OTHERS))
        if not others:
            raise ValueError("`others` names no other training")
        features = tuple(_score(one, len(others)) for one in _list(data, "features", MOST_FEATURES))
        if len({one.feature for one in features}) < len(features):
            raise ValueError("`features` names a feature twice")
        return Stability(
            codes=_training(data["codes"]),
            others=others,
            **{name: _whole(data, name, least=0) for name in ("n", "permutations")},
            seed=_whole(data, "seed", least=-MOST_COUNT),
            split=_text(data, "split"),
            **{name: _number(data, name) for name in ("mean", "null_mean", "null_95", "overlap", "overlap_null")},
            same=_number(data, "same", 0.0),
            features=features,
            notes=tuple(_text({"notes": note}, "notes") for note in _list(data, "notes", 50)),
        )
    except (KeyError, TypeError, ValueError) as error:
        why = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else str(error)
        raise SFNetError(f"{path.name}: {why[:200]}; run `sfnet seeds stability` again.") from None


def _content(path: Path) -> bytes:
    """A plain file's bytes, of the size that such a file has."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a pipe must not wait
    except OSError as error:
        raise SFNetError(f"{path.name} can't be read ({os.strerror(error.errno or 0)}).") from None
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode) or about.st_size > MOST_BYTES:
            raise SFNetError(f"{path.name} is no plain file of at most {MOST_BYTES:,} bytes.")
        with open(handle, "rb", closefd=False) as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SFNetError(f"{path.name} can't be read ({os.strerror(error.errno or 0)}).") from None
    finally:
        os.close(handle)


def _object(content: bytes, name: str) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no number")

    try:
        data = json.loads(content.decode("utf-8"), parse_constant=refuse)
    except (ValueError, RecursionError):
        raise SFNetError(f"{name} is not readable as JSON.") from None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise SFNetError(f"{name} is no file of `sfnet seeds stability`.")
    if data.get("schema") != SCHEMA:
        raise SFNetError(
            f"{name} has schema {str(data.get('schema'))[:20]}; this version of SFNet reads {SCHEMA}. "
            "Run `sfnet seeds stability` again."
        )
    return data


def _training(data: Any) -> Training:
    _mapping(data, "a training")
    return Training(
        **{name: _text(data, name) for name in ("name", "fingerprint", "run")},
        seed=None if data["seed"] is None else _whole(data, "seed", least=-MOST_COUNT),
        active=_whole(data, "active", least=0),
        **{name: None if data[name] is None else _number(data, name) for name in ("agreement", "low", "high", "same")},
        tied=_flag(data, "tied"),
    )


def _score(data: Any, others: int) -> Score:
    _mapping(data, "a feature")
    each, counterpart = ([{"each": one} for one in _list(data, name, MOST_OTHERS)] for name in ("each", "counterpart"))
    if not len(each) == len(counterpart) == others:
        raise ValueError("a feature has not one value for each of the others")
    return Score(
        feature=_whole(data, "feature", least=0, most=MOST_FEATURES),
        **{name: _number(data, name) for name in ("rho", "lowest", "null_mean", "null_95")},
        **{name: _number(data, name, 0.0) for name in ("found", "chance", "rate")},
        fires=_whole(data, "fires", least=0),
        each=tuple(_number(one, "each") for one in each),
        counterpart=tuple(_whole(one, "each", least=-1, most=MOST_FEATURES) for one in counterpart),
    )


def _mapping(data: Any, what: str) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{what} is no JSON object")


def _list(data: dict, name: str, most: int) -> list:
    if not isinstance(data[name], list) or len(data[name]) > most:
        raise ValueError(f"`{name}` is no list of at most {most:,}")
    return data[name]


def _whole(data: dict, name: str, *, least: int, most: int = MOST_COUNT) -> int:
    if type(data[name]) is not int or not least <= data[name] <= most:
        raise ValueError(f"`{name}` is no whole number from {least} to {most}")
    return data[name]


def _flag(data: dict, name: str) -> bool | None:
    if data[name] is not None and type(data[name]) is not bool:
        raise ValueError(f"`{name}` is neither true nor false")
    return data[name]


def _number(data: dict, name: str, least: float = -1.0) -> float:
    """A correlation or a share: with the rounding of sums it may be a hair beyond 1."""
    if type(data[name]) not in (int, float) or not least - 1e-6 <= data[name] <= 1 + 1e-6:
        raise ValueError(f"`{name}` is no number from {least:g} to 1")
    return float(data[name])


def _text(data: dict, name: str, keep: Callable[[str], bool] = str.isprintable) -> str:
    """Without control characters and marks that turn the text after them."""
    if not isinstance(data[name], str):
        raise ValueError(f"`{name}` is no text")
    return "".join(filter(keep, data[name][:MOST_TEXT]))
