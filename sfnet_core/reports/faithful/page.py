"""Faithfulness as one HTML file that fetches nothing, CSV files and a JSON file, in one folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from sfnet_core.figures.html_frame import Part, Table, as_csv, page
from sfnet_core.figures.plot import ACCENT, Bars, Curve, Dots, Drawing, check_matplotlib
from sfnet_core.figures.plot_data import padded
from sfnet_core.reports.faithful.wording import FILLS, ORDERS, interval, sentences
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import write_json, write_text

__all__ = ["NUMBERS", "PAGE", "folder", "parts", "write"]

PAGE, NUMBERS = "faithful.html", "faithful.json"
COLOURS = {
    "map": "#0b6e8f",
    "map less sky": "#10b981",
    "map moved": "#6cb8cf",
    "map less cover": "#1d9a6c",
    "map of views": "#123f78",
    "occlusion": "#b4532a",
    "light": "#b58a1b",
    "centre": "#7a4fa3",
    "random": "#7c8894",
}
TITLES = {
    "ablation": "Ablation: the prediction without a feature",
    "regions": "Insertion and deletion: the regions that a map names",
    "probing": "k-sparse probing: what a few features encode",
    "partial": "Partial correlation: what is left at fixed colour",
}
SAID = {
    "ablation": (
        "ΔRMSE is the RMSE without the feature minus the RMSE with it; ablate leaves its place empty, refill "
        "gives it to the strongest runner-up, level puts the feature's mean contribution there. Same galaxies: "
        "where the feature fires, one of the galaxy's kept features at random is left out instead (its "
        "expectation; the draw may hit the feature itself). Same frequency: on as many galaxies, drawn at random, "
        "one kept feature at random; chance is how often that costs at least as much. Intervals: 95 %, bootstrap "
        "over galaxies, paired. Many features are looked at, so some intervals leave 0 out by chance.",
    ),
    "regions": (
        "Cells are covered one after another (deletion; Petsiuk et al. 2018), or uncovered on a covered image "
        "(insertion), and the network is run again each time: the gate chooses anew. Area: the mean distance from "
        "the whole image's prediction over the share of cells; a good order has much in deletion and little in "
        "insertion.",
        "A map's cell has seen far more of the image than the block that is covered for it (a ResNet18's last "
        "cells can see every pixel of the crop), and its centre lies half a cell up and left of the block's "
        "middle; 'moved' reads the map at the blocks' middles. Galaxies stand in the middle of cutouts, so that "
        "distance from the centre and light alone are strong orders. A covered image is unlike any the network "
        "has learnt from, and part of what it then does is that.",
    ),
    "probing": (
        "On the training folds only, the k columns whose means differ most between class and rest are chosen and "
        "a logistic regression is fitted (Gurnee et al. 2023; Karvonen et al. 2025); it is scored on the fold it "
        "has not seen. AUC is within folds; 0.5 is chance. Shuffled: central 95 % where the scored labels are "
        "shuffled; refitted: mean where all labels are shuffled before choosing. Intervals are over the scored "
        "galaxies, for these fits.",
    ),
    "partial": (
        "Pearson's ρ of a feature's activation (0 where it is silent) and the true value, both freed of the "
        "controls by a linear fit; 95 % bootstrap intervals over galaxies. Colours are log ratios of the "
        "picture's bands, after its stretch, in apertures on the galaxy; size is the radius of half the light. "
        "What depends on colour in a non-linear way is not removed.",
    ),
}


def folder(out: str | os.PathLike) -> Path:
    """The folder for the files; :class:`SFNetError` where it is a file, or where figures can't be drawn."""
    check_matplotlib()
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise SFNetError(f"{out} is a file; --out names a folder for the page and its tables.")
    return out


def write(result: dict[str, Any], out: str | os.PathLike) -> list[Path]:
    """Write ``faithful.html``, ``faithful.json`` and the CSV files into a folder → their paths, the page first."""
    out, about = folder(out), result["about"]
    made = parts(result)
    tables = [table for part in made for table in part.tables]
    for table in tables:
        write_text(out / table.file, as_csv(table))
    write_json(out / NUMBERS, result)
    kind = "simulated galaxies" if about["simulated"] else "observed galaxies"
    lead = f"{about['where']}, {kind}; target {about['target']}{_unit(about)}; k = {about['k']} of {about['features']}."
    notes = [lead[0].upper() + lead[1:], *about["notes"]]
    title = f"{Path(about['codes']).stem or 'SFNet'} · do the explanations explain?"
    write_text(out / PAGE, page(title, _facts(about), notes, made))
    return [out / PAGE, out / NUMBERS, *(out / table.file for table in tables)]


def parts(result: dict[str, Any]) -> list[Part]:
    """The sections of the page; one that was not made says why."""
    words = sentences(result)
    made = []
    for key, fill in (("ablation", _ablation), ("regions", _regions), ("probing", _probing), ("partial", _partial)):
        part = Part(key, TITLES[key], [text for section, text in words if section == key])
        if "missing" in result[key]:
            part.missing.append(result[key]["missing"])
        else:
            part.said += SAID[key]
            fill(part, result[key], result["about"])
        made.append(part)
    return made


def _facts(about: dict[str, Any]) -> list[list[str]]:
    facts = {
        "Codes": f"{about['codes']}, fingerprint {about['fingerprint']}",
        "Galaxies": about["where"],
        "Dataset": about["dataset"],
        "Run": about["run"],
        "Seed": str(about["seed"]),
        "Date": about["date"],
        "Software": f"sfnet-core {about['version']}",
        "To repeat it": about["command"],
    }
    return [[name, words] for name, words in facts.items() if words]


def _unit(about: dict[str, Any]) -> str:
    return f" [{about['unit']}]" if about["unit"] else ""


def _ablation(part: Part, found: dict[str, Any], about: dict[str, Any]) -> None:
    features = found["features"]
    part.missing += found["notes"]
    names = [*features[0]]
    part.tables.append(Table("ablation.csv", names, [[one[name] for name in names] for one in features]))
    x, y = (np.array([one[name] for one in features]) for name in ("mean_abs", "delta"))
    ends = np.array([[one["delta_low"], one["delta_high"]] for one in features])
    likely = np.array([[one["same_frequency_low"], one["same_frequency_high"]] for one in features])
    layers: list[Any] = [Curve(np.array(padded(x)), np.zeros(2), "4 4")]
    layers.append(Bars(x, *likely.T, colour="#d9a27f", width=7, opacity=0.5, name="random, same frequency"))
    layers += [Bars(x, *ends.T, name="95 %"), Dots(x, y, ACCENT, size=6, name="ablated")]
    span = padded(np.concatenate([ends.ravel(), likely.ravel()]))
    title = f"ΔRMSE, n = {found['n']:,}\nbars: 95 %; broad: random ablations of the same frequency"
    part.drawings.append(
        Drawing(title, f"mean |contribution|{_unit(about)}", f"ΔRMSE{_unit(about)}", (padded(x), span), layers)
    )


def _regions(part: Part, result: dict[str, Any], about: dict[str, Any]) -> None:
    areas, gains, curves = [], [], []
    for fill, found in result.items():
        part.said.append(
            f"With {FILLS[fill]}: ρ of |map| and |occlusion| over the cells, mean over galaxies, "
            f"{interval(found['map_against_occlusion'], 2)}. The network's predictions here and in the codes differ "
            f"by at most {found['largest_gap_to_the_codes']:.1e}."
        )
        for kind in ("deletion", "insertion"):
            for name, words in ORDERS.items():
                areas.append([FILLS[fill], kind, words, *found["areas"][kind][name].values()])
            for mine, gained in found["advantage"][kind].items():
                gains += [
                    [FILLS[fill], kind, ORDERS[mine], ORDERS[name], *one.values()] for name, one in gained.items()
                ]
            drawn = found["curves"][kind]
            for measure, label in (("change", "mean |change of the prediction|"), ("rmse", "RMSE")):
                if measure in drawn:
                    part.drawings.append(_curves(f"{kind}, {FILLS[fill]}", label, found, drawn[measure], about))
                    curves += [
                        [FILLS[fill], kind, measure, words, share, value]
                        for name, words in ORDERS.items()
                        for share, value in zip(found["share"], drawn[measure][name], strict=True)
                    ]
    unit = _unit(about)
    part.tables.append(Table("areas.csv", ["cover", "curve", "order", f"area{unit}", "low", "high"], areas))
    head = ["cover", "curve", "advantage of", "over", f"mean{unit}", "low", "high", "share of galaxies"]
    part.tables.append(Table("advantages.csv", head, gains))
    part.tables.append(Table("curves.csv", ["cover", "curve", "measure", "order", "share of cells", "value"], curves))


def _curves(
    title: str, label: str, found: dict[str, Any], drawn: dict[str, list[float]], about: dict[str, Any]
) -> Drawing:
    share = np.array(found["share"])
    layers = [
        Curve(share, np.array(drawn[name]), "5 3" if name in ("centre", "random", "light") else "", 2.0, COLOURS[name],
              1.0, words)
        for name, words in ORDERS.items()
    ]  # fmt: skip
    what = "uncovered" if title.startswith("insertion") else "covered"
    title = f"{title[0].upper()}{title[1:]}: {label}, n = {found['n']:,}"
    values = np.concatenate([np.asarray(drawn[name]) for name in ORDERS])
    ranges = ((0.0, 1.0), padded(values))
    return Drawing(title, f"share of cells {what}", f"{label}{_unit(about)}", ranges, layers, legend=True)


def _probing(part: Part, found: dict[str, Any], about: dict[str, Any]) -> None:
    if found["too_small"]:
        small = ", ".join(f"{name} ({count})" for name, count in found["too_small"].items())
        part.missing.append(f"Not probed, because fewer than {found['fewest']} are in it or not in it: {small}.")
    groups = [(one["class"], one["n_class"], one["n"], one["probes"]) for one in found["classes"]]
    if handed := found["handedness"]:
        if "missing" in handed:
            part.missing.append(f"Handedness: {handed['missing']}")
        else:
            groups.append(
                (" against ".join(handed["classes"]), handed["counts"][0], sum(handed["counts"]), handed["probes"])
            )
    rows = [
        [name, count, n, one["from"], "all" if one["all"] else one["k"], *one["auc"].values(),
         *one["balanced_accuracy"].values(), one["null_low"], one["null_high"], one["chance"], one["refitted"],
         ", ".join(f"{column} ({times})" for column, times in list(one["chosen"].items())[:8])]
        for name, count, n, probes in groups
        for one in probes
    ]  # fmt: skip
    head = ["class", "of it", "galaxies", "from", "k", "AUC", "low", "high", "balanced accuracy", "low", "high"]
    head += ["shuffled low", "shuffled high", "chance", "refitted", "chosen (by how many of 5 folds)"]
    part.tables.append(Table("probing.csv", head, rows))


def _partial(part: Part, found: dict[str, Any], about: dict[str, Any]) -> None:
    part.missing += found["notes"]
    sets = ["plain", *found["controls"]]
    head = ["feature", "fires", *(f"{words} {end}" for words in ("ρ", *(f"ρ at fixed {name}" for name in sets[1:]))
                                  for end in ("", "low", "high"))]  # fmt: skip
    rows = [
        [one["feature"], one["fires"], *(one[name][end] for name in sets for end in ("value", "low", "high"))]
        for one in sorted(found["features"], key=lambda one: -abs(one["plain"]["value"] or 0.0))
    ]
    part.tables.append(Table("partial.csv", [name.strip() for name in head], rows))
    for name in sets[1:]:
        pairs = [[one[key]["value"] for key in ("plain", name)] for one in found["features"]]
        x, y = np.array(pairs, dtype=float).T
        layers: list[Any] = [Curve(np.array([-1.0, 1.0]), np.array([-1.0, 1.0]), "6 4")]
        layers.append(Curve(np.array([-1.0, 1.0]), np.zeros(2), "2 3"))
        ends = np.array([[one[name]["low"], one[name]["high"]] for one in found["features"]], dtype=float)
        layers += [Bars(x, *ends.T, name="95 %"), Dots(x, y, ACCENT, size=6, name="features")]
        title = f"ρ with {about['target']} at fixed {name}, n = {found['n']:,}\neach feature; bars: 95 %"
        part.drawings.append(Drawing(title, "ρ", f"ρ at fixed {name}", ((-1.0, 1.0), (-1.0, 1.0)), layers))
