"""Positions typed by hand, distances on the sky, and the search around a place, against astropy."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from sfnet_core.astro.sky_position import Place, read_place, separation
from sfnet_core.data.filters.grammar import parse
from sfnet_core.data.filters.masks import first_cone
from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.explore.search import angle, without_cone
from sfnet_core.explorer.shared.survey_links import survey_links
from sfnet_core.utils.errors import SFNetError

ra = st.floats(0, 360, exclude_max=True)
dec = st.floats(-90, 90) | st.sampled_from([-90.0, 90.0, 89.999999, -89.999999, 0.0])


@settings(deadline=None, max_examples=200)
@given(ra, dec, st.lists(st.tuples(ra, dec), min_size=1, max_size=6))
def test_separations_are_astropys(ra0, dec0, others):
    a, d = np.array(others).T
    expected = SkyCoord(a, d, unit="deg").separation(SkyCoord(ra0, dec0, unit="deg")).deg
    np.testing.assert_allclose(separation(a, d, ra0, dec0), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ((359.9, 0.0), (0.1, 0.0), 0.2),
        ((10.0, 89.9), (190.0, 89.9), 0.2),  # over the pole
        ((10.0, -90.0), (200.0, -90.0), 0.0),
        ((0.0, 0.0), (180.0, 0.0), 180.0),
        ((0.0, 45.0), (180.0, -45.0), 180.0),
        ((150.0, 2.0), (150.0, 2.0 + 1e-9), 1e-9),
    ],
)
def test_separations_at_the_edges_of_the_sky(one, other, distance):
    found = separation(np.array([one[0]]), np.array([one[1]]), *other)[0]
    assert found == pytest.approx(distance, rel=1e-6, abs=1e-12)


def test_an_unknown_position_has_no_distance():
    assert np.isnan(separation(np.array([np.nan, 1.0]), np.array([2.0, np.nan]), 0, 0)).all()


@pytest.mark.parametrize(
    ("text", "astropys", "radius"),
    [
        ("150.1 2.2 5'", "150.1d 2.2d", 5 / 60),
        ("150.1, +2.2, 5 arcmin", "150.1d 2.2d", 5 / 60),
        ("150.1 −2.2 30″", "150.1d -2.2d", 30 / 3600),
        ("RA=150.1 Dec=-2.2 r=0.1 deg", "150.1d -2.2d", 0.1),
        ('10:00:24 +02:12:00 30"', "10h00m24s +02d12m00s", 30 / 3600),
        ("10:00:24.125 -00:12:00.5", "10h00m24.125s -00d12m00.5s", 1 / 60),
        ("10h00m24s -02d12m30s 2 arcmin", "10h00m24s -02d12m30s", 2 / 60),
        ("00 42 44.3 +41 16 09 1°", "00h42m44.3s +41d16m09s", 1.0),
        ("10:30 -00:30 1'", "10h30m -0d30m", 1 / 60),
    ],
)
def test_positions_are_read_as_astropy_reads_them(text, astropys, radius):
    place, expected = read_place(text), SkyCoord(astropys)
    assert (place.ra, place.dec) == (
        pytest.approx(expected.ra.deg, abs=1e-9),
        pytest.approx(expected.dec.deg, abs=1e-9),
    )
    assert place.degrees == pytest.approx(radius)


@settings(deadline=None, max_examples=150)
@given(ra, dec, st.floats(0.01, 60), st.sampled_from(["deg", "arcmin", "arcsec"]))
def test_a_place_becomes_a_cone_of_the_filter(ra0, dec0, radius, unit):
    cone = parse(Place(ra0, dec0, radius, unit).clause)
    assert cone.dec == pytest.approx(dec0, abs=1e-7) and cone.ra == pytest.approx(ra0, abs=1e-7)
    assert cone.radius == pytest.approx(Place(ra0, dec0, radius, unit).degrees, rel=1e-5)


@settings(deadline=None)
@given(ra, st.floats(-89.99, 89.99))
def test_sexagesimal_positions_come_back(ra0, dec0):
    written = SkyCoord(ra0, dec0, unit="deg").to_string("hmsdms", sep=":", precision=4)
    place = read_place(f"{written} 1'")
    assert abs((place.ra - ra0 + 180) % 360 - 180) < 1e-6 and place.dec == pytest.approx(dec0, abs=1e-7)


@pytest.mark.parametrize(
    "text", ["", "sim-0-000206", "1237648704043942146", "2MASX J10", "f61", "<img src=x>", "NGC 1"]
)
def test_identifiers_are_no_positions(text):
    assert read_place(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("150.1 2.2 5", "needs its unit"),
        ("400 2 1'", "RA goes from 0 to 360"),
        ("25:00:00 +02:00:00", "RA goes from 0 to 360"),
        ("150 91 1'", "Dec goes from −90 to 90"),
        ("10:61:00 +02:00:00", "below 60"),
        ("150 2 0'", "more than 0"),
        ("150 2 200 deg", "at most 180"),
        ("150 2 5 furlongs", "furlongs"),
        ("150 2 " + "1" * 200, "at most 120 characters"),
    ],
)
def test_positions_that_are_none_are_said_so(text, said):
    with pytest.raises(SFNetError, match=said):
        read_place(text)


# -- the search on the page ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sky(made_up):
    """400 galaxies on the whole sky, some around RA 0 and the north pole, one without a position."""
    from sfnet_core.codes.table import SparseCodes

    codes = made_up(400, features=12)
    rng = np.random.default_rng(5)
    a, d = rng.uniform(0, 360, 400), np.degrees(np.arcsin(rng.uniform(-1, 1, 400)))
    a[:20], d[:20] = rng.uniform(-0.3, 0.3, 20) % 360, rng.uniform(-0.3, 0.3, 20)
    a[20:40], d[20:40] = rng.uniform(0, 360, 20), rng.uniform(89.5, 90, 20)
    a[40] = np.nan
    columns = {name: codes.column(name) for name in codes.columns if name not in ("ra", "dec")}
    return SparseCodes.from_arrays(
        ids=codes.ids, indices=codes.indices, values=codes.values, k=codes.k, features=codes.features, ra=a, dec=d,
        weight=codes.weight, bias=codes.bias, targets=codes.targets, units=codes.units, columns=columns,
        split=codes.split, truth=codes.truth().reshape(-1, 1),
    )  # fmt: skip


def ask(page: Explorer, text: str) -> None:
    page.gallery._receive(None, {"do": "find", "id": text}, [])


@pytest.mark.parametrize(
    ("where", "centre"), [("0 0 20'", (0, 0)), ("359.95 0.05 15'", (359.95, 0.05)), ("77 89.9 0.3 deg", (77, 89.9))]
)
def test_the_cone_holds_what_astropy_finds_nearest_first(sky, where, centre):
    page = Explorer(sky)
    page.state.change(split="")
    ask(page, where)
    known = np.isfinite(sky.ra)
    distance = np.full(400, np.inf)
    distance[known] = SkyCoord(sky.ra[known], sky.dec[known], unit="deg").separation(SkyCoord(*centre, unit="deg")).deg
    inside = np.flatnonzero(distance <= read_place(where).degrees)
    assert len(inside) > 3
    expected = inside[np.argsort(distance[inside])]
    data = page.gallery.data
    assert [g["id"] for g in data["galaxies"]] == sky.ids[expected[:28]].tolist() and data["total"] == len(inside)
    assert [g["value"] for g in data["galaxies"]] == [f"{60 * d:.3f}" for d in distance[expected[:28]]]
    assert data["unit"] == "arcmin" and data["of"] == f"galaxies · all splits, filtered from {len(inside)} in the cone"
    assert page.state.galaxy == expected[0]
    page.state.undo()
    assert page.state.filter == "" and page.state.sort != "cone_distance"  # one step back for all of it


def test_galaxies_outside_the_view_are_counted(sky):
    page = Explorer(sky)
    ask(page, "0 0 30'")
    inside = separation(sky.ra, sky.dec, 0, 0) <= 0.5
    here = inside & (sky.split == "validation")
    assert 0 < here.sum() < inside.sum() and page.gallery.data["total"] == here.sum()
    assert page.gallery.data["of"] == f"galaxies · validation, filtered from {inside.sum()} in the cone"
    assert not page.header.data["notices"]


def test_a_cone_joins_the_filter_and_replaces_the_last_cone(sky):
    page = Explorer(sky)
    page.state.change(split="", filter="f0 or f1 or not f2")
    ask(page, "0 0 30'")
    assert page.state.filter == "(f0 or f1 or not f2) and within 30 arcmin of 0 0"
    ask(page, "0.1 0 40'")
    assert page.state.filter == "(f0 or f1 or not f2) and within 40 arcmin of 0.1 0"
    assert first_cone(page.state.filter, page.scene.names(0))[:2] == (0.1, 0.0)


def test_nothing_there_changes_nothing_and_says_where_the_nearest_is(sky):
    page = Explorer(sky)
    before = page.state.values()
    ask(page, '200 -89.99 0.001"')
    row = int(np.nanargmin(separation(sky.ra, sky.dec, 200, -89.99)))
    assert page.state.values() == before
    assert f"the nearest is {sky.ids[row]} at " in page.header.data["notices"][-1]


def test_an_identifier_comes_before_a_position(gated):
    codes = gated(np.eye(3), np.ones(3), 0.0, k=1, r=1, ids=["10 20", "a", "b"])
    page = Explorer(codes)
    ask(page, "10 20")
    assert page.state.galaxy == 0 and not page.header.data["notices"]
    ask(page, "10 20 5'")
    assert page.header.data["notices"] == ["These galaxies have no RA and Dec, so there is no search by position."]
    ask(page, "12:30")
    assert "12:30" in page.header.data["notices"][-1]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("", ""),
        ("  ", ""),
        ("within 1 deg of 1 2", ""),
        ("z > 1 and within 1 deg of 1 2", "z > 1"),
        ("z > 1 AND cone(1, 2, 1 deg)", "z > 1"),
        ("z > 1 and (within 1 deg of 1 2)", "z > 1 and (within 1 deg of 1 2)"),
        ("z > 1 or f1", "(z > 1 or f1)"),
        ("z > 1 and not within 1 deg of 1 2", "z > 1 and not within 1 deg of 1 2"),
        ("within 1 deg of 1 2 and z > 1", "within 1 deg of 1 2 and z > 1"),
    ],
)
def test_the_cone_at_the_end_is_taken_off(text, rest):
    assert without_cone(text) == rest


@pytest.mark.parametrize(
    ("degrees", "shown"), [(0, "0″"), (1 / 3600, "1″"), (0.1, "6′"), (0.99999, "60′"), (12, "12°")]
)
def test_angles_come_in_the_unit_that_suits_them(degrees, shown):
    assert angle(degrees) == shown


# -- links ---------------------------------------------------------------------------------------------------------


def test_links_open_the_field_of_the_cutout(sky):
    from urllib.parse import parse_qs, urlsplit

    row = 100
    links = {name: urlsplit(url) for name, url, _ in survey_links(sky, row)}
    for name, query in ((n, parse_qs(link.query)) for n, link in links.items()):
        if name == "SIMBAD":
            place = SkyCoord(query["Coord"][0], unit="deg")
            assert query["Radius"] == ["10"] and query["Radius.unit"] == ["arcsec"]
        else:
            place = SkyCoord(float(query["ra"][0]), float(query["dec"][0]), unit="deg")
        assert place.separation(SkyCoord(sky.ra[row], sky.dec[row], unit="deg")).arcsec < 0.01
    assert [link.netloc for link in links.values()] == [
        "www.legacysurvey.org",
        "skyserver.sdss.org",
        "simbad.cds.unistra.fr",
    ]
    assert survey_links(sky, 40) == []  # its position is not known


@pytest.mark.parametrize(("scale", "width", "dec0"), [(0.262, 160, 0.0), (0.396, 128, 60.0), (None, None, -30.0)])
def test_the_viewers_scale_is_the_cutouts(gated, scale, width, dec0):
    from urllib.parse import parse_qs, urlsplit

    codes = gated(
        np.eye(3), np.ones(3), 0.0, k=1, r=1, ra=[10.0] * 3, dec=[dec0] * 3, provenance={"pixel_scale": scale}
    )
    query = {name: parse_qs(urlsplit(url).query) for name, url, _ in survey_links(codes, 0, width)}
    field = scale * width if scale else 42.0
    assert float(query["SDSS"]["scale"][0]) * 512 == pytest.approx(field, rel=0.01)
    pixel = 360 * 3600 / (256 * 2 ** int(query["Legacy Survey"]["zoom"][0])) * np.cos(np.radians(dec0)) * u.arcsec
    assert 0.7 < (field * u.arcsec / pixel).value / 512 < 1.42  # to the nearest step of 2
