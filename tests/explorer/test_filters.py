"""Filters: the grammar against an evaluator that shares nothing with it, its errors, its completions, its limits."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.analysis.code_names import CodeNames
from sfnet_core.astro.galaxy_classes import CLASSES, galaxy_classes
from sfnet_core.astro.sky_position import separation
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.filters.completion import complete, word_at
from sfnet_core.data.filters.grammar import FilterError, parse
from sfnet_core.data.filters.masks import select
from sfnet_core.data.filters.names import Names
from sfnet_core.data.filters.tokens import LONGEST
from sfnet_core.explorer.shared.sample import sample_dataset
from sfnet_core.utils.errors import SFNetError

NAN = float("nan")
LABELS = {0: "bar", 2: "ring <img src=x onerror=alert(1)>", 4: "BAR, dusty"}
STARS = {1, 4}
COLUMNS = {
    "z": np.array([0.01, 0.02, 0.05, 0.05, 0.1, NAN, 0.3, 0.02]),
    "lgm_tot_p50": np.array([9.0, 9.5, NAN, 10.0, 10.5, 11.0, 8.5, 10.0]),
    "f32": np.array([0.1, 0.2, 0.3, NAN, 0.5, -1.5, 2.0, 0.1], dtype=np.float32),
    "count": np.array([1, 2, 3, 4, 5, 6, 2**62 + 1, -7]),
    "kind": np.array(["spiral", "elliptical", "merger", "", "spiral", 'say "hi"', "it's", "spiral"]),
    "bptclass": np.array([1, 2, 3, 4, 5, -1, 1, 4]),
    "my column": np.array([1.0, 2, 3, 4, 5, 6, 7, 8]),
    "residual": np.array([8.0, 7, 6, 5, 4, 3, 2, 1]),
    "good": np.array([True, False, True, False, True, False, True, False]),
}
POSITIONS = {
    "ra": np.array([150.1, 150.12, 359.99, 0.01, 10.0, 10.0, NAN, 200.0]),
    "dec": np.array([2.2, 2.2, 0.0, 0.0, 89.99, 89.99, 0.0, -45.0]),
}
DENSE = np.array(
    [[0.5, 0.0, 0.25, 0.1], [0.0, 1.0, 0.3, 0.2], [0.3, 0.2, 0.1, 0.0], [0.0, 0.0, 0.0, 0.0]] * 2, dtype=np.float32
)
WEIGHT = np.array([[0.2, -0.5, 1.0, 3.0]])
TRUTH = np.array([8.5, 8.7, NAN, 9.0, 9.1, 8.9, 8.8, NAN])
IDS = ["123", "1237648704043942146", "1237648704043942147", "g,1", "h(2)", "<img src=x>", "x and y", "ngc 1"]


@pytest.fixture(scope="module")
def codes() -> SparseCodes:
    order = np.argsort(-DENSE, axis=1, kind="stable")[:, :3]
    values = np.take_along_axis(DENSE, order, axis=1)
    return SparseCodes.from_arrays(
        ids=IDS, indices=np.where(values > 0, order, -1), values=values, k=2, features=4, weight=WEIGHT, bias=[8.6],
        targets=["oh_p50"], units=["dex"], truth=TRUTH, columns=COLUMNS | POSITIONS,
        split=["train", "validation", "test", "", "train", "validation", "train", "train"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def names(codes) -> CodeNames:
    return CodeNames(codes, given={"label": lambda: LABELS, "star": lambda: STARS})


def rows(text: str, names: CodeNames) -> list[int]:
    return np.flatnonzero(select(text, names)).tolist()


# ---- against an independent evaluator


def plain_values(codes: SparseCodes) -> dict[str, list]:
    """What every name means, galaxy by galaxy, from the arrays above; None for unknown."""
    kept = [sorted(range(4), key=lambda j, row=row: (-row[j], j))[:2] for row in DENSE.tolist()]
    gated = [[row[j] if j in keep else 0.0 for j in range(4)] for row, keep in zip(DENSE.tolist(), kept, strict=True)]
    prediction = [8.6 + sum(WEIGHT[0, j] * row[j] for j in range(4)) for row in gated]
    known = lambda x: None if x == "" or x != x else x  # noqa: E731
    table = {name: [known(x) for x in COLUMNS[name].tolist()] for name in ("z", "lgm_tot_p50", "count", "kind")}
    table |= {"`my column`": COLUMNS["my column"].tolist(), "`bptclass`": COLUMNS["bptclass"].tolist()}
    table["truth"] = [known(x) for x in TRUTH.tolist()]
    table["oh_p50"] = table["truth"]
    table["prediction"] = prediction
    table["residual"] = [None if t is None else p - t for p, t in zip(prediction, table["truth"], strict=True)]
    table |= {f"f{j}": [row[j] for row in gated] for j in range(4)}
    table["c1"] = [WEIGHT[0, 1] * row[1] for row in gated]
    table["bpt"] = ["SF", "SF", "composite", "AGN", "LINER", None, "SF", "AGN"]
    table["split"] = [known(s) for s in codes.split.tolist()]
    table["id"] = IDS
    table["label"] = [LABELS.get(i) for i in range(8)]
    table["star"] = [i in STARS for i in range(8)]
    table["good"] = COLUMNS["good"].tolist()
    table["ra"], table["dec"] = ([known(x) for x in POSITIONS[n].tolist()] for n in ("ra", "dec"))
    return table


NUMBERS = ["z", "lgm_tot_p50", "count", "`my column`", "`bptclass`", "truth", "oh_p50", "prediction", "residual", "f0",
           "f1", "f2", "c1", "ra", "dec"]  # fmt: skip
TEXTS = {"kind": ["spiral", "merger", 'say "hi"', "it's", "no such"], "bpt": ["SF", "composite", "AGN", "LINER"],
         "split": ["train", "validation", "test"], "id": [*IDS, "?"], "label": [*LABELS.values(), "none"]}  # fmt: skip
SIGNS = {"=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
         ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}  # fmt: skip
constants = st.sampled_from([0, 1, 2, 4, -7, 0.02, 0.05, 0.5, 0.25, 8.6, 9.0, 9.1, 1e-3, -1.5, 2**62 + 1, 10])
any_case = st.sampled_from([str.lower, str.upper, str.title])


def quoted(text: str, quote: str) -> str:
    return quote + text.replace(quote, quote * 2) + quote


@st.composite
def conditions(draw):
    """(text, function of (values by name, row) → bool) of one condition, built side by side."""
    word = draw(any_case)
    kind = draw(
        st.sampled_from(
            ["compare", "names", "chain", "between", "in", "text", "texts", "contains", "known", "flag", "cone"]
        )
    )
    number, other = draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(NUMBERS))
    sign, second = draw(st.sampled_from(list(SIGNS))), draw(st.sampled_from(list(SIGNS)))
    a, b = draw(constants), draw(constants)
    negated = draw(st.booleans())
    maybe = f"{word('not')} " if negated else ""
    name = draw(st.sampled_from(list(TEXTS)))
    texts = draw(st.lists(st.sampled_from(TEXTS[name]), min_size=1, max_size=12))
    quote = draw(st.sampled_from("\"'"))
    if kind == "compare":
        size = draw(st.booleans())
        shown = f"abs({number})" if size else number
        text = f"{a} {sign} {shown}" if negated else f"{shown}{sign}{a}"

        def holds(v, i):
            x = v[number][i]
            x = abs(x) if size and x is not None else x
            return x is not None and (SIGNS[sign](a, x) if negated else SIGNS[sign](x, a))

    elif kind == "names":
        text = f"{number} {sign} {other}"

        def holds(v, i):
            x, y = v[number][i], v[other][i]
            return x is not None and y is not None and SIGNS[sign](x, y)

    elif kind == "chain":
        text = f"{a} {sign} {number} {second} {b}"

        def holds(v, i):
            x = v[number][i]
            return x is not None and SIGNS[sign](a, x) and SIGNS[second](x, b)

    elif kind == "between":
        low, high = min(a, b), max(a, b)
        text = f"{number} {maybe}{word('between')} {low} {word('and')} {high}"

        def holds(v, i):
            x = v[number][i]
            return x is not None and (low <= x <= high) != negated

    elif kind == "in":
        items = draw(st.lists(constants, min_size=1, max_size=4))
        text = f"{number} {maybe}{word('in')} ({' , '.join(map(str, items))})"

        def holds(v, i):
            x = v[number][i]
            return x is not None and any(x == item for item in items) != negated

    elif kind == "text":
        text = f"{name} {'!=' if negated else '='} {quoted(texts[0], quote)}"

        def holds(v, i):
            x = v[name][i]
            return x is not None and (x == texts[0]) != negated

    elif kind == "texts":
        text = f"{name} {maybe}{word('in')}({','.join(quoted(t, quote) for t in texts)})"

        def holds(v, i):
            x = v[name][i]
            return x is not None and (x in texts) != negated

    elif kind == "contains":
        part = draw(st.sampled_from(["a", "BAR", "1", "123764", "<", " ", '"', "IMG"]))
        text = f"{name} {maybe}{word('contains')} {quoted(part, quote)}"

        def holds(v, i):
            x = v[name][i]
            return x is not None and (part.lower() in x.lower()) != negated

    elif kind == "known":
        name = draw(st.sampled_from([*TEXTS, *NUMBERS]))
        text = f"{name} {word('is')} {maybe}{word('known')}"

        def holds(v, i):
            return (v[name][i] is not None) != negated

    elif kind == "flag":
        name = draw(st.sampled_from(["star", "good", "f0", "f1", "F2"]))
        text = name

        def holds(v, i):
            return bool(v[name.lower()][i])

    else:
        where = draw(st.sampled_from([(150.1, 2.2), (0.0, 0.0), (10.0, 90.0), (200.0, -45.0)]))
        radius = draw(st.sampled_from([0.02, 0.5, 3.0, 60.0, 179.0]))
        unit, factor = draw(st.sampled_from([("deg", 1), ("arcmin", 60), ("ARCSEC", 3600)]))
        comma = draw(st.sampled_from([",", " "]))
        place = f"{where[0]}{comma} {where[1]}"
        size = f"{radius * factor!r}{' ' if negated else ''}{unit}"
        text = f"cone({place}, {size})" if draw(st.booleans()) else f"{word('within')} {size} {word('of')} {place}"

        def holds(v, i):
            ra, dec = v["ra"][i], v["dec"][i]
            if ra is None or dec is None:
                return False
            # spherical law of cosines: another formula, from another textbook
            (a1, d1), (a0, d0) = map(math.radians, (ra, dec)), map(math.radians, where)
            cosine = math.sin(d1) * math.sin(d0) + math.cos(d1) * math.cos(d0) * math.cos(a1 - a0)
            return math.degrees(math.acos(max(-1.0, min(1.0, cosine)))) <= radius

    return text, holds


@st.composite
def filters(draw, depth: int = 3):
    """(text, function) of a whole filter: `and` binds tighter than `or`, `not` tighter than both."""
    word = draw(any_case)
    kind = draw(st.sampled_from(["one", "one", "not", "and", "or"])) if depth else "one"
    if kind == "one":
        return draw(conditions())
    if kind == "not":
        text, holds = draw(filters(depth - 1))
        return f"{word('not')} ({text})", lambda v, i: not holds(v, i)
    parts = [draw(filters(depth - 1)) for _ in range(draw(st.integers(2, 3)))]
    space = draw(st.sampled_from([" ", "  ", "\n", "\t"]))
    if draw(st.booleans()):
        joined = f"{space}{word(kind)}{space}".join(f"({text})" for text, _ in parts)
        every = all if kind == "and" else any
        return joined, lambda v, i: every(holds(v, i) for _, holds in parts)
    # no parentheses: one condition each, joined by a mixture that precedence has to sort out
    flat = [draw(conditions()) for _ in parts]
    joints = [draw(st.sampled_from(["and", "or"])) for _ in flat[1:]]
    inverted = [draw(st.booleans()) for _ in flat]
    text = ""
    groups: list[list] = [[]]
    for n, (piece, holds) in enumerate(flat):
        if n:
            text += f"{space}{word(joints[n - 1])}{space}"
            if joints[n - 1] == "or":
                groups.append([])
        text += f"not {piece}" if inverted[n] else piece
        groups[-1].append((holds, inverted[n]))
    return text, lambda v, i: any(all(holds(v, i) != no for holds, no in group) for group in groups)


@settings(deadline=None, max_examples=600)
@given(made=filters())
def test_every_filter_means_what_an_independent_evaluator_says(made, names, codes):
    text, holds = made
    table = plain_values(codes)
    assert rows(text, names) == [i for i in range(8) if holds(table, i)], text


# ---- what single filters mean


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("   ", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("oh_p50 > 9", [4]),
        ("oh_p50 >= 9.0 or bpt = 'composite'", [2, 3, 4]),
        ("OH_P50 ≥ 9", [3, 4]),
        ("8.7 < oh_p50 <= 9", [3, 5, 6]),
        ("z != 0.05", [0, 1, 4, 6, 7]),
        ("not z = 0.05", [0, 1, 4, 5, 6, 7]),
        ("f32 = 0.1", [0, 7]),
        ("f32 < 1e300", [0, 1, 2, 4, 5, 6, 7]),
        ("f32 <= -1.5 or f32 >= +2", [5, 6]),
        ("z > −1", [0, 1, 2, 3, 4, 6, 7]),
        ("count = 4611686018427387905", [6]),
        ("count = 4611686018427387904", []),
        ("count > 99999999999999999999999", []),
        ("count < 1.5", [0, 7]),
        ("id = 1237648704043942146", [1]),
        ("id in (1237648704043942147, 123)", [0, 2]),
        ('id = "<img src=x>"', [5]),
        ('label contains "<IMG"', [2]),
        ('label contains "bar"', [0, 4]),
        ("label is known and not star", [0, 2]),
        ("label != 'bar'", [2, 4]),
        ('kind = "say ""hi"""', [5]),
        ("kind = 'it''s'", [6]),
        ("kind = “spiral”", [0, 4, 7]),
        ("kind is unknown", [3]),
        ("kind is not known", [3]),
        ("bpt = 'agn'", [3, 7]),
        ("bpt = 'star-forming'", [0, 1, 6]),
        ("bpt is unknown", [5]),
        ("split = 'VALIDATION'", [1, 5]),
        ("split is unknown", [3]),
        ("f0", [0, 2, 4, 6]),
        ("f1 and not f0", [1, 5]),
        ("f3 > 0", []),
        ("c1 < -0.2", [1, 5]),
        ("`residual` = 8", [0]),
        ("margin > 3", []),
        ("`my column` between 2 and 3", [1, 2]),
        ("good and star", [4]),
        ("abs(residual) < 0.2", [4]),
        ("within 2 arcmin of 150.1 2.2", [0, 1]),
        ("within 1 arcmin of 150.1, +2.2", [0]),
        ("within 2 arcmin of 10:00:24 +02:12:00", [0, 1]),
        ("within 72arcsec of 0 0", [2, 3]),
        ('within 2 arcmin of "123"', [0, 1]),
        ("cone(190 , 90, 0.02 deg)", [4, 5]),
        ("cone(-160, -45, 1 arcsec)", [7]),
        ("cone(13:20:00, -45:00:00, 1 arcsec)", [7]),
        ("((((f0))))", [0, 2, 4, 6]),
        ("not not f0", [0, 2, 4, 6]),
        ("f0 or f1 and star", [0, 1, 2, 4, 6]),
        ("(f0 or f1) and star", [1, 4]),
    ],
)
def test_meaning(text, expected, names):
    assert rows(text, names) == expected


@pytest.mark.parametrize("sign", ["=", "!=", "<", "<=", ">", ">="])
@pytest.mark.parametrize("other", ["0.05", "truth", "z"])
def test_an_unknown_value_meets_no_comparison(sign, other, names):
    found = rows(f"z {sign} {other}", names)
    assert 5 not in found, "z of galaxy 5 is not known"
    assert 5 in rows(f"not z {sign} {other}", names)
    for text in ("z between -9 and 9", "z not between 7 and 9", "z in (1, 2)", "z not in (1, 2)", "abs(z) != 1"):
        assert 5 not in rows(text, names)


def test_the_mask_is_a_new_array(names):
    mask = select("good", names)
    mask[:] = False
    assert rows("good", names) == [0, 2, 4, 6]


def test_given_names_replace_and_are_asked_anew(codes):
    now = {"prediction": np.arange(8.0)}
    names = CodeNames(codes, given={"prediction": lambda: now["prediction"]})
    assert rows("prediction > 5", names) == [6, 7]
    np.testing.assert_array_equal(select("residual > 0", names), np.arange(8.0) - TRUTH > 0)
    now["prediction"] = np.zeros(8)
    assert rows("prediction > 5", names) == []


def test_labels_of_other_kinds(codes):
    given = {
        "a": lambda: np.array(["x", "", "y"] + [""] * 5),
        "b": lambda: np.arange(8) > 5,
        "c": lambda: frozenset({3}),
    }
    names = CodeNames(codes, given={**given, "label": lambda: {}, "wrong": lambda: np.zeros(3)})
    assert rows('a = "x" or b or c', names) == [0, 3, 6, 7]
    assert rows("label is known", names) == []
    with pytest.raises(FilterError, match="neither numbers nor texts"):
        select("wrong > 1", names)


@pytest.mark.parametrize(("ra", "dec", "radius"), [(150.1, 20.2, 25.0), (0.5, 60.0, 10.0), (10.0, -5.0, 140.0)])
def test_cones_against_unit_vectors(made_up, ra, dec, radius):
    codes = made_up(2000)

    def unit(a, d):
        a, d = np.radians(a), np.radians(d)
        return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)

    inside = unit(codes.ra, codes.dec) @ unit(ra, dec) >= np.cos(np.radians(radius))
    assert 3 < inside.sum() < 2000
    np.testing.assert_array_equal(select(f"within {radius} deg of {ra} {dec}", CodeNames(codes)), inside)


def test_classes_from_line_fluxes(made_up):
    codes = made_up(50)
    flux = {n: codes.column(n) for n in codes.columns if n.endswith("_flux")}
    other = SparseCodes.from_arrays(
        ids=codes.ids, indices=codes.indices, values=codes.values, k=codes.k, features=codes.features,
        weight=codes.weight, bias=codes.bias, targets=["oh_p50"], columns=flux,
    )  # fmt: skip
    names = CodeNames(other)
    from sfnet_core.astro.bpt import bpt_class, log_ratio

    n2, o3 = (
        log_ratio(flux["nii_6584_flux"], flux["h_alpha_flux"]),
        log_ratio(flux["oiii_5007_flux"], flux["h_beta_flux"]),
    )
    for word, number in (("SF", 1), ("composite", 3), ("AGN", 4)):
        np.testing.assert_array_equal(select(f'bpt = "{word}"', names), bpt_class(n2, o3) == number)
    np.testing.assert_array_equal(select("n2_ha < -0.4 and o3_hb > 0", names), (n2 < -0.4) & (o3 > 0))
    with pytest.raises(FilterError, match="no RA and Dec"):
        select("within 1 deg of 3 4", names)


# ---- errors


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("oh_p5 > 9", 1, "no name oh_p5 here.*Did you mean oh_p50"),
        ("oh_p50 > 9 and zz > 1", 16, "no name zz"),
        ("`zz` > 1", 1, "no catalogue column zz"),
        ("f4 > 0", 1, "no feature 4; they go from 0 to 3"),
        ("oh_p50 >", 9, "followed by a number, a text or a name, not the end"),
        ("oh_p50 > 9 and", 15, "begins with a name"),
        ("oh_p50 > 9 nad f3", 12, "Did you mean and"),
        ("f0 xor f1", 4, "`and` or `or`, not xor.*Did you mean or"),
        ("oh_p50 => 9", 9, "not >"),
        ("(f0 or f1", 10, r"A \) is missing"),
        ("f0)", 3, r"This \) closes nothing"),
        ("f0 & f1", 4, "write `and`"),
        ("f0 | f1", 4, "write `or`"),
        ("!f0", 1, "write `not`"),
        ("z + 1 > 2", 3, "sign stands directly before its number"),
        ("z * 2 > 2", 3, "does not calculate"),
        ("bpt = 'AGM'", 7, 'one of SF, composite, AGN, LINER, not AGM.*"AGN"'),
        ("split in ('train', 'valid')", 20, 'Did you mean "validation"'),
        ("bpt = AGN", 7, 'text in quotes.*Did you mean "AGN"'),
        ("bpt > 'SF'", 1, "texts take only = and !="),
        ("kind = ''", 8, "is unknown"),
        ("z = 'x'", 5, "z is a number"),
        ("z in (1, 'x')", 10, "z is a number"),
        ("z in ()", 7, "A list holds"),
        ("z in (1 2)", 9, "A , or"),
        ("z in 1", 6, "followed by a list"),
        ("z = kind", 5, "kind is a text"),
        ("star > 1", 1, "yes or no"),
        ("z", 1, "needs a comparison, such as z > 0"),
        ("kind", 1, "needs a comparison"),
        ("`good` and `z`", 12, "needs a comparison"),
        ("3 < 4", 1, "Two constants"),
        ("3 and f0", 3, "comparison .* is missing"),
        ("3 is known", 1, "A name is needed"),
        ("3 between 1 and 2", 1, "asks about a name"),
        ("3 in (1, 2)", 1, "asks about a name"),
        ("z between 3 and 2", 11, "smaller end comes first"),
        ("z between 3", 12, "needs two ends"),
        ("z contains 'a'", 1, "asks about a text"),
        ("kind contains a", 15, "followed by a text in quotes"),
        ("kind contains ''", 15, "empty"),
        ("z is 3", 6, "`known` or `unknown`"),
        ("1 < z < 2 < 3", 14, "two comparisons at most"),
        ("abs(kind) > 1", 1, "number"),
        ("abs(3) > 1", 5, "takes one name"),
        ("abz(z) > 1", 1, r"no function abz\(…\).*Did you mean abs"),
        ("within 2 of 3 4", 10, "needs its unit"),
        ("within 2 arcmn of 3 4", 10, "Did you mean arcmin"),
        ("within x of 3 4", 8, "A radius is a number"),
        ("within 2 deg 3 4", 14, "followed by `of`"),
        ("within 0 deg of 3 4", 8, "more than 0"),
        ("within 2 deg of 361 4", 17, "RA goes from 0 to 360"),
        ("within 2 deg of 3 -91", 19, "Dec goes from"),
        ("within 2 deg of 10:61:00 3", 17, "is no RA"),
        ("within 2 deg of 3", 18, "Dec is missing"),
        ("within 2 deg of f0", 17, "RA is missing"),
        ("within 2 deg of 'nobody'", 17, "No galaxy has the identifier nobody"),
        ("within 2 deg of 'x and y'", 17, "position of x and y is not known"),
        ("cone(1, 2)", 10, "radius is missing"),
        ("cone(1, 2, 3 deg", 17, r"A \) is missing"),
        ("'unclosed", 1, "closing ' is missing"),
        ("`unclosed", 1, "closing ` is missing"),
        ("z > 1e999", 5, "too large"),
        ("z > " + "9" * 400, 5, "too large"),
        ("and", 1, "begins with a name"),
        ("oh_p50 > 9 or or f0", 15, "not or"),
        ("z > 1 \u202e", 7, "means nothing"),
        ("z > 1\x00", 6, "means nothing"),
    ],
)
def test_errors_name_the_place(text, place, said, names):
    with pytest.raises(FilterError, match=said) as caught:
        select(text, names)
    assert caught.value.start == place - 1 and f"at character {place}" in str(caught.value)
    assert isinstance(caught.value, SFNetError)
    marks = caught.value.pointer(text).splitlines()[-1]
    assert marks == " " * (place - 1) + "^" * len(marks.strip()) and "^" in marks


def test_a_sentence_never_carries_what_has_no_shape_or_no_end(names):
    for text in ("z\x1b[31m > 1", "\u202ez > 1", "A" * 3000 + " > 1", "kind = \ud800 or"):
        with pytest.raises(FilterError) as caught:
            select(text, names)
        assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


# ---- hostile text


HOSTILE = [
    "@__import__('os').system('touch MARK')",
    "__import__('os').system('touch MARK')",
    "read_csv('/etc/passwd')",
    "z > __import__('os').system('touch MARK')",
    "z > @x",
    "z; DROP TABLE galaxies",
    "1=1; --",
    "z > (select 1)",
    "`z`.__class__ > 1",
    "z.__class__.__mro__",
    "z[0] > 1",
    "lambda: 1",
    "{z}",
    "z > 1 if z else 2",
    "f'{z}' = 1",
    "\\x41 > 1",
    "open('/etc/passwd')",
    "exec('1')",
    "[x for x in (1, 2)]",
    "z := 1",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_t13_hostile_texts_are_only_read(text, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = []
    monkeypatch.setattr(os, "system", calls.append)
    with pytest.raises(FilterError):
        select(text, names)
    assert not calls and not list(tmp_path.iterdir())
    assert all(isinstance(word, str) for word in complete(text, len(text), names))


def test_t13_no_door_to_python_in_the_package():
    """Neither eval nor exec, getattr by a filter's word, pandas' query, or a database."""
    import ast
    from pathlib import Path

    import sfnet_core.data.filters as package

    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).rpartition(".")[2]
                assert called not in {
                    "eval",
                    "exec",
                    "compile_",
                    "query",
                    "execute",
                    "getattr",
                    "__import__",
                    "literal_eval",
                }
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None) or node.names[0].name
                assert module.split(".")[0] not in {"ast", "pandas", "sqlite3", "numexpr", "duckdb"}


def test_t10_a_hostile_identifier_is_a_text_like_any_other(names):
    assert rows("id = '<img src=x>'", names) == [5]
    assert '"<img src=x>"' in complete("id = '<i", 8, names)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("f0 or " * 2000 + "f0", "are more than the 4,096"),
        ("(" * 500 + "f0" + ")" * 500, "parentheses"),
        ("not " * 500 + "f0", "parentheses"),
        ("not (" * 50 + "f0" + ")" * 50, "parentheses"),
        ("f0 or " * 200 + "f0", "100 conditions"),
    ],
)
def test_long_and_deep_filters_are_refused(text, said, names):
    with pytest.raises(FilterError, match=said):
        select(text, names)
    assert complete(text, len(text), names) == [] or len(text) <= LONGEST


def test_the_limits_leave_room(names):
    assert rows("(" * 39 + "f0" + ")" * 39, names) == [0, 2, 4, 6]
    assert rows(" or ".join(["f0"] * 100), names) == [0, 2, 4, 6]
    assert rows("id in (" + ",".join(str(i) for i in range(100, 900)) + ")", names) == [0]


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(
    ["f0", "z", "bpt", "and", "or", "not", "(", ")", ",", "=", "<", "1", "'x'", "in", "between", "within", "deg", "of",
     "cone", "abs", "`z`", "is", "known", "contains", "2.5", "label", '"'])).map(" ".join)))  # fmt: skip
def test_any_text_is_a_mask_or_an_error(names, text):
    try:
        mask = select(text, names)
    except FilterError as error:
        assert 0 <= error.start <= len(text) and str(error)
    else:
        assert mask.shape == (8,) and mask.dtype == bool
    for cursor in (0, len(text) // 2, len(text)):
        assert len(complete(text, cursor, names)) <= 20
        try:
            start, end = word_at(text, cursor)
        except FilterError:
            continue
        assert 0 <= start <= end <= len(text)


# ---- completion


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("oh", ["oh_p50"]),
        ("OH", ["oh_p50"]),
        ("_tot", ["lgm_tot_p50"]),
        ("my", ["`my column`"]),
        ("`my", ["`my column`"]),
        ("resi", ["residual", "`residual`"]),
        ("z ", ["=", "!=", "<"]),
        ("bpt ", ["=", "!=", "in", "contains"]),
        ("star ", ["and", "or"]),
        ("z > 1 ", ["and", "or"]),
        ("z > 1 a", ["and"]),
        ("(z > 1 ", ["and", "or", ")"]),
        ("z > 1 and no", ["not"]),
        ("bpt = ", ['"SF"', '"composite"', '"AGN"', '"LINER"']),
        ("bpt = A", ['"AGN"']),
        ('bpt = "a', ['"AGN"']),
        ("bpt in ('SF', ", ['"SF"', '"composite"', '"AGN"', '"LINER"']),
        ("split != v", ['"validation"']),
        ("kind = ", ['"spiral"']),
        ("kind = s", ['"spiral"', '"say ""hi"""']),
        ("label contains 'r", ['"ring <img src=x onerror=alert(1)>"']),
        ("id = '1237648704043942146", ['"1237648704043942146"']),
        ("id = '12376", ['"1237648704043942146"', '"1237648704043942147"']),
        ("wit", ["within"]),
        ("within 2 ", ["arcmin", "arcsec", "deg"]),
        ("within 2 arcm", ["arcmin"]),
        ("within 2 arcmin ", ["of"]),
        ("z is ", ["known", "unknown", "not"]),
        ("z between 1 ", ["and"]),
        ("z > tr", ["truth"]),
        ("f", ["`f32`", "f0"]),
        ("z >> ", []),
        ("z > @", []),
        ("nothing ", []),
    ],
)
def test_completion(text, first, names):
    found = complete(text, len(text), names)
    assert found[: len(first)] == first and (first or not found)


def test_completion_in_the_middle_looks_left_only(names):
    text = "oh > 9 and f0"
    assert complete(text, 2, names) == ["oh_p50"] and word_at(text, 2) == (0, 2)
    start, end = word_at("z > 1 and bpt = 'A", 18)
    assert (start, end) == (16, 18)
    assert word_at("z > 1 ", 6) == (6, 6)


def test_what_is_completed_can_be_read(names):
    """Every name, written as completion writes it, is understood, and takes the place of what was typed."""
    for word in names.words():
        name = word.strip("`").replace("``", "`")
        text = name[:2]
        if not text.isidentifier():
            continue
        assert word == text or word in complete(text, len(text), names) or len(complete(text, len(text), names)) == 20
        parse(f"{word} is known")
        assert select(f"{word} is known", names).shape == (8,)


def test_features_come_by_how_often_they_fire(names):
    assert names.active == [0, 1, 2] or names.active[0] == 0
    assert [w for w in names.words() if w.startswith("f") and w[1:].isdigit()] == [f"f{j}" for j in names.active]
    assert "f3" not in names.words(), "feature 3 is never kept"


# ---- a catalogue without codes


def test_a_dataset_is_filtered_by_its_columns_alone():
    data = sample_dataset()
    names, mass, z = Names(data), data.column("lgm_tot_p50"), data.column("z")
    np.testing.assert_array_equal(select("lgm_tot_p50 > 10 and z < 0.05", names), (mass > 10) & (z < 0.05))
    kind = galaxy_classes(data)
    np.testing.assert_array_equal(select('bpt = "AGN"', names), kind == CLASSES.index("AGN"))
    first = str(data.ids[0])
    np.testing.assert_array_equal(select(f'id = "{first}"', names), data.ids == first)
    separated = separation(data.column("ra"), data.column("dec"), data.column("ra")[0], data.column("dec")[0])
    np.testing.assert_array_equal(select(f'within 2 deg of "{first}"', names), separated <= 2)
    assert {"id", "bpt", "n2_ha", "o3_hb", "z"} <= set(names.words())
    for text in ("prediction > 9", "f3", "residual > 0", 'split = "train"'):
        with pytest.raises(FilterError):
            select(text, names)
