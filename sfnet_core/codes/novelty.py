"""How unlike the training galaxies is a galaxy? Its activations against theirs, with a limit that 1 % of them pass.

Two questions of each galaxy:

- *distance*: Mahalanobis' distance of all activations, before the gate, from the training galaxies' mean. Features can
  be as many as galaxies, and some fire on none; the covariance is therefore shrunk towards a multiple of the identity,
  Σ = (1 − ρ) S + ρ m 1 with m the mean variance and ρ as Ledoit & Wolf (2004, J. Multivar. Anal. 88, 365) have it.
- *range*: the largest kept activation as a multiple of the largest that any training galaxy has of that feature.

The limits come from the training galaxies alone, each measured against the others: the distance without the galaxy
itself follows from the whole fit in closed form (S without row i is a rank-one change of S; ρ and m are kept). The
network has seen these galaxies and not those that are held out, so that of new galaxies of the same kind more than the
nominal share may pass; how many is what a held-out split says. What no activation tells apart is not found: see
``benchmarks/results/unlike.json``.

Shape letters: n galaxies, F features, K kept, p axes along which the training galaxies differ.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
from msgspec import Meta, Struct, structs

from sfnet_core.utils.documents import read_document
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import atomic_path

__all__ = ["COLUMNS", "FILE", "SHARE", "Typical", "ledoit_wolf", "why_unlike"]

FILE = "unlike.npz"  # in a run's folder, beside the weights
SHARE = 0.01  # of the training galaxies, and as many of others drawn alike, are beyond the limit
COLUMNS = ("unlike", "unlike_distance", "unlike_range", "unlike_feature")
LEAST = 1e-4  # the least shrinkage: features that fired on nobody keep a hundredth of the typical spread
FAINT = 0.01  # of the largest activation of all: a feature's own largest counts as at least that
TINY = 1e-9
MOST_BYTES = 1 << 28


def ledoit_wolf(a: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Mean-free (n, F) activations → (covariance S (F, F), mean variance m, shrinkage ρ), eq. 14 and lemmas 3.2–3.5."""
    n, width = a.shape
    covariance = a.T @ a / n
    m = float(np.trace(covariance)) / width
    apart = float(((covariance - m * np.eye(width)) ** 2).sum())
    spread = float((np.square(a).sum(axis=1) ** 2).sum() / n - (covariance**2).sum()) / n  # Σ ‖x xᵀ − S‖² / n²
    return covariance, m, min(max(spread, 0.0) / apart, 1.0) if apart > 0 else 1.0


_Above0 = Annotated[float, Meta(gt=0)]


class _Numbers(Struct):
    """What stands beside the arrays."""

    n: Annotated[int, Meta(ge=2)]
    k: Annotated[int, Meta(ge=1)]
    shrinkage: _Above0
    floor: _Above0
    limits: tuple[_Above0, _Above0]
    share: _Above0
    run: str


@dataclass(frozen=True)
class Typical:
    """What the training galaxies' activations are like; :meth:`fit`, then :meth:`measure` of any galaxies.

    ``mean`` (F,); ``axes`` (p, F) and ``variances`` (p,) of S; ``first``, ``second`` (F,) the largest activations of
    each feature and ``holder`` (F,) which training galaxy has the first; ``limits``: of distance and range; ``share``
    of galaxies drawn as the training galaxies that is expected beyond them; ``run``: fingerprint of the weights.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray
    first: np.ndarray
    second: np.ndarray
    holder: np.ndarray
    n: int
    k: int
    shrinkage: float
    floor: float  # ρ m, the variance where the training galaxies have none
    limits: tuple[float, float]
    share: float
    run: str = ""

    @classmethod
    def fit(cls, a: np.ndarray, k: int, *, share: float = SHARE, run: str = "") -> Typical:
        """What is typical, from the training galaxies' activations.

        Parameters
        ----------
        a : (n, F) array
            Activations before the gate, n ≥ 2. Rows that are not finite are left out.
        k : int
            Features kept behind the gate.
        share : float
            Of galaxies drawn alike that lie beyond the limit. With fewer than 1/share − 1 galaxies the limit is the
            largest.
        run : str
            Fingerprint of the weights.

        Raises
        ------
        SFNetError
            Where fewer than two rows are finite.
        """
        good = np.flatnonzero(np.isfinite(a).all(axis=1))
        a = np.asarray(a, dtype=np.float64)[good]
        n = len(a)
        if n < 2:
            raise SFNetError("What is typical needs finite activations of at least 2 training galaxies.")
        mean = a.mean(axis=0)
        covariance, m, shrinkage = ledoit_wolf(a - mean)
        shrinkage = max(shrinkage, LEAST)
        variances, axes = np.linalg.eigh(covariance)
        real = variances > max(variances[-1], 0.0) * 1e-12
        two = np.sort(a, axis=0)[-2:]
        found = cls(
            mean, np.ascontiguousarray(axes.T[real]), variances[real], two[1], two[0], good[a.argmax(axis=0)],
            n, int(k), shrinkage, shrinkage * m or 1.0, (1.0, 1.0), share, run,
        )  # fmt: skip
        order = np.argsort(-a, axis=1, kind="stable")[:, :k]
        times, _ = found.range(order, np.take_along_axis(a, order, axis=1), good)
        each = np.stack([found.distance(a, good), times])
        rank = min(math.ceil((n + 1) * (1 - share) - 1e-9), n)
        limits = np.maximum(np.sort(each, axis=1)[:, rank - 1], TINY)  # each alone; now both together
        limits = limits * np.sort((each / limits[:, None]).max(axis=0))[rank - 1]
        limits = (max(float(limits[0]), TINY), max(float(limits[1]), TINY))
        return cls(**{**vars(found), "limits": limits, "share": 1 - rank / (n + 1)})

    def distance(self, a: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """Mahalanobis' distance.

        Parameters
        ----------
        a : (n, F) array
            Activations before the gate.
        own : (n,) int, optional
            Which training galaxy a row is, −1 for none; such a row is measured against the others.

        Returns
        -------
        (n,) float64
        """
        u = np.asarray(a, dtype=np.float64) - self.mean
        along = u @ self.axes.T  # (n, p)
        rest = np.square(u - along @ self.axes).sum(axis=1) / self.floor
        squared = (along**2 / ((1 - self.shrinkage) * self.variances + self.floor)).sum(axis=1) + rest
        if own is not None and (own >= 0).any():
            more = self.n / (self.n - 1)
            g = (along**2 / ((1 - self.shrinkage) * more * self.variances + self.floor)).sum(axis=1) + rest
            left = 1 - (1 - self.shrinkage) * self.n / (self.n - 1) ** 2 * g  # Sherman & Morrison
            squared = np.where(own >= 0, more**2 * g / np.maximum(left, TINY), squared)
        return np.sqrt(squared)

    def range(
        self, indices: np.ndarray, values: np.ndarray, own: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Largest kept activation over the training's largest of its feature.

        Parameters
        ----------
        indices, values : (n, K)
            Codes; an index of −1 is an empty slot.
        own : (n,) int, optional
            As in :meth:`distance`.

        Returns
        -------
        (n,) float64, (n,) int
            The multiple, and the feature it belongs to; −1 without any.
        """
        largest = self.first[indices]  # (n, K); that of slot −1 is never used
        if own is not None:
            itself = (own >= 0)[:, None] & (self.holder[indices] == own[:, None])
            largest = np.where(itself, self.second[indices], largest)
        largest = np.maximum(largest, max(FAINT * float(self.first.max()), TINY))
        times = np.where(indices >= 0, np.asarray(values, dtype=np.float64) / largest, 0.0)
        best = times.argmax(axis=1)
        rows = np.arange(len(times))
        return times[rows, best], np.where(times[rows, best] > 0, indices[rows, best], -1)

    def measure(
        self, a: np.ndarray, indices: np.ndarray, values: np.ndarray, own: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """How unlike the training galaxies each galaxy is; 1 is the limit.

        Parameters
        ----------
        a : (n, F) array
            Activations before the gate.
        indices, values : (n, ≥ K)
            Their codes.
        own : (n,) int, optional
            As in :meth:`distance`.

        Returns
        -------
        dict
            :data:`COLUMNS`, (n,) each. ``unlike`` is the larger of ``unlike_distance`` and ``unlike_range``, each over
            its limit; ``unlike_range`` is given as it is, 1 being the largest of the training, and ``unlike_feature``
            is the feature it belongs to.
        """
        times, feature = self.range(indices[:, : self.k], values[:, : self.k], own)
        distance = self.distance(a, own) / self.limits[0]
        unlike = np.maximum(distance, times / self.limits[1])
        columns = (unlike.astype(np.float32), distance.astype(np.float32), times.astype(np.float32))
        return dict(zip(COLUMNS, (*columns, feature.astype(np.int16)), strict=True))

    def about(self) -> dict[str, Any]:
        """How the limit was made, for the codes' provenance."""
        return {
            "how": (
                f"Limits from {self.n:,} training galaxies, each measured against the others: {100 * self.share:.2g} % "
                "of them are beyond one, by Mahalanobis' distance of all activations (covariance shrunk after Ledoit & "
                "Wolf 2004) or by a kept activation over the largest of the others."
            ),
            "fitted_on": self.n,
            "share": self.share,
            "shrinkage": self.shrinkage,
            "limit_distance": self.limits[0],
            "limit_range": self.limits[1],
        }

    # ---- on disk

    def save(self, path: str | os.PathLike) -> None:
        """Write an ``.npz``, atomically; the same numbers give the same bytes."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self)}
        numbers = {name: arrays.pop(name) for name in ("n", "k", "shrinkage", "floor", "limits", "share", "run")}
        with atomic_path(path) as part, open(part, "wb") as handle:
            np.savez_compressed(handle, about=np.array(json.dumps({"schema": 1, **numbers})), **arrays)

    @classmethod
    def open(cls, path: str | os.PathLike) -> Typical:
        """Read and check what :meth:`save` wrote.

        Raises
        ------
        SFNetError
            Where it is anything else.
        """
        path = Path(path)
        try:
            with zipfile.ZipFile(path) as packed:
                if sum(entry.file_size for entry in packed.infolist()) > MOST_BYTES:
                    raise ValueError("it would unpack to too much")
            with np.load(path, allow_pickle=False) as stored:
                arrays = dict(stored)
            about = read_document(_Numbers, str(arrays.pop("about")), path, schema=1)
            found = cls(**arrays, **structs.asdict(about))
            found._check()
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile, SFNetError) as error:
            raise SFNetError(
                f"{path} does not say what the training galaxies are like ({error}); delete it: galaxies are then not "
                "compared with them, until `sfnet train … --resume` has written it again."
            ) from error
        return found

    def _check(self) -> None:
        width, p = len(self.mean), len(self.variances)
        shapes = {"mean": (width,), "axes": (p, width), "variances": (p,), "first": (width,), "second": (width,)}
        for name, shape in (shapes | {"holder": (width,)}).items():
            array = getattr(self, name)
            if array.shape != shape or array.dtype.kind not in "fi" or not np.isfinite(array).all():
                raise ValueError(f"`{name}`")
        if self.k > width:
            raise ValueError("`k`")


class _Codes(Protocol):
    """What is asked here of :class:`sfnet_core.codes.table.SparseCodes`."""

    provenance: dict[str, Any]

    @property
    def unlike(self) -> np.ndarray | None: ...
    def column(self, name: str) -> np.ndarray: ...
    def split_of(self, row: int) -> str: ...


def why_unlike(codes: _Codes, row: int, label: Callable[[int], str] = "f{}".format) -> str:
    """In words, by what a galaxy is unlike the training galaxies.

    Parameters
    ----------
    codes, row
        The galaxy.
    label : callable
        A feature's name by its number.

    Returns
    -------
    str
        '' where it is not unlike them, or the codes do not say.
    """
    if codes.unlike is None or not codes.unlike[row] > 1:
        return ""
    _, distance, times, feature = (codes.column(name)[row] for name in COLUMNS)
    others = "the other training galaxies" if codes.split_of(row) == "train" else "the training galaxies"
    reasons = []
    if distance > 1:
        reasons.append(f"its activations as a whole are {distance:.2f} times as far from theirs as the limit")
    if times > _limit_of_range(codes):
        reasons.append(f"{label(int(feature))} fires {times:.2f} times as strongly as on any of them")
    return f"Novel: unlike {others}: {' and '.join(reasons) or f'{codes.unlike[row]:.2f} times the limit'}."


def _limit_of_range(codes: _Codes) -> float:
    """The limit of ``unlike_range``, from the provenance; infinite where it does not say."""
    about = codes.provenance.get("unlike")
    limit = about.get("limit_range") if isinstance(about, dict) else None
    return float(limit) if isinstance(limit, (int, float)) and limit > 0 else math.inf
