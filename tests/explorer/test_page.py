"""The page as a whole: over codes of every kind, what a change redraws, links, and mistakes at the door."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest

from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.explore.page import Explorer, explore
from sfnet_core.explorer.server import serve
from sfnet_core.explorer.shared.linked import LinkedFigures
from sfnet_core.explorer.shared.state import pack_rows
from sfnet_core.utils.errors import SFNetError

NAN = float("nan")
HTML = "<img src=x onerror=alert(1)>"
VIEWS = ("header", "toggles", "k_slider", "plot_menu", "inspector", "gallery")


# -- codes of every kind -------------------------------------------------------------------------------------------

DENSE = np.array([[1.0, 0.0, 0.5], [0.0, 2.0, 0.25], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]])
SOME = {"weight": [1, -1, 0.5], "bias": 8, "k": 2, "r": 1}
TRUTH = np.array([8.1, NAN, 7.9, 9.0])
KINDS = {
    "with truth": {"truth": TRUTH, "split": ["train", "validation", "validation", "train"]},
    "without truth": {"split": ["train", "validation", "validation", "train"]},
    "without splits": {"truth": TRUTH},
    "some without a split": {"truth": TRUTH, "split": ["", "validation", "", "train"]},
    "with all columns": {"truth": TRUTH, "columns": {n: np.arange(1.0, 5) for n in ("z", "lgm_tot_p50", "ra", "dec")}},
    "with text columns": {"columns": {"z": np.array(["a", "b", "c", "d"]), HTML: np.array([HTML] * 4)}},
    "with unknown values": {"truth": np.full(4, NAN), "columns": {"z": np.full(4, NAN), "ra": np.full(4, np.inf)}},
    "of one weight 0": {"weight": [0, 0, 0], "truth": np.full(4, 8.0)},
    "without runners-up": {"r": 0, "truth": TRUTH},
    "with nothing firing": {"dense": np.zeros((4, 3)), "truth": TRUTH},
    "of one galaxy": {"dense": DENSE[:1], "truth": TRUTH[:1], "split": ["validation"]},
    "of one galaxy without truth": {"dense": DENSE[:1]},
    "of one feature": {"dense": DENSE[:, :1], "weight": [2], "k": 1, "r": 0, "truth": TRUTH},
    "of no galaxy": {"dense": DENSE[:0], "truth": TRUTH[:0]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_opens_and_every_control_works(gated, kind):
    given = {"dense": DENSE, **SOME, **KINDS[kind]}
    page = Explorer(gated(**given))
    n, features = len(page.codes), page.codes.features
    for off, mode in (({0}, "ablate"), ({0}, "refill"), (set(range(features)), "refill"), (set(), "ablate")):
        page.state.change(off=off, mode=mode)
        assert page.inspector.data["id"] == (page.codes.ids[page.state.galaxy] if n else "")
    for plot in page.scene.plots:
        page.state.change(third=plot, fourth=plot)
    for key in page.scene.quantities:
        page.state.change(sort=key, descending=not page.state.descending)
        assert len(page.gallery.data["galaxies"]) == len(page.scene.rows(page.state.split))
    for split in ("", *page.scene.splits):
        page.state.change(split=split, feature=features - 1, selection=pack_rows(range(n)))
        assert f"N {page.scene.numbers(page.state).n or len(page.scene.rows(split))} " in page.header.data["status"]
    page.state.change(feature=-1, galaxy=-1, selection=b"")
    assert page.inspector.data == {"shown": True, "id": "", "empty": page.inspector.empty}
    page.state.change(**page._defaults)
    assert page.query == ""
    if "truth" not in page.scene.quantities:
        assert "RMSE" not in page.header.data["status"]


def test_the_page_opens_on_validation_the_strongest_feature_and_the_first_galaxy(made_up):
    page = Explorer(made_up(80, features=16))
    state = page.state
    assert (state.split, state.off, state.third, state.fourth, state.sort) == (
        "validation",
        frozenset(),
        "mass",
        "bpt",
        "truth",
    )
    assert state.feature == page.toggles.data["rows"][0]["feature"]
    rows = page.scene.rows("validation")
    assert state.galaxy == rows[np.argmax(page.codes.truth()[rows])]
    assert page.gallery.data["galaxies"][0]["id"] == page.codes.ids[state.galaxy] == page.inspector.data["id"]
    assert not state.undo() and page.query == ""


# -- what a change redraws -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built(made_up) -> Explorer:
    return Explorer(made_up(150, features=32, map_shape=(2, 2)))


@pytest.fixture
def page(built) -> Explorer:
    built.state.change(**built._defaults)
    built.state.forget()
    built.header.dismiss()
    return built


def redrawn(page: Explorer, monkeypatch, change: dict) -> set[str]:
    """The views whose data went to the browser, and 'plots' for a patch of the figures."""
    seen: set[str] = set()
    monkeypatch.setattr(LinkedFigures, "send", lambda self, content, buffers=None: seen.add("plots"))
    watchers = []
    for name in VIEWS:
        watchers.append((getattr(page, name), lambda _change, name=name: seen.add(name)))
        watchers[-1][0].observe(watchers[-1][1], "data")
    page.state.change(**change)
    for view, watcher in watchers:
        view.unobserve(watcher, "data")
    return seen


def test_a_toggle_redraws_what_shows_its_numbers(page, monkeypatch):
    on_the_galaxy = int(page.scene.terms(page.state, page.state.galaxy)[0]["feature"])
    everywhere = {"header", "toggles", "k_slider", "inspector", "plots"}
    assert redrawn(page, monkeypatch, {"off": {on_the_galaxy}}) == everywhere
    # sorted by what the toggle changes, the gallery follows too
    page.state.change(sort="prediction")
    assert redrawn(page, monkeypatch, {"off": set()}) == everywhere | {"gallery"}


def test_every_other_change_redraws_its_own_views(page, monkeypatch):
    rows = page.scene.rows("validation")
    other = next(row["feature"] for row in page.toggles.data["rows"] if row["feature"] != page.state.feature)
    kept = str(page.inspector.data["terms"][0]["feature"])
    expected = [
        ({"galaxy": int(rows[3])}, {"header", "inspector", "gallery", "plots"}),
        ({"selection": pack_rows(rows[:2])}, {"header", "gallery", "plots"}),
        ({"selection": b""}, {"header", "gallery", "plots"}),
        ({"third": "sky"}, {"header", "plot_menu", "plots"}),
        ({"sort": "z"}, {"header", "gallery"}),
        ({"descending": False}, {"header", "gallery"}),
        ({"map": kept}, {"header", "inspector"}),
        ({"split": ""}, {"header", "toggles", "k_slider", "inspector", "gallery", "plots"}),
        ({"page": 1}, {"header", "gallery"}),
        ({"mode": "refill"}, {"header", "toggles", "plots"}),
        ({"feature": other}, {"header", "toggles", "inspector", "gallery", "plots"}),
    ]
    for change, views in expected:
        found = redrawn(page, monkeypatch, change)
        assert found == views, change


def test_another_k_is_another_gate_before_the_same_head(gated, plain_prediction):
    rng = np.random.default_rng(3)
    dense, weight = rng.random((30, 6)).astype(np.float32), rng.normal(size=6)
    truth = plain_prediction(dense, weight, 8, 3, frozenset(), "ablate") + rng.normal(0, 0.1, 30)
    page = Explorer(gated(dense, weight, 8, 3, 3, truth=truth))
    first = page.gallery.data
    for k in (1, 6, 4, 3, 2):
        for off, mode in ((frozenset(), "ablate"), (frozenset({1, 4}), "ablate"), (frozenset({1, 4}), "refill")):
            page.state.change(k=k, off=off, mode=mode)
            plain = plain_prediction(dense, weight, 8, k, off, mode)
            rmse = [
                np.sqrt(np.mean((plain_prediction(dense, weight, 8, other, off, mode) - truth) ** 2))
                for other in range(1, 7)
            ]
            assert np.allclose(page.plots.source.data["y1"], plain, atol=1e-9)
            assert page.k_slider.data["k"] == k and page.k_slider.data["rmse"] == pytest.approx(rmse)
            assert f"RMSE {rmse[k - 1]:.4f} dex" in page.header.data["status"]
            assert page.inspector.data["prediction"] == f"{plain[page.state.galaxy]:.4f}"
            assert sum(t["state"] != "off" for t in page.inspector.data["terms"]) <= k
    while page.state.undo():
        pass
    assert page.state.k == 3 and page.gallery.data == first


def test_a_map_shows_what_there_are_maps_of_at_any_k(page):
    codes, row = page.scene.codes, page.state.galaxy
    for k in (1, codes.k, codes.k + 3):
        page.state.change(k=k)
        kept = slice(0, min(k, codes.k))
        expected = float(np.sum(codes.weight[0][codes.indices[row, kept]] * codes.values[row, kept]))
        assert np.sum(page.inspector.data["cells"]) == pytest.approx(expected, abs=1e-5)
        assert ("have no map" in page.inspector.data["mapnote"]) == (k > codes.k)
    beyond = int(codes.indices[row, codes.k])
    page.state.change(map=str(beyond))
    assert not np.any(page.inspector.data["cells"]) and "no map" in page.inspector.data["mapnote"]


def test_the_views_say_the_same_number(page):
    page.state.change(off={row["feature"] for row in page.toggles.data["rows"][:3]}, mode="refill", sort="prediction")
    row, state = page.state.galaxy, page.state
    now = page.scene.prediction(state)
    assert page.inspector.data["prediction"] == f"{now[row]:.4f}"
    shown = {g["id"]: g["value"] for g in page.gallery.data["galaxies"]}
    assert all(value == f"{now[page.codes.index_of(name)]:.3f}" for name, value in shown.items())
    rows = page.scene.rows(state.split)
    rmse = float(np.sqrt(np.mean((now[rows] - page.codes.truth()[rows]) ** 2)))
    assert f"RMSE {rmse:.4f} dex" in page.header.data["status"]
    assert f"RMSE {rmse:.4f} dex" in page.plots.panels[1].figure.title.text
    assert np.array_equal(page.plots.source.data["y1"], now[rows])
    assert "3 off, refill" in page.header.data["status"]


# -- links ---------------------------------------------------------------------------------------------------------


def test_a_link_opens_the_same_view(page):
    page.state.change(
        off={0, 5}, feature=3, split="train", third="sky", galaxy=7, selection=pack_rows([1, 2]), map="none"
    )
    query, values = page.query, page.state.values()
    page.state.change(**page._defaults)
    page.open_link(f"?token=secret&{query}")
    assert page.state.values() == values and page.header.data["notices"] == [] and page.query == query
    assert not page.state.undo()


@pytest.mark.parametrize(
    "query",
    ["galaxy=not-there", f"galaxy={HTML}", "third=nothing", "fourth=<b>", "sort=__class__", "target=1", "target=-1",
     "map=<b>", "map=%C2%B2", "off=99", "off=1,-1", "page=-1", "feature=32", "split=<b>", "x" * 2**20, "selection=%00"],
    ids=lambda q: q[:20],
)  # fmt: skip
def test_t11_a_link_that_does_not_hold_opens_the_page_with_a_notice(page, query):
    before, serial = page.state.values(), page.header.data["opened"]
    page.header._receive(None, {"do": "open-link", "query": query}, [])
    assert page.state.values() == before
    assert len(page.header.data["notices"]) == 1 and page.header.data["opened"] == serial + 1


@pytest.mark.parametrize("query", ["", "?", "unknown=1&__init__=2", "&&&=&%", "page=99999999999999999999", "sort="])
def test_t11_a_strange_link_opens_the_page(page, query):
    serial = page.header.data["opened"]
    page.header._receive(None, {"do": "open-link", "query": query}, [])
    assert page.header.data["opened"] == serial + 1


# -- hostile texts -------------------------------------------------------------------------------------------------


def test_t10_identifiers_stay_text_in_every_view(gated):
    ids = [HTML, "<script>alert(1)</script>", "$$\\href{javascript:alert(1)}{x}$$", "@{id}&lt;b&gt;"]
    columns = {"z": np.arange(1.0, 5), HTML: np.arange(4.0)}
    page = Explorer(gated(DENSE, [1, -1, 0.5], 8, 2, 1, ids=ids, columns=columns, column_units={"z": HTML}), title=HTML)
    assert {g["id"] for g in page.gallery.data["galaxies"]} == set(ids)
    assert set(page.plots.source.data["id"]) == set(ids) and page.header.data["title"] == HTML
    assert [HTML, HTML] in page.gallery.data["sorts"]
    assert page.plots.panels[0].hover.tooltips is None  # Bokeh makes none: the page's own has text only
    page.gallery._receive(None, {"do": "find", "id": "<b>nowhere</b>"}, [])
    assert "<b>nowhere</b>" in page.header.data["notices"][-1]
    page.open_link(f"galaxy={HTML}")
    assert page.inspector.data["id"] == HTML
    page.open_link("third=" + HTML)
    assert HTML in page.header.data["notices"][-1]


# -- the door ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def codes_of(tiny_dataset, gated, tmp_path_factory):
    """``codes_of(fingerprint)``: the path of codes of the tiny dataset's galaxies that name that fingerprint."""
    folder = tmp_path_factory.mktemp("codes")

    def write(fingerprint: str | None) -> Path:
        path = folder / f"{fingerprint}.parquet"
        dense = np.random.default_rng(0).random((len(tiny_dataset), 4))
        provenance = {"dataset_fingerprint": fingerprint} if fingerprint else {}
        gated(dense, [1, 2, 3, 4], 8, 2, 1, ids=tiny_dataset.ids, provenance=provenance).save(path)
        return path

    return write


def test_codes_and_their_dataset_open_with_pictures(tiny_dataset, codes_of, monkeypatch):
    path = codes_of(tiny_dataset.fingerprint)
    serve.check(path, tiny_dataset.path, False)
    serve.check(path, None, False)
    page = explore(path, tiny_dataset.path)
    assert isinstance(page, Explorer) and page.gallery.data["galaxies"][0]["jpeg"][:2] == b"\xff\xd8"
    monkeypatch.setenv("SFNET_CODES", str(path))
    assert explore().gallery.data["why"].startswith("No images")


@pytest.mark.parametrize("fingerprint", ["0123456789abcdef", None])
def test_t23_another_datasets_codes_are_refused_with_both_fingerprints(tiny_dataset, codes_of, fingerprint):
    path = codes_of(fingerprint)
    for door in (lambda: serve.check(path, tiny_dataset.path, False), lambda: explore(path, tiny_dataset.path)):
        with pytest.raises(SFNetError) as refusal:
            door()
        assert tiny_dataset.fingerprint in str(refusal.value) and (fingerprint or "unknown") in str(refusal.value)
    serve.check(path, tiny_dataset.path, True)
    assert isinstance(explore(path, tiny_dataset.path, allow_mismatch=True), Explorer)


def test_t23_the_served_page_says_it_in_a_sentence(tiny_dataset, codes_of, monkeypatch):
    monkeypatch.setenv("SFNET_BOKEH_ON_PAGE", "1")
    shown = explore(codes_of("0123456789abcdef"), tiny_dataset.path)
    assert "0123456789abcdef" in shown.widget.value and tiny_dataset.fingerprint in shown.widget.value


def test_t10_a_file_name_is_text_in_that_sentence(monkeypatch):
    monkeypatch.setenv("SFNET_BOKEH_ON_PAGE", "1")
    shown = explore(Path("/nowhere") / "<img src=x onerror=alert(1)>.parquet").widget.value
    assert "<img" not in shown and "&lt;img" in shown


def test_what_cannot_be_opened_is_one_sentence(tiny_dataset, codes_of, tmp_path):
    good = codes_of(tiny_dataset.fingerprint)
    (tmp_path / "text.parquet").write_text("not Parquet")
    for codes, dataset in [
        (tmp_path / "nowhere.parquet", None),
        (tmp_path / "text.parquet", None),
        (tmp_path, None),
        (None, tiny_dataset.path),
        (good, tmp_path / "nowhere"),
        (good, good),
    ]:
        with pytest.raises(SFNetError) as refusal:
            serve.check(codes, dataset, False)
        assert str(refusal.value) and "\n" not in str(refusal.value) and "Traceback" not in str(refusal.value)


def test_a_port_in_use_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SFNetError, match=rf"Port {port} .*--port"):
            serve.free_port(port)
    assert serve.free_port(port) == port
    assert 1024 <= serve.free_port(None) < 65536


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_a_port_that_is_none_is_named(port):
    with pytest.raises(SFNetError, match=f"{port}"):
        serve.free_port(port)


def test_the_page_does_not_change_its_codes(made_up, tmp_path):
    made_up(40, features=16).save(tmp_path / "codes.parquet")
    codes = SparseCodes.open(tmp_path / "codes.parquet")
    before = codes.fingerprint, codes.prediction().copy(), codes.column("z").copy()
    page = Explorer(codes)
    page.state.change(off={1, 2, 3}, mode="refill", sort="z", third="sky")
    page.state.change(off=set())
    fresh = SparseCodes.open(tmp_path / "codes.parquet")
    assert fresh.fingerprint == before[0] and np.array_equal(codes.prediction(), before[1])
    assert np.array_equal(codes.column("z"), before[2]) and np.array_equal(codes.values, fresh.values)


def test_another_target_renames_what_the_plots_show():
    dense = np.abs(np.random.default_rng(0).normal(size=(40, 6)))
    truth = {"oh_p50": dense[:, 0] + 8, "log_h_alpha": dense[:, 1]}
    order = np.argsort(-dense, axis=1)[:, :5]
    codes = SparseCodes.from_arrays(
        ids=[f"g{i}" for i in range(40)], indices=order, values=np.take_along_axis(dense, order, 1).astype(np.float32),
        k=3, features=6, weight=np.ones((2, 6)), bias=[8.9, 1.0], targets=["oh_p50", "log_h_alpha"],
        units={"oh_p50": "dex", "log_h_alpha": "dex (1e-17 erg/s/cm2)"}, truth=truth,
    )  # fmt: skip
    page = Explorer(codes)
    assert page.header.data["targets"] == [["0", "12+log(O/H)"], ["1", "log_h_alpha"]]
    assert page.plots.axes(1).y_label.startswith("predicted 12+log(O/H) [dex]")
    page.header._receive(None, {"do": "target", "target": 1}, [])
    assert page.plots.axes(1).y_label.startswith("predicted log_h_alpha [dex (1e-17")
    assert np.array_equal(page.plots.axes(1).x, truth["log_h_alpha"])
    for nonsense in (2, -1, "1", True, 1.0):
        page.header._receive(None, {"do": "target", "target": nonsense}, [])
        assert page.state.target == 1
    page.state.undo()
    assert page.header.data["target"] == "0" and page.plots.axes(1).x_label.startswith("true 12+log(O/H)")
