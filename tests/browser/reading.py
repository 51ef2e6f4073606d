"""What the explorer's page says, as numbers; and the same numbers by plain numpy."""

from __future__ import annotations

import re
from collections.abc import Collection
from decimal import Decimal
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import Page

from sfnet_core.codes import SparseCodes
from sfnet_core.explorer.state import State, unpack_rows
from sfnet_core.interpret import predict

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
    choices, _troubles = state.read_query(urlsplit(page.url).query, lambda _id: None)
    return unpack_rows(choices[name])
