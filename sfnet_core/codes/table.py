"""SparseCodes: a table of galaxies, each a handful of active features, and all that a linear head makes of them."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from sfnet_core.codes import file as codes_file
from sfnet_core.codes import ids as codes_ids
from sfnet_core.codes.array_store import Shelf, shelf_of
from sfnet_core.codes.check import SPLITS, check_arrays, check_ids, linear, margin_of, rows_of, split_codes
from sfnet_core.codes.empty_sky import Sky
from sfnet_core.codes.header import Header
from sfnet_core.codes.novelty import COLUMNS
from sfnet_core.utils.errors import SetAside, SFNetError

__all__ = ["SparseCodes", "check_dataset"]

UNLIKE = frozenset(COLUMNS)
ONE_SCALE = 0.01  # pixel scales that differ by less are one, as in `sfnet infer`
PIECE = 1 << 16  # texts that become Python objects at a time


class SparseCodes:
    """The product of inference: N galaxies with k kept features and r runners-up each, read from one Parquet file.

    Attributes: ``ids`` (N,) text; ``indices`` (N, k+r) int16, -1 for an empty slot; ``values`` (N, k+r) float32 by
    falling activation; ``k``; ``features`` (F); ``bias`` (T,) float64; ``targets``; ``units`` target → unit;
    ``split`` (N,) text; ``margin`` (N,) float32, the k-th minus the (k+1)-th activation (NaN without runners-up);
    ``ra``, ``dec`` (N,) deg or ``None``; ``columns``: the catalogue's own columns, read when asked for;
    ``simulated``; ``provenance``; ``set_aside``.

    ``provenance`` holds ``dataset``, ``dataset_fingerprint``, ``run``, ``run_fingerprint``, ``weights`` (their origin),
    ``crop``, ``cutout_size``, ``pixel_scale``, ``normalisation``, ``versions`` and ``notes`` (sentences for the user),
    as far as known. A galaxy whose inference failed has no row here; it is named in ``set_aside``.
    """

    def __init__(
        self,
        header: Header,
        core: dict[str, np.ndarray],
        lazy: dict[str, Callable[[], np.ndarray]],
        maps: Callable[[np.ndarray], np.ndarray] | None,
        path: Path | None = None,
        shelf: Shelf | None = None,
        numeric: Callable[[str], bool | None] = lambda name: None,
    ) -> None:
        """Use :meth:`open` or :meth:`from_arrays`; ``core`` has been checked, ``lazy`` is read later.

        ``core["split"]`` are places in ``codes.check.SPLITS``; ``numeric`` says what a column holds without reading it.
        """
        self.header, self.path = header, path
        self.k, self.features = int(header.k), int(header.features)
        self.targets, self.units = list(header.targets), dict(header.units)
        self.bias, self.feature_ids = header.bias, header.feature_ids
        self.simulated, self.provenance = bool(header.simulated), header.provenance
        self.set_aside: list[SetAside] = list(header.set_aside)
        self.columns, self.column_units = list(header.columns), dict(header.column_units)
        self.indices, self.values = core["indices"], core["values"]
        self._flat = {name: array for name, array in core.items() if array.ndim == 1}
        self._lazy, self._maps, self._shelf, self._numeric = lazy, maps, shelf, numeric

    # ---- doors

    @classmethod
    def open(cls, path: str | os.PathLike, *, shared: bool = False) -> SparseCodes:
        """Read a codes file; schema and sizes are checked before anything is unpacked.

        Parameters
        ----------
        path : str or path
            The Parquet file that ``sfnet infer`` wrote.
        shared : bool
            Map the unpacked arrays from the user's cache, where the first session puts them, so that several sessions
            hold them in memory once (:mod:`sfnet_core.codes.array_store`); they are then read-only.

        Returns
        -------
        SparseCodes

        Raises
        ------
        SFNetError
            With the file and the field: no file, not Parquet, not codes, wrong types, sizes that do not fit the file,
            values that are no sparse code.
        """
        file = codes_file.CodesFile(Path(path))
        shelf = shelf_of(file.path) if shared else None
        core = codes_file.read(file) if shelf is None else codes_file.shelved(file, shelf)
        lazy = {name: partial(codes_file.column, file, shelf, name) for name in file.flat_columns if name not in core}
        maps = file.maps if file.header.map_shape else None
        return cls(file.header, core, lazy, maps, file.path, shelf, file.numeric)

    @classmethod
    def from_arrays(
        cls,
        *,
        ids: Any,
        indices: np.ndarray,
        values: np.ndarray,
        k: int,
        features: int,
        weight: np.ndarray,
        bias: np.ndarray,
        targets: Iterable[str],
        feature_ids: np.ndarray | None = None,
        units: Mapping[str, str] | Iterable[str] | None = None,
        split: Any = None,
        truth: Mapping[str, np.ndarray] | np.ndarray | None = None,
        prediction_d4: Mapping[str, np.ndarray] | np.ndarray | None = None,
        margin: np.ndarray | None = None,
        ra: np.ndarray | None = None,
        dec: np.ndarray | None = None,
        columns: Mapping[str, Any] | None = None,
        column_units: Mapping[str, str] | None = None,
        maps: np.ndarray | None = None,
        unlike: Mapping[str, np.ndarray] | None = None,
        sky: Sky | None = None,
        simulated: bool = False,
        provenance: dict[str, Any] | None = None,
        set_aside: Iterable[SetAside] = (),
    ) -> SparseCodes:
        """Codes from arrays; predictions are bias + Σ weight × activation in float64 from the float32 activations.

        Parameters
        ----------
        ids : (N,) text
            One identifier a galaxy, no two alike.
        indices, values : (N, k + r)
            Features by falling activation, -1 and 0 for an empty slot.
        k, features : int
            Features kept per galaxy, and how many there are.
        weight : (T, F), or (T, len(feature_ids))
            The head, in the target's unit per activation.
        bias : (T,)
            In the target's unit.
        targets, units : text, T each
            ``units`` may be a dict by target.
        feature_ids : (len(feature_ids),) int, optional
            The features that ``weight`` is of; by default all.
        split : (N,) text, optional
            ``train``, ``validation``, ``test`` or empty.
        truth, prediction_d4 : optional
            A dict by target, or (N, T), or (N,) for one target; the catalogue's values and the means over 8
            orientations.
        margin : (N,) float32, optional
            By default from ``values``.
        ra, dec : (N,) deg, optional
            By default those among ``columns``.
        columns, column_units : dict, optional
            The catalogue. A column whose name the file format needs is kept as ``catalogue_NAME``.
        maps : (N, k, h, w), optional
            Feature maps; any array that can be sliced (a memory map is read in slices).
        unlike : dict, optional
            The :data:`sfnet_core.codes.novelty.COLUMNS`.
        sky : Sky, optional
            The features' maps of a blank image.
        simulated, provenance, set_aside
            As the attributes say.

        Raises
        ------
        SFNetError
            With the field: other shapes, values that are no sparse code, an identifier that is there twice.
        """
        targets = [str(t) for t in ([targets] if isinstance(targets, str) else targets)]
        ids = np.asarray(ids)
        ids, n = ids if ids.dtype.kind == "U" else ids.astype(str), len(ids)
        place = {"ra": ra, "dec": dec}
        columns, column_units = codes_file.catalogue(columns or {}, column_units or {}, place, targets, n)
        unit_of = dict(units) if isinstance(units, Mapping) else dict(zip(targets, units or [], strict=False))
        header = Header(
            k=k,
            features=features,
            targets=tuple(targets),
            units={t: str(unit_of.get(t) or "") for t in targets},
            weight=np.atleast_2d(np.asarray(weight, dtype=np.float64)),
            feature_ids=np.arange(features) if feature_ids is None else np.asarray(feature_ids, dtype=np.int64),
            bias=np.atleast_1d(np.asarray(bias, dtype=np.float64)),
            simulated=bool(simulated),
            provenance=dict(provenance or {}),
            set_aside=tuple(set_aside),
            columns=tuple(columns),
            column_units={c: str(u) for c, u in column_units.items() if c in columns and u},
            map_shape=None if maps is None else tuple(int(s) for s in np.shape(maps)[2:]),
            sky=sky,
        )
        header.check("codes")
        core = {
            "id": ids,
            "split": split_codes(np.full(n, "") if split is None else np.asarray(split).astype(str)),
            "indices": np.ascontiguousarray(indices, dtype=np.int16),
            "values": np.ascontiguousarray(values, dtype=np.float32),
        }
        if maps is not None and np.shape(maps)[:2] != (n, k):
            raise SFNetError(f"codes: `maps` has shape {np.shape(maps)}; it needs ({n}, {k}, h, w).")
        core["margin"] = margin_of(core["values"], k) if margin is None else np.asarray(margin, dtype=np.float32)
        core |= {name: np.asarray(given, dtype=np.float64) for name, given in place.items() if given is not None}
        for prefix, given, suffix in (("target_", truth, ""), ("prediction_", prediction_d4, "_d4")):
            for target, array in codes_file.by_target(given, targets, n, prefix).items():
                core[f"{prefix}{target}{suffix}"] = array
        core |= {name: np.asarray(unlike[name]) for name in UNLIKE} if unlike is not None else {}
        check_arrays(header, core, "codes")
        check_ids(ids, "codes")
        for t, target in enumerate(targets):
            core[f"prediction_{target}"] = linear(header, core["indices"], core["values"], t)
        lazy = {name: (lambda array=array: array) for name, array in columns.items()}
        return cls(header, core, lazy, None if maps is None else (lambda rows: np.asarray(maps[rows], np.float32)))

    def save(self, path: str | os.PathLike) -> None:
        """Write one Parquet file; readers see the old file or the whole new one."""
        names = ["id", *(n for n in ("ra", "dec") if getattr(self, n) is not None), "split"]
        for target in self.targets:
            names += [f"target_{target}", f"prediction_{target}"]
            names += [f"prediction_{target}_d4"] if self.prediction_d4(target) is not None else []
        flat = {n: self.column(n) if n in self._flat else self.truth(n.removeprefix("target_")) for n in names}
        flat |= {"margin": self.margin}
        flat |= {name: self.column(name) for name in COLUMNS} if self.unlike is not None else {}
        own = {name: self.column(name) for name in self.columns}
        nested = {"indices": self.indices, "values": self.values}
        codes_file.write(Path(path), self.header, flat, nested, self.maps if self.map_shape else None, own)

    # ---- what it holds

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"<SparseCodes: {len(self)} galaxies, k={self.k} of {self.features} features, {', '.join(self.targets)}>"

    @property
    def ids(self) -> np.ndarray:
        """(N,) text."""
        return self._flat["id"]

    @property
    def split(self) -> np.ndarray:
        """(N,) ``train``, ``validation``, ``test`` or empty; made anew at each call, so :meth:`in_split` where N is
        large."""
        return np.array(SPLITS)[self._flat["split"]]

    def split_of(self, row: int) -> str:
        """The split of one galaxy."""
        return SPLITS[self._flat["split"][row]]

    def in_split(self, name: str) -> np.ndarray:
        """(N,) bool: the galaxies of one split."""
        return self._flat["split"] == (SPLITS.index(name) if name in SPLITS else -1)

    @cached_property
    def splits(self) -> dict[str, int]:
        """How many galaxies each split has, in alphabetical order; those of none under ``""``, absent ones left out."""
        counts = np.bincount(self._flat["split"], minlength=len(SPLITS))
        return {name: int(count) for name, count in sorted(zip(SPLITS, counts, strict=True)) if count}

    @property
    def margin(self) -> np.ndarray:
        """(N,) float32, k-th minus (k+1)-th activation."""
        return self._flat["margin"]

    @property
    def unlike(self) -> np.ndarray | None:
        """(N,) float32: how unlike the training galaxies (:mod:`~sfnet_core.codes.novelty`); ``None``: not known."""
        ours = UNLIKE.isdisjoint(self.columns) and self._flat.keys() | self._lazy.keys() >= UNLIKE
        return self.column("unlike") if ours else None

    @property
    def ra(self) -> np.ndarray | None:
        """(N,) deg, or ``None``."""
        return self._flat.get("ra")

    @property
    def dec(self) -> np.ndarray | None:
        """(N,) deg, or ``None``."""
        return self._flat.get("dec")

    @property
    def runners_up(self) -> int:
        """r: how many activations after the kept ones are stored."""
        return self.indices.shape[1] - self.k

    @cached_property
    def weight(self) -> np.ndarray:
        """(T, F) float64."""
        return self.header.dense_weight()

    @property
    def map_shape(self) -> tuple[int, int] | None:
        """(h, w) of the stored feature maps, or ``None``."""
        return self.header.map_shape if self._maps else None

    @property
    def sky(self) -> Sky | None:
        """Every feature's map of a blank image, where the file holds it beside its maps."""
        return self.header.sky if self._maps else None

    @cached_property
    def _hash_order(self) -> np.ndarray:
        return self.derived("id-order", lambda: codes_ids.hash_order(self.ids))

    def index_of(self, id: str) -> int:
        """The row of an identifier; :class:`SFNetError` where there is none."""
        row = codes_ids.find(self.ids, self._hash_order, str(id))
        if row is None:
            raise SFNetError(f"No galaxy {str(id)[:80]!r} is in these codes ({len(self):,} galaxies).")
        return row

    def derived(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """An array that follows from the file alone, kept where the codes were opened as ``shared``.

        Parameters
        ----------
        name : str
            A file's name, which says all that the array depends on, k too.
        make : callable
            Makes it.

        Returns
        -------
        array
            ``make()``, or the same from an earlier session, mapped and read-only.
        """
        return make() if self._shelf is None else self._shelf.keep(f"made-{name}", make)

    def target_index(self, target: int | str = 0) -> int:
        """The position of a target given by name or position."""
        if isinstance(target, str):
            if target not in self.targets:
                raise SFNetError(f"These codes have no target {target!r}; they have {', '.join(self.targets)}.")
            return self.targets.index(target)
        if not 0 <= target < len(self.targets):
            raise SFNetError(f"These codes have {len(self.targets)} target(s); there is no target number {target}.")
        return int(target)

    def truth(self, target: int | str = 0) -> np.ndarray:
        """(N,) float64 in the target's unit, NaN where unknown; ``target`` by name or position."""
        name = f"target_{self.targets[self.target_index(target)]}"
        return self._flat[name] if name in self._flat else np.full(len(self), np.nan)

    def prediction(self, target: int | str = 0) -> np.ndarray:
        """(N,) float64: bias + Σ weight × activation over the kept features."""
        return self._flat[f"prediction_{self.targets[self.target_index(target)]}"]

    def prediction_d4(self, target: int | str = 0) -> np.ndarray | None:
        """(N,) float64: the mean prediction over the 8 orientations, ``None`` where it was not asked for."""
        return self._flat.get(f"prediction_{self.targets[self.target_index(target)]}_d4")

    def column(self, name: str) -> np.ndarray:
        """One column of the file by name.

        Returns
        -------
        (N,) array
            Numbers as numbers (NaN where missing), text as text.

        Raises
        ------
        SFNetError
            Where there is none of that name.
        """
        if name == "split":
            return self.split
        if name not in self._flat:
            if name not in self._lazy:
                known = ", ".join(self.columns[:20]) or "none"
                raise SFNetError(
                    f"These codes have no column {str(name)[:80]!r}; the catalogue's columns are: {known}."
                )
            self._flat[name] = self._lazy[name]()
        return self._flat[name]

    def is_numeric(self, name: str) -> bool:
        """Whether a column holds numbers (flags are none); it is read only where its type does not tell."""
        known = self._numeric(name) if name in self._lazy and name not in self._flat else None
        return self.column(name).dtype.kind in "iuf" if known is None else known

    def maps(self, rows: Any) -> np.ndarray | None:
        """Feature-map cells of the kept features; a map's mean is its activation.

        Parameters
        ----------
        rows
            Positions, a slice or a mask.

        Returns
        -------
        (len(rows), k, h, w) float32, or None
            Weight × map / (h·w) is the contribution map. ``None`` where the file holds no maps.
        """
        if self._maps is None:
            return None
        found = self._maps(rows_of(rows, len(self)))
        if not np.isfinite(found).all():
            raise SFNetError(f"{self.path or 'codes'}: column `maps` holds values that are not finite.")
        return found

    def take(self, rows: Any) -> SparseCodes:
        """The codes of some rows (positions, a slice or a mask), in that order; columns stay unread until asked for."""
        rows = rows_of(rows, len(self))
        core = {name: array[rows] for name, array in self._flat.items()}
        core |= {"indices": self.indices[rows], "values": self.values[rows]}
        lazy = {name: (lambda name=name: self.column(name)[rows]) for name in self._lazy if name not in core}
        maps = None if self._maps is None else (lambda chosen: self.maps(rows[chosen]))
        return type(self)(self.header, core, lazy, maps, self.path, None, self._numeric)

    def at_k(self, k: int) -> SparseCodes:
        """The same galaxies and head behind another gate: the ``k`` strongest of the k + r stored activations.

        Predictions, margin and everything computed from the codes follow; the D4 mean, which was taken at the network's
        own k, does not come along, and maps stay those of the slots that were kept. The arrays are shared, not copied.

        Raises
        ------
        SFNetError
            Where so many are not stored.
        """
        if not 1 <= k <= self.indices.shape[1]:
            raise SFNetError(f"k = {k} is outside 1 to {self.indices.shape[1]}, the activations stored per galaxy.")
        if k == self.k:
            return self
        header = replace(self.header, k=k)
        core = {name: array for name, array in self._flat.items() if not name.endswith("_d4")}
        core |= {"indices": self.indices, "values": self.values, "margin": margin_of(self.values, k)}
        for t, target in enumerate(self.targets):
            core[f"prediction_{target}"] = linear(header, self.indices, self.values, t)
        lazy = {name: (lambda name=name: self.column(name)) for name in self._lazy}
        return type(self)(header, core, lazy, self._maps, self.path, self._shelf, self._numeric)

    @cached_property
    def fingerprint(self) -> str:
        """24 hex digits over identifiers, codes, head, targets and splits; the same before saving and after opening."""
        found = self.derived(f"fingerprint-{self.k}", lambda: np.frombuffer(_digest(self).encode(), np.uint8))
        return found.tobytes().decode("ascii")


def _digest(codes: SparseCodes) -> str:
    """24 hex digits over identifiers, codes, head, targets and splits."""
    found = hashlib.blake2b(digest_size=12)
    found.update(f"{codes.k} {codes.features} {codes.targets} {codes.simulated}\n".encode())
    for array in (codes.weight, codes.bias, codes.indices, codes.values):
        found.update(f"{array.shape}".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    first = True
    for texts in (codes.ids, codes.split):
        for start in range(0, len(texts), PIECE):
            joined = "\n".join(texts[start : start + PIECE].tolist())
            found.update(("" if first else "\n").encode() + joined.encode("utf-8", "surrogatepass"))
            first = False
    for target in range(len(codes.targets)):
        found.update(codes.truth(target).tobytes())
    return found.hexdigest()


def check_dataset(codes: SparseCodes, dataset: Any, allow: bool = False) -> str | None:
    """Whether the codes were made from this dataset.

    The fingerprint is over pixels and catalogue, so the pixel scale is looked at too, where both sides know it: with
    another one the cutouts would be another size on the sky, and every scale bar wrong.

    Parameters
    ----------
    codes, dataset
        The two.
    allow : bool
        Go on with another dataset.

    Returns
    -------
    str or None
        ``None`` when they belong together, else the sentence that says what is different.

    Raises
    ------
    SFNetError
        With that sentence, unless ``allow``.
    """
    ours, theirs = codes.provenance.get("dataset_fingerprint"), dataset.fingerprint
    if ours != theirs:
        sentence = f"The codes were made from a dataset with fingerprint {ours or 'unknown'}, this one has {theirs}"
    else:
        ours, theirs = codes.provenance.get("pixel_scale"), getattr(dataset, "pixel_scale", None)
        known = all(type(scale) in (int, float) and math.isfinite(scale) for scale in (ours, theirs))
        if not known or math.isclose(ours, theirs, rel_tol=ONE_SCALE):
            return None
        sentence = f"The codes were made from cutouts of {ours:g} arcsec per pixel, this dataset has {theirs:g}"
    if not allow:
        raise SFNetError(f"{sentence}: name the dataset they were made from, or allow the mismatch explicitly.")
    return f"{sentence}; shown together because the mismatch was allowed."
