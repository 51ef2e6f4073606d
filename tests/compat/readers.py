"""What a file or a page says, as plain values: the one place that knows how to ask for it.

Every function gives numbers, texts, lists and dicts that JSON can hold; NaN is ``None``. When a class, a trait or a key
has another name, change the line here; ``recorded.json`` stays as version 0.1.0 wrote it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sfnet_core.analysis.contribution_differences import compare
from sfnet_core.analysis.enrichment import bpt_mix, enrichment, medians
from sfnet_core.analysis.neighbours import nearest_by_catalogue, nearest_by_code
from sfnet_core.analysis.stability.file import read_stability, stability_path
from sfnet_core.annotations.labels import LabelBook
from sfnet_core.codes.novelty import FILE, Typical
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.dataset import Dataset
from sfnet_core.explorer.atlas.page import Atlas
from sfnet_core.explorer.explore.page import Explorer
from sfnet_core.explorer.shared.ablation import everywhere, one_galaxy
from sfnet_core.explorer.shared.query import Query
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset
from sfnet_core.explorer.shared.state import pack_rows, unpack_rows
from sfnet_core.explorer.train.choices import Choices, from_config
from sfnet_core.explorer.train.page import TrainPage, train_page
from sfnet_core.explorer.your_galaxy.page import YourGalaxy
from sfnet_core.model.run import Run

HERE = Path(__file__).parent
WRITTEN = HERE / "written_by_0_1_0"
RECORDED = HERE / "recorded.json"

#: Filters on the codes of ``written_by_0_1_0``: every kind of name, and the grammar around them.
FILTERS = (
    "oh_p50 > 8.9",
    "truth > 8.8 and prediction < 9",
    "abs(residual) > 0.1 or not truth > 0",
    "truth is unknown",
    "f7 > 0.2",
    "f7",
    "c7 < 0",
    "margin < 0.05",
    "unlike > 0.7",
    "unlike_distance > 0.5 and unlike_range < 0.9",
    "unlike_feature = 7",
    'split = "validation"',
    'id in ("sim-11-000003", "sim-11-000020")',
    "id contains '00001'",
    'bpt = "SF"',
    'bpt_predicted != "SF"',
    "n2_ha > -0.6",
    "o3_hb < 0.2",
    "n2_ha_predicted > -0.55",
    "o3_hb_predicted > 0",
    "h_alpha_flux > 100",
    "z between 0.05 and 0.1",
    "`z` <= 0.07 and lgm_tot_p50 > 10",
    "10 < lgm_tot_p50 <= 10.5",
    "star",
    'label contains "merger"',
    'note contains "two"',
    'list = "to observe"',
    "list is unknown and not star",
)

#: Links as 0.1.0 wrote them: page → queries.
LINKS = {
    "explore": (
        "split=train&off=7,26&k=2&mode=refill&feature=13&galaxy=sim-11-000012&sort=residual&descending=0&page=0",
        "target=2&filter=z+%3E+0.05+and+star&stars=first&third=residual_truth&fourth=bpt_predicted&map=none&sky=0",
        "selection=eNpjZGBgYIRiViBmBmJhIAYAAPQAHw&tab=compare&pinned=sim-11-000008&split=",
        "kept=eNpjYGBgYAFiRihWgNIAAYgAKA&filter=unlike+%3E+0.7&map=7",
    ),
    "atlas": (
        "feature=7&against=lgm_tot_p50&seed=3&split=train",
        "view=signs&sort=stability&descending=0&least=0.01&find=bulge&target=1",
        "view=matrix&sort=likeness&split=",
    ),
    "your galaxy": (
        "galaxy=sim-11-000009&feature=13&map=7&sky=0&sort=shared&third=mass&fourth=margin_prediction",
        "split=train&target=3",
    ),
    "train": (
        "target=lgm_tot_p50&k=2&width=8&epochs=5&seed=4&recipe=paper&validation=0.3",
        "target=lines&alive=1&taught=1&every_k=1&codes=0&width=4&out=somewhere",
    ),
}


def plain(value: Any) -> Any:
    """Arrays, numpy's numbers, tuples and sets as JSON holds them; NaN and infinities as ``None``."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(one) for one in value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    assert value is None or isinstance(value, bool | int | float | str), type(value)
    return value


def numbers_in(text: str) -> list[float]:
    """The numbers that a text shows, so that its words may change."""
    text = text.replace("\N{MINUS SIGN}", "-").replace("- ", "-").replace("\N{THIN SPACE}", " ")
    return [float(one.replace(",", "")) for one in re.findall(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?![\w.])", text)]


def some(table: dict[str, Any], *names: str) -> dict[str, Any]:
    """These entries of a table."""
    return {name: table[name] for name in names}


# -- files ---------------------------------------------------------------------------------------------------------


def dataset_of(path: Path) -> dict[str, Any]:
    """A packed dataset: what it says of itself, its table, and its pictures' sums."""
    dataset = Dataset.open(path)
    return {
        "fingerprint": dataset.fingerprint,
        "ids": dataset.ids,
        "shape": dataset.cutouts.shape,
        "sums": dataset.cutouts.sum(axis=(1, 2), dtype=np.int64),
        "pixel_scale": dataset.pixel_scale,
        "simulated": dataset.simulated,
        "bands": dataset.meta["bands"],
        "source": dataset.meta["source"],
        "units": dataset.units,
        "set_aside": [[one.row, one.id] for one in dataset.set_aside],
        "columns": {name: dataset.column(name) for name in dataset.columns},
    }


def run_of(path: Path) -> dict[str, Any]:
    """A training's folder: record, weights, and what its training galaxies are like."""
    run = Run.open(path)
    metadata, recipe = run.metadata, run.config["recipe"]
    network = run.network()
    typical = Typical.open(path / FILE)
    return {
        "status": run.status,
        "fingerprint": run.fingerprint,
        "metadata": some(metadata, "k", "features", "width", "targets", "units", "crop", "cutout_size", "pixel_scale"),
        "normalisation": [metadata["mean"], metadata["std"]],
        "trained on": some(metadata, "data_fingerprint", "simulated", "weights_origin"),
        "config": some(run.config, "target", "k", "width", "seed", "validation"),
        "recipe": some(recipe, "name", "epochs", "multi_k", "start_k", "balance"),
        "split": run.split,
        "history": run.history,
        "metrics": some(run.metrics, "n_train", "n_validation", "n_left_out", "train_rmse", "validation_rmse"),
        "weights": {name: float(t.double().sum()) for name, t in network.state_dict().items()},
        "typical": [float(np.nansum(array)) for array in arrays_of(typical)],
    }


def arrays_of(typical: Typical) -> Iterator[np.ndarray]:
    """The arrays of what training galaxies are like, in their order."""
    yield from (np.asarray(one, dtype=float) for one in vars(typical).values() if isinstance(one, np.ndarray))


def codes_of(path: Path) -> dict[str, Any]:
    """A codes file: header, every column, codes, maps, the empty sky."""
    codes = SparseCodes.open(path)
    sky = codes.sky
    return {
        "fingerprint": codes.fingerprint,
        "ids": codes.ids,
        "split": codes.split,
        "targets": codes.targets,
        "units": codes.units,
        "k": codes.k,
        "features": codes.features,
        "runners_up": codes.runners_up,
        "simulated": codes.simulated,
        "trained_for": some(codes.provenance, "crop", "pixel_scale", "dataset_fingerprint", "run_fingerprint"),
        "set_aside": [[one.row, one.id] for one in codes.set_aside],
        "indices": codes.indices,
        "values": codes.values,
        "margin": codes.margin,
        "unlike": {name: codes.column(name) for name in UNLIKE},
        "weight": codes.weight,
        "bias": codes.bias,
        "truth": [codes.truth(t) for t in codes.targets],
        "prediction": [codes.prediction(t) for t in codes.targets],
        "prediction_d4": [codes.prediction_d4(t) for t in codes.targets],
        "at_k_1": codes.at_k(1).prediction(0),
        "position": [codes.ra, codes.dec],
        "columns": {name: codes.column(name) for name in codes.columns},
        "column_units": codes.column_units,
        "map_shape": codes.map_shape,
        "maps": codes.maps([0, len(codes) - 1]),
        "sky": [sky.level, sky.maps],
    }


UNLIKE = ("unlike", "unlike_distance", "unlike_range", "unlike_feature")  # as they are called in the file


def labels_of(codes: Path) -> dict[str, Any]:
    """The labels beside a codes file."""
    book = LabelBook.open(SparseCodes.open(codes))

    def entries(found: dict) -> dict[str, list]:
        return {key: [one.label, one.note, one.star] for key, one in found.items()}

    return {
        "features": entries(book.features),
        "galaxies": entries(book.galaxies),
        "lists": [book.lists("features"), book.lists("galaxies")],
        "trouble": book.trouble,
        "notices": len(book.notices),
    }


def stability_of(codes: Path) -> dict[str, Any]:
    """The stability measured beside a codes file."""
    found = read_stability(stability_path(codes))
    names = ("name", "fingerprint", "run", "seed", "active", "agreement", "low", "high", "tied", "same")
    scores = ("feature", "rho", "lowest", "found", "null_mean", "null_95", "chance", "fires", "rate", "each")
    about = ("n", "split", "permutations", "seed", "mean", "null_mean", "null_95", "same", "overlap", "overlap_null")
    return {
        "about": some(vars(found), *about),
        "trainings": [some(vars(one), *names) for one in (found.codes, *found.others)],
        "features": [some(vars(one), *scores, "counterpart") for one in found.features],
        "most_stable": found.most_stable.name,
    }


# -- filters and links ---------------------------------------------------------------------------------------------


def written(folder: Path) -> Path:
    """A copy of the written files that a page may write beside."""
    copy = folder / "written"
    if not copy.exists():
        shutil.copytree(WRITTEN, copy)
    return copy


def page_on(make: Callable[..., Any], folder: Path) -> Any:
    """A page on the written codes and their dataset."""
    here = written(folder)
    return make(SparseCodes.open(here / "codes.parquet"), Dataset.open(here / "dataset"))


def filtered(folder: Path) -> dict[str, list[int]]:
    """The rows that each of :data:`FILTERS` lets through."""
    scene = page_on(Explorer, folder).scene
    return {text: np.flatnonzero(scene.mask(Query(filter=text))) for text in FILTERS}


def choices_of(page: Any) -> dict[str, Any]:
    """A page's choices by the names that links give them."""
    values = dict(page.state.values())
    values["kept"] = values.pop("pinned_selection")
    for packed in ("selection", "kept"):
        values[packed] = unpack_rows(values[packed])
    return values


def followed(folder: Path) -> dict[str, dict[str, Any]]:
    """What each of :data:`LINKS` opens."""
    found: dict[str, dict[str, Any]] = {}
    for name, make in {"explore": Explorer, "atlas": Atlas, "your galaxy": YourGalaxy}.items():
        page = page_on(make, folder)
        first = page.state.values()
        for query in LINKS[name]:
            page.state.change(**first)
            page.open_link(query)
            found[f"{name}?{query}"] = choices = choices_of(page)
            again = page.query
            page.state.change(**first)
            page.open_link(again)
            assert plain(choices_of(page)) == plain(choices), again
    for query in LINKS["train"]:
        values, troubles = Choices.read_query(query)
        found[f"train?{query}"] = {"choices": values, "left out": len(troubles)}
    return found


# -- the four pages ------------------------------------------------------------------------------------------------


def explore_numbers() -> dict[str, Any]:
    """The explorer on the embedded sample, under several choices."""
    page = Explorer(sample_codes(), sample_dataset())
    found = {"open": explore_now(page)}
    steps = {
        "off": {"off": {37, 86}},
        "refill": {"mode": "refill", "galaxy": page.scene.row_of("sim-0-000037")},
        "k": {"k": 2, "mode": "ablate"},
        "all": {"k": 4, "off": (), "split": "", "sort": "residual", "descending": False},
        "filter": {"filter": "lgm_tot_p50 > 10 and f37", "split": "validation", "third": "mass", "fourth": "bpt"},
    }
    for name, choices in steps.items():
        page.state.change(**choices)
        found[name] = explore_now(page)
    page.state.change(filter="", galaxy=page.scene.row_of("sim-0-000206"))
    found["panes"] = panes(page)
    return found


def explore_now(page: Explorer) -> dict[str, Any]:
    """The numbers of the explorer as it stands: computed and shown."""
    scene, state, codes = page.scene, page.state, page.scene.codes
    row = state.galaxy
    inspector, gallery = page.inspector.data, page.gallery.data
    points = page.plots.source.data
    changes = everywhere(scene, state, state.feature) or {}
    return {
        "numbers": vars(scene.numbers(state)),
        "status": numbers_in(page.header.data["status"]),
        "rmse_by_k": page.k_slider.data["rmse"],
        "features": [some(one, "feature", "weight", "rate", "fires", "mean") for one in page.toggles.data["rows"]],
        "galaxy": str(codes.ids[row]),
        "prediction": scene.prediction_of(state, row),
        "terms": [some(t, "feature", "activation", "weight", "contribution", "state") for t in inspector["terms"]],
        "sum": numbers_in(inspector["sum"]),
        "facts": [numbers_in(fact[1]) for fact in inspector["facts"]],
        "map": inspector["cells"],
        "runners_up": scene.runners_up(state, row),
        "without": one_galaxy(scene, state, row),
        "without, all": {name: list(change) for name, change in changes.items()},
        "gallery": [[one["id"], one["value"]] for one in gallery["galaxies"]],
        "total": gallery["total"],
        "points": {
            name: [len(v), float(np.nansum(np.asarray(v, float)))] for name, v in points.items() if name != "id"
        },
    }


def panes(page: Explorer) -> dict[str, Any]:
    """Selection, comparison and neighbours: the arithmetic and what the panes show."""
    scene, state, codes = page.scene, page.state, page.scene.codes
    within = scene.view(state)
    one, other = within[::3], within[1::4]
    state.change(tab="selection", selection=pack_rows(one))
    found = {"selection pane": shown_in(page.selection.data)}
    state.change(tab="compare", selection=pack_rows(one), pinned_selection=pack_rows(other), pinned=3)
    found["compare pane"] = shown_in(page.comparison.data)
    state.change(tab="near")
    found["near pane"] = shown_in(page.neighbours.data)
    mixes, by_code = bpt_mix(codes, one, within=within), nearest_by_code(codes, state.galaxy, 8, within=within)
    by_catalogue = nearest_by_catalogue(codes, state.galaxy, 8, within=within)
    difference = compare(codes, one, other)
    return found | {
        "enrichment": enrichment(codes, one, within=within),
        "medians": medians(codes, one, within=within),
        "bpt": [[list(mix.counts), list(mix.share), list(mix.low), list(mix.high), mix.classified] for mix in mixes],
        "comparison": some(vars(difference), "feature", "difference", "a", "b", "prediction_a", "prediction_b"),
        "by code": [by_code.rows, by_code.cosine],
        "by catalogue": [by_catalogue.rows, by_catalogue.distance],
    }


def shown_in(data: dict[str, Any]) -> list[Any]:
    """The numbers in the tables, bars and pictures of a pane."""
    out = []
    for block in data["blocks"]:
        if block["kind"] == "table":
            out.append([[number for cell in row[1:] for number in numbers_in(cell)] for row in block["rows"]])
        elif block["kind"] == "bars":
            out.append([[row["feature"], row["value"], *numbers_in(row["text"])] for row in block["rows"]])
        elif block["kind"] == "galaxies":
            out.append([[one["id"], *numbers_in(one["text"])] for one in block["items"]])
    return out


def atlas_numbers() -> dict[str, Any]:
    """The atlas on the embedded sample: cards, tables, two features' pages."""
    page = Atlas(sample_codes(), sample_dataset())
    names = ("feature", "weight", "fires", "rate", "mean", "share", "pearson", "partial", "without", "chance")
    found: dict[str, Any] = {"cards": [some(c, *names, "bars", "largest") for c in page.card_grid.data["cards"]]}
    page.state.change(split="", sort="disagreement")
    found["all"] = [some(card, *names) for card in page.card_grid.data["cards"]]
    for feature, against in ((37, "truth"), (86, "lgm_tot_p50")):
        page.state.change(split="validation", feature=feature, against=against)
        found[f"feature {feature}"] = feature_page(page)
    page.state.change(feature=-1, view="signs")
    differ = [row["clear"] for row in page.tables.data["rows"] if row["disagree"]]
    found["signs"] = {"differ": len(differ), "clear": sum(differ), **some(page.tables.data, "bias")}
    page.state.change(view="matrix")
    found["matrix"] = {"features": page.tables.data["features"], "both": page.tables.data["both"]}
    found["matrix"] |= {"sums": np.nansum(np.array(page.tables.data["cells"], dtype=float), axis=1)}
    return found


def feature_page(page: Atlas) -> dict[str, Any]:
    """A feature's page: its numbers, coefficients, companions, place in the BPT diagram, plot and galaxies."""
    data, plot = page.feature.data, page.feature.plot
    about = ("weight", "fires", "rate", "rank", "mean", "mean_fires", "std_fires", "share", "pearson", "without")
    companions = ("feature", "both", "expected", "lift", "low", "high", "pearson")
    return {
        "about": some(data, *about, "chance", "disagree", "clear", "elsewhere"),
        "coefficients": [[one["value"], one["n"]] for one in data["coefficients"]],
        "companions": [some(one, *companions) for one in data["companions"]],
        "bpt": [[one["id"], one["place"]] for one in data["bpt"]["nine"]],
        "mix": data["bpt"]["mix"],
        "plot": some(plot, "rho", "silent", "running", "ranges", "n"),
        "galaxies": [[one["id"] for one in group["galaxies"]] for group in page.feature.galaxies["groups"]],
    }


def your_galaxy_numbers() -> dict[str, Any]:
    """The page about one galaxy, with two galaxies of the embedded sample."""
    page, found = YourGalaxy(sample_codes(), sample_dataset()), {}
    for row in (10, 206):
        page.open_row(row)
        inspector = page.inspector.data
        found[str(page.codes.ids[row])] = {
            "status": numbers_in(page.status()),
            "checks": [
                [numbers_in(check["value"]), numbers_in(check["trained"]), check["state"]]
                for check in page.checks.data["checks"]
            ],
            "near": [
                [one["id"], *numbers_in(one["likeness"]), one["prediction"], one["truth"], one["split"]]
                for one in page.neighbours.data["galaxies"]
            ],
            "terms": [some(t, "feature", "activation", "weight", "contribution") for t in inspector["terms"]],
            "sum": numbers_in(inspector["sum"]),
            "map": inspector["cells"],
        }
    return found


def train_page_numbers(folder: Path) -> dict[str, Any]:
    """The training page before a training, on the written dataset and on the embedded sample."""
    pages = {
        "written": train_page(written(folder) / "dataset", k=2, width=4, out=str(folder / "new")),
        "lines": train_page(written(folder) / "dataset", target="lines", width=4, alive=True, every_k=True),
        "sample": TrainPage(Choices(validation=0.3, taught=True)),
    }
    return {name: train_now(page) for name, page in pages.items()}


def train_now(page: TrainPage) -> dict[str, Any]:
    """What the form and the report say."""
    session, form, strip = page.session, page.form.data, page.examples.data
    recipe = session.recipe
    return {
        "targets": [name for name, _ in form["targets"]],
        "usable": [len(session.usable), *numbers_in(form["usable"])],
        "unit": session.unit,
        "epochs": form["epochs"],
        "recipe": [recipe.name, recipe.batch, recipe.rate, recipe.variants, recipe.balance, recipe.multi_k],
        "galaxies": numbers_in(page.report.data["rows"][0][1]),
        "strip": [strip["ids"], strip["truth"], strip["range"]],
        "startable": page.top.data["startable"],
    }


def form_of(run: Path) -> dict[str, Any]:
    """How the training page's form shows a run that was begun before."""
    return vars(from_config(Choices(), Run.open(run).config))


# -- all of it -----------------------------------------------------------------------------------------------------

#: Name in ``recorded.json`` → what reads it; the argument is a folder to work in.
SECTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "dataset": lambda folder: dataset_of(written(folder) / "dataset"),
    "run": lambda folder: run_of(written(folder) / "run"),
    "run with auxk and normalise": lambda folder: run_of(written(folder) / "run-auxk"),
    "its form on the training page": lambda folder: form_of(written(folder) / "run-auxk"),
    "codes": lambda folder: codes_of(written(folder) / "codes.parquet"),
    "codes with auxk and normalise": lambda folder: codes_of(written(folder) / "codes-auxk.parquet"),
    "labels": lambda folder: labels_of(written(folder) / "codes.parquet"),
    "stability": lambda folder: stability_of(written(folder) / "codes.parquet"),
    "filters": filtered,
    "links": followed,
    "explore": lambda _folder: explore_numbers(),
    "atlas": lambda _folder: atlas_numbers(),
    "your galaxy": lambda _folder: your_galaxy_numbers(),
    "train": train_page_numbers,
}


def everything(folder: Path) -> dict[str, Any]:
    """All sections, as they are recorded."""
    return {name: plain(read(folder)) for name, read in SECTIONS.items()}


def recorded() -> dict[str, Any]:
    """The sections as version 0.1.0 read them."""
    return json.loads(RECORDED.read_text(encoding="utf-8"))
