"""What a codes file says about itself: gate, head, targets, provenance, and the same as a VOTable description."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Annotated, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from msgspec import Meta, Struct

from sfnet_core.codes.empty_sky import Sky, SkyFile
from sfnet_core.utils.documents import read_document
from sfnet_core.utils.errors import SetAside, SFNetError

SCHEMA = 1
MAX_FEATURES = 32767  # an index is an int16
#: Activations stored behind the k kept ones of each galaxy, where nothing else is asked for.
RUNNERS_UP = 8
MAX_SLOTS = 1024  # k + r; a code longer than this is not a sparse code


@dataclass(frozen=True)
class Header:
    """The metadata of a set of codes. Shapes: ``weight`` (T, len(feature_ids)) and ``bias`` (T,), both float64.

    ``units`` maps each target to its unit, ``column_units`` each catalogue column that has one. ``map_shape`` is
    (h, w) of the stored feature maps or ``None``; ``sky`` the features' maps of a blank image on the same grid, or
    ``None``. ``columns`` are the catalogue's own columns in their order.
    """

    k: int
    features: int
    targets: tuple[str, ...]
    units: dict[str, str]
    weight: np.ndarray
    feature_ids: np.ndarray
    bias: np.ndarray
    simulated: bool = False
    provenance: dict[str, Any] = field(default_factory=dict)
    set_aside: tuple[SetAside, ...] = ()
    columns: tuple[str, ...] = ()
    column_units: dict[str, str] = field(default_factory=dict)
    map_shape: tuple[int, int] | None = None
    sky: Sky | None = None

    def check(self, where: str) -> None:
        """Raise :class:`SFNetError` naming the field when the parts contradict each other."""
        if not (_is_int(self.features) and 1 <= self.features <= MAX_FEATURES):
            raise SFNetError(
                f"{where}: `features` must be a whole number from 1 to {MAX_FEATURES}, not {self.features!r}."
            )
        if not (_is_int(self.k) and 1 <= self.k <= min(self.features, MAX_SLOTS)):
            raise SFNetError(
                f"{where}: `k` must be from 1 to the number of features ({self.features}), not {self.k!r}."
            )
        names = self.targets
        if not names or not all(isinstance(n, str) and n for n in names) or len(set(names)) != len(names):
            raise SFNetError(f"{where}: `targets` must be one or more different names, not {list(names)!r}.")
        if self.weight.shape != (len(names), len(self.feature_ids)):
            raise SFNetError(
                f"{where}: `weight` has shape {self.weight.shape}; {len(names)} target(s) and "
                f"{len(self.feature_ids)} feature(s) need ({len(names)}, {len(self.feature_ids)})."
            )
        ids = self.feature_ids
        if len(np.unique(ids)) != len(ids) or (len(ids) and (ids.min() < 0 or ids.max() >= self.features)):
            raise SFNetError(f"{where}: `feature_ids` must be different whole numbers from 0 to {self.features - 1}.")
        if self.bias.shape != (len(names),):
            raise SFNetError(f"{where}: `bias` has {self.bias.size} value(s); {len(names)} target(s) need as many.")
        for name, array in (("weight", self.weight), ("bias", self.bias)):
            if not np.isfinite(array).all():
                raise SFNetError(f"{where}: `{name}` holds values that are not finite; these weights cannot be used.")
        if self.map_shape is not None and not all(_is_int(s) and 1 <= s <= 1024 for s in self.map_shape):
            raise SFNetError(f"{where}: `map_shape` must be two whole numbers, not {self.map_shape!r}.")
        if self.sky is not None:
            self.sky.check(self.features, self.map_shape, where)

    def dense_weight(self) -> np.ndarray:
        """(T, F) float64; features without a stored weight have weight 0."""
        dense = np.zeros((len(self.targets), self.features))
        dense[:, self.feature_ids] = self.weight
        return dense

    def to_json(self) -> str:
        """One JSON object; float64 values survive the round trip exactly."""
        every = np.array_equal(self.feature_ids, np.arange(self.features))
        value = {
            "schema": SCHEMA,
            "k": int(self.k),
            "features": int(self.features),
            "targets": list(self.targets),
            "units": self.units,
            "weight": self.weight.tolist(),
            "feature_ids": None if every else self.feature_ids.tolist(),
            "bias": self.bias.tolist(),
            "simulated": bool(self.simulated),
            "provenance": self.provenance,
            "columns": list(self.columns),
            "column_units": self.column_units,
            "map_shape": None if self.map_shape is None else [int(s) for s in self.map_shape],
            "set_aside": [record.as_dict() for record in self.set_aside],
        }
        value |= {} if self.sky is None else {"sky": self.sky.as_dict()}
        try:
            return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
        except ValueError as error:
            raise SFNetError(f"The codes' metadata cannot be written as JSON ({error}): use finite numbers.") from error

    @classmethod
    def from_json(cls, text: bytes | str, where: str) -> Header:
        """Read and check.

        Raises
        ------
        SFNetError
            With the file and the field.
        """
        way = "write the codes again with `sfnet infer`"
        file = read_document(_File, text, f"{where}: the metadata `sfnet`", schema=SCHEMA, way=way)
        ids, units = file.feature_ids, file.units
        if isinstance(units, list):
            units = dict(zip(file.targets, units, strict=False))
        header = cls(
            k=file.k,
            features=file.features,
            targets=tuple(file.targets),
            units={target: unit or "" for target, unit in units.items()},
            weight=np.array(file.weight, dtype=np.float64).reshape(len(file.weight), -1),
            feature_ids=np.arange(file.features) if ids is None else np.array(ids, dtype=np.int64),
            bias=np.array(file.bias, dtype=np.float64),
            simulated=file.simulated,
            provenance=file.provenance,
            set_aside=tuple(file.set_aside),
            columns=tuple(file.columns),
            column_units=file.column_units,
            map_shape=file.map_shape,
        )
        header.check(where)  # and with it the sizes that the sky's maps must have
        return replace(header, sky=file.sky and Sky.from_file(file.sky, header.features, header.map_shape, where))


class _File(Struct):
    """The JSON object; more fields than these are ignored."""

    k: int
    features: Annotated[int, Meta(ge=1, le=MAX_FEATURES)]
    targets: list[str]
    units: dict[str, str | None] | list[str | None]
    weight: list[list[float]]
    bias: list[float]
    simulated: bool
    provenance: dict[str, Any]
    feature_ids: list[int] | None = None
    set_aside: list[SetAside] = []
    columns: list[str] = []
    column_units: dict[str, str] = {}
    map_shape: tuple[int, int] | None = None
    sky: SkyFile | None = None

    def __post_init__(self) -> None:
        if len({len(row) for row in self.weight}) > 1:
            raise ValueError("`weight` has rows of different lengths")


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """numpy scalars and arrays, paths and the like inside ``provenance``."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else str(value)


_UCDS = {
    "id": "meta.id;meta.main",
    "ra": "pos.eq.ra;meta.main",
    "dec": "pos.eq.dec;meta.main",
    "z": "src.redshift",
    "split": "meta.code",
    "indices": "meta.id",
    "bptclass": "meta.code.class",
}
_ABUNDANCE = "phys.abund"


def describe(name: str, header: Header) -> tuple[str, str, str]:
    """Unit, UCD and description of a column of the codes file.

    Parameters
    ----------
    name : str
        The column.
    header : Header
        The file's header.

    Returns
    -------
    (str, str, str)
        ``dex`` stands in the description, as no VO unit is.
    """
    fixed = {
        "id": ("", "identifier, as in the catalogue"),
        "ra": ("deg", "right ascension"),
        "dec": ("deg", "declination"),
        "split": ("", "train, validation, test or empty: the part of the data the galaxy had in training"),
        "margin": ("", "k-th minus (k+1)-th activation: how fragile the choice of features is"),
        "unlike": ("", "novelty: the larger of distance and range, each over its limit; 1: at the limit"),
        "unlike_distance": ("", "Mahalanobis distance of all activations from the training galaxies', over its limit"),
        "unlike_range": ("", "largest kept activation over the largest of the training galaxies in its feature"),
        "unlike_feature": ("", "the feature of `unlike_range`; -1: none fires"),
        "indices": ("", f"features by falling activation: {header.k} kept, then runners-up; -1 is an empty slot"),
        "values": ("", "activations of the features in `indices`"),
        "maps": ("", "feature-map cells of the kept features; the mean over a map's cells is its activation"),
    }
    if name in fixed and name not in header.columns:
        return fixed[name][0], _UCDS.get(name, ""), fixed[name][1]
    for prefix, words, ucd in (
        ("target_", "catalogue value of", ""),
        ("prediction_", "prediction of", "meta.modelled"),
    ):
        base = name.removeprefix(prefix).removesuffix("_d4") if prefix == "prediction_" else name.removeprefix(prefix)
        if name.startswith(prefix) and base in header.targets:
            unit = header.units.get(base, "")
            mean = ", mean over the 8 orientations" if name.endswith("_d4") and prefix == "prediction_" else ""
            first = _ABUNDANCE if base.startswith("oh_") else ""
            return (
                "",
                ";".join(part for part in (first, ucd) if part),
                f"{words} {base}{mean}{f' [{unit}]' if unit else ''}",
            )
    unit = header.column_units.get(name, "")
    return ("", _UCDS.get(name, ""), "[dex]") if unit == "dex" else (unit, _UCDS.get(name, ""), "")


def votable(header: Header, fields: list[tuple[str, str, int | None]]) -> str:
    """A VOTable without data for Parquet's metadata, as VOParquet 1.0 (IVOA Note 2025-01-14) has it.

    Parameters
    ----------
    header : Header
        The file's header.
    fields : list of (name, VOTable datatype, length of a row or None)
        In the file's column order.

    Returns
    -------
    str
        XML.
    """
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
        '<RESOURCE type="results"><TABLE name="codes">',
        "<DESCRIPTION>Sparse codes of galaxy images: prediction = bias + sum of weight x activation</DESCRIPTION>",
        f'<PARAM name="k" datatype="int" value="{header.k}"/>',
        f'<PARAM name="features" datatype="int" value="{header.features}"/>',
        f'<PARAM name="simulated" datatype="boolean" value="{str(bool(header.simulated)).lower()}"/>',
    ]
    for name, datatype, length in fields:
        unit, ucd, text = describe(name, header)
        size = "*" if datatype == "char" else (str(length) if length else "")
        extra = "".join(f" {key}={quoteattr(v)}" for key, v in (("arraysize", size), ("unit", unit), ("ucd", ucd)) if v)
        inner = f"<DESCRIPTION>{escape(text)}</DESCRIPTION>" if text else ""
        lines.append(f'<FIELD name={quoteattr(name)} datatype="{datatype}"{extra}>{inner}</FIELD>')
    lines.append("</TABLE></RESOURCE></VOTABLE>")
    return "\n".join(lines)
