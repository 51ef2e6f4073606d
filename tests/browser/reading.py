"""What the explorer's page says, as numbers and as pictures; and the same numbers by plain numpy."""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from decimal import Decimal
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import Page
from waiting import until

from sfnet_core.analysis.interpret import predict
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.shared.state import State, unpack_rows

CHANGED = "text => document.querySelector('.sf-status').textContent !== text"
MINUS = "\N{MINUS SIGN}"


def numbers(text: str) -> dict[str, str]:
    """'RMSE 0.1 dex · R² 0.7 · …' → {'RMSE': '0.1', 'R²': '0.7', 'N': '200', …}."""
    found = re.findall(r"(ΔRMSE|RMSE|R²|mean change|N) ([+\N{MINUS SIGN}]?[\d.,]+)", text)
    return {name: value.replace(MINUS, "-").replace(",", "") for name, value in found}


def expected(codes: SparseCodes, off: Collection[int], mode: str, rows: np.ndarray | None = None) -> dict[str, str]:
    """The same numbers by plain numpy; ``rows`` are the galaxies in view, by default those of validation."""
    rows = np.flatnonzero(codes.split == "validation") if rows is None else rows
    truth, now, before = codes.truth()[rows], predict(codes, off=off, mode=mode)[rows], codes.prediction()[rows]
    rmse = np.sqrt(np.mean((now - truth) ** 2))
    r2 = 1 - np.sum((now - truth) ** 2) / np.sum((truth - truth.mean()) ** 2)
    out = {"RMSE": f"{rmse:.4f}", "R²": f"{r2:.3f}", "N": str(len(rows))}
    if off:
        out["ΔRMSE"] = f"{rmse - np.sqrt(np.mean((before - truth) ** 2)):+.4f}"
        out["mean change"] = f"{np.mean(now - before):+.4f}"
    return out


def wait_for_status(page: Page, before: str) -> str:
    """The status line when it is another than ``before``."""
    page.wait_for_function(CHANGED, arg=before)
    return page.inner_text(".sf-status")


def wait_for_galaxy(page: Page, identifier: str) -> None:
    """Until the inspector shows a galaxy."""
    page.wait_for_function("id => document.querySelector('.sf-inspector h2')?.textContent === id", arg=identifier)


def equation(page: Page) -> tuple[list[Decimal], Decimal]:
    """The picture equation as it stands there: bias and contributions, and what they make."""
    left, right = page.inner_text(".sf-sum").replace(MINUS, "-").split("=")
    terms = [Decimal(term.replace(" ", "")) for term in re.findall(r"[+-]?\s*[\d.]+", left)]
    return terms, Decimal(right.split()[0])


def chosen(page: Page, codes: SparseCodes, name: str = "selection") -> np.ndarray:
    """Rows of the selection (or ``kept``), read from the page's own permalink."""
    state = State(codes.features, len(codes), set(codes.split.tolist()))
    choices, _troubles = state.from_url(urlsplit(page.url).query, lambda _id: None)
    return unpack_rows(choices[name])


def kept(codes: SparseCodes, row: int) -> dict[int, float]:
    """{feature: contribution} of the features that the gate keeps on one galaxy, the largest first."""
    pairs = zip(codes.indices[row, : codes.k], codes.values[row, : codes.k], strict=True)
    terms = {int(f): float(codes.weight[0, f]) * float(a) for f, a in pairs if f >= 0}
    return dict(sorted(terms.items(), key=lambda term: -abs(term[1])))


def explained(page: Page, codes: SparseCodes, row: int, off: set[int], mode: str = "ablate") -> None:
    """The picture equation adds up on screen, to the prediction that numpy gives."""
    wanted = f"{predict(codes, off=off, mode=mode)[row]:.4f}"
    page.wait_for_function(
        "([id, end]) => document.querySelector('.sf-inspector h2').textContent === id"
        " && document.querySelector('.sf-sum').textContent.split('= ')[1]?.startsWith(end)",
        arg=[str(codes.ids[row]), wanted],
    )
    terms, prediction = equation(page)
    assert sum(terms) == prediction == Decimal(wanted)
    bars = [text.replace(MINUS, "-") for text in page.locator(".sf-bars .sf-number").all_inner_texts()]
    shown = dict(zip(page.locator(".sf-bars button.sf-name").all_inner_texts(), bars[1:-1], strict=True))
    for feature, term in kept(codes, row).items():
        assert any(
            abs(float(value) - term) < 2e-4 for name, value in shown.items() if name.split(" ")[0] == f"f{feature}"
        ), (feature, term, shown)


def pixels(page: Page, selector: str) -> np.ndarray:
    """What is on the screen there, (h, w, 3)."""
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB"), dtype=int)


def seen(page: Page) -> dict:
    """All that a second browser must show too."""
    page.evaluate("document.activeElement?.blur()")
    page.mouse.move(3, 3)
    page.wait_for_timeout(400)
    return {
        "status": page.inner_text(".sf-status"),
        "selected": page.inner_text(".sf-selected"),
        "total": page.inner_text(".sf-total"),
        "tiles": [tile.get_attribute("data-id") for tile in page.query_selector_all(".sf-galaxy")],
        "values": page.locator(".sf-galaxy .sf-value").all_inner_texts(),
        "switches": [
            (t.get_attribute("data-feature"), t.get_attribute("aria-checked"))
            for t in page.query_selector_all(".sf-toggle")
        ],
        # but for the caution about how a selection was drawn, which the link does not know
        "right": [line for line in page.inner_text(".sf-right").splitlines() if "drawn" not in line.lower()],
        "filter": page.input_value(".sf-filter"),
    }


def same_picture(one: Page, other: Page, selector: str) -> None:
    """Two screens come to show the same there, but for the edges of letters and points."""

    def alike() -> bool:
        a, b = pixels(one, selector), pixels(other, selector)
        return a.shape == b.shape and np.mean(np.abs(a - b).max(axis=2) > 40) < 0.002

    until(alike)  # pictures are unpacked and figures are drawn a moment later
