"""What was found, in sentences: each says the number, its interval, and what it does not show."""

from __future__ import annotations

from typing import Any

__all__ = ["FILLS", "MAPS", "ORDERS", "interval", "sentences", "signed"]

FILLS = {"sky": "the sky", "blur": "a blurred copy"}  # what a covered cell shows
ORDERS = {
    "map": "contribution map",
    "map less sky": "map less the empty sky's",
    "map moved": "map moved half a cell",
    "map less cover": "map minus that of the covered image",
    "map of views": "map, mean of 8 views",
    "occlusion": "occlusion",
    "light": "light",
    "centre": "centre first",
    "random": "random",
}
MAPS = tuple(name for name in ORDERS if name.startswith("map"))
MINUS = "\N{MINUS SIGN}"


def signed(value: float, digits: int = 4, plus: bool = True) -> str:
    """A number with a real minus sign, and a plus where there is none."""
    return f"{value:{'+' if plus else ''}.{digits}f}".replace("-", MINUS)


def interval(found: dict[str, Any], digits: int = 3, plus: bool = False) -> str:
    """'0.812 (0.790 to 0.833)'; a dash where it is not known."""
    if found.get("value") is None:
        return "–"
    value, low, high = (signed(found[name], digits, plus) for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def sentences(result: dict[str, Any]) -> list[tuple[str, str]]:
    """(section, sentence) in the order of the sections; only of those that were made."""
    out = [("ablation", words) for words in _ablation(result["ablation"], result["about"])]
    for fill, found in result["regions"].items():
        if fill != "missing":
            out += [("regions", words) for words in _regions(fill, found, result["about"]["unit"])]
    out += [("probing", words) for words in _probing(result["probing"])]
    out += [("partial", words) for words in _partial(result["partial"], result["about"]["target"])]
    return out


def _ablation(found: dict[str, Any], about: dict[str, Any]) -> list[str]:
    if "missing" in found:
        return []
    features, unit = found["features"], about["unit"]
    total = len(features)
    needed = sum(one["delta_low"] > 0 for one in features)
    harmful = sum(one["delta_high"] < 0 for one in features)
    more = sum(one["over_same_galaxies_low"] > 0 for one in features)
    less = sum(one["over_same_galaxies_high"] < 0 for one in features)
    rare = sum(one["chance"] <= 0.05 for one in features)
    level = sum(one["level_low"] > 0 for one in features)
    out = [
        f"RMSE {found['rmse']:.4f} {unit} (n = {found['n']:,}). Left out alone, {needed} of the {total} features that "
        f"fire raise it (95 % interval above 0), {harmful or 'none'} lower it.",
        f"{rare} of {total} raise it by more than 95 % of random ablations of the same frequency do; chance alone "
        f"would give {0.05 * total:.1f}.",
        f"On the very galaxies on which it fires, {more} of {total} features matter more than a kept feature drawn at "
        f"random there, {less} less (95 % intervals that leave 0 out; chance alone: {0.025 * total:.1f} each).",
        f"With its mean contribution in its place ({found['level_from']}), {level} of {total} still raise RMSE: for "
        "those the strength says something beyond that the feature fires.",
    ]
    if agreement := found["agreement"]:
        out.append(
            f"Features with the larger mean |contribution| are those whose loss costs more: Spearman's ρ = "
            f"{interval(agreement['contribution'], 2)}. How often a feature fires gives "
            f"{interval(agreement['frequency'], 2)}; "
            f"difference {interval(agreement['difference'], 2, plus=True)}."
        )
    return out


def _regions(fill: str, found: dict[str, Any], unit: str) -> list[str]:
    out = []
    for kind in ("deletion", "insertion"):
        area = found["areas"][kind]
        better = "larger is better" if kind == "deletion" else "smaller is better"
        listed = ", ".join(f"{ORDERS[name]} {area[name]['value']:.3f}" for name in ORDERS)
        names = {"map": "The contribution map", "map less sky": "Minus the empty sky's, as the pages draw it, it"}
        gained = found["advantage"][kind]
        said = [
            f"{words} is {'; '.join(f'{_against(one)} {ORDERS[name]}' for name, one in gained[mine].items())}."
            for mine, words in names.items()
        ]
        out.append(
            f"{kind.capitalize()}, covered by {FILLS[fill]}, {found['n']:,} galaxies, "
            f"{found['cells'][0]}×{found['cells'][1]} cells: area [{unit or 'of the target'}] ({better}): {listed}. "
            + " ".join(said)
        )
    return out


def _against(one: dict[str, float]) -> str:
    if one["low"] > 0:
        return "better than"
    return "worse than" if one["high"] < 0 else "not told apart from"


def _probing(found: dict[str, Any]) -> list[str]:
    if "missing" in found:
        return []
    out = []
    for one in found["classes"]:
        code = [probe for probe in one["probes"] if probe["from"] == "code"]
        words = [f"{'all' if p['all'] else p['k']}: {interval(p['auc'])}" for p in code]
        beside = [
            f"{probe['from']} {interval(probe['auc'])}"
            for probe in one["probes"]
            if probe["from"] != "code" and probe["all"]
        ]
        out.append(
            f"{one['class']} ({one['n_class']:,} of {one['n']:,}), AUC by number of features — {'; '.join(words)}."
            + (f" Beside it: {'; '.join(beside)}." if beside else "")
        )
    if (handed := found["handedness"]) and "probes" in handed:
        out.append(_handed(handed))
    return out


def _handed(handed: dict[str, Any]) -> str:
    code = [probe for probe in handed["probes"] if probe["from"] == "code"]
    control = next((p for p in handed["probes"] if p["from"] == "winding" and p["all"]), None)
    off = [probe for probe in code if probe["chance"] <= 0.05 / len(code)]
    words = "; ".join(f"{'all' if p['all'] else p['k']}: {interval(p['auc'])}" for p in code)
    verdict = "at chance" if not off else "NOT at chance: these features tell an image from its mirror image"
    shuffled = f"shuffled labels {code[-1]['null_low']:.3f} to {code[-1]['null_high']:.3f}"
    out = (
        f"Handedness, {handed['classes'][0]} ({handed['counts'][0]:,}) against {handed['classes'][1]} "
        f"({handed['counts'][1]:,}), AUC by number of features — {words} ({shuffled}): {verdict}."
    )
    if control is None:
        return out + " No control: without images nothing shows that the labels hold any handedness."
    seen = "so that it can be seen in these images" if control["auc"]["low"] > 0.5 else "so that this shows nothing"
    return out + f" Control: the winding measured by hand on the same galaxies has {interval(control['auc'])}, {seen}."


def _partial(found: dict[str, Any], target: str) -> list[str]:
    if "missing" in found:
        return []
    features = found["features"]
    total, words = len(features), []

    def sign(one: dict[str, Any]) -> int:
        """Of a correlation whose interval leaves 0 out; else 0."""
        return 0 if one["low"] is None or one["low"] * one["high"] <= 0 else 1 if one["value"] > 0 else -1

    for name in found["controls"]:
        clear = sum(sign(one[name]) != 0 for one in features)
        same = sum(sign(one[name]) == sign(one["plain"]) != 0 for one in features)
        words.append(f"at fixed {name} {clear} do, {same} with the sign they had")
    plain = sum(sign(one["plain"]) != 0 for one in features)
    return [
        f"{plain} of {total} activations correlate with {target} (95 % interval without 0; chance alone "
        f"{0.05 * total:.1f})" + "".join(f"; {one}" for one in words) + "."
    ]
