"""Codes of the four emission lines in a real browser: target switch, galaxy in focus, predicted BPT diagram."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfnet_core.analysis.interpret import activations
from sfnet_core.astro.emission_lines import LABELS, LINES
from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.targets import read_targets
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset

TITLES = """() => Bokeh.documents.flatMap((d) => [...d._all_models.values()])
  .flatMap((m) => (m.type === "Title" ? [m.text] : m.type.endsWith("Axis") ? [m.axis_label] : []))"""
FACT = """(name) => { const at = [...document.querySelectorAll(".sf-inspector dt")].find((e) => e.textContent === name);
  return at ? at.nextElementSibling.textContent : ""; }"""


@pytest.fixture(scope="module")
def four_lines(tmp_path_factory) -> Path:
    """The sample's codes with a head of four outputs, fitted to its (simulated) fluxes by least squares."""
    codes, dataset = sample_codes(), sample_dataset()
    targets = read_targets(dataset, LINES)
    truth, units = targets.values, targets.units
    assert dataset.ids.tolist() == codes.ids.tolist()
    active = np.unique(codes.indices[:, : codes.k])
    active = active[active >= 0]
    a = np.stack([activations(codes, int(j)) for j in active] + [np.ones(len(codes))], axis=1)
    good = np.isfinite(truth).all(axis=1) & codes.in_split("train")
    fitted = np.linalg.lstsq(a[good], truth[good], rcond=None)[0]  # (features + 1, 4)
    weight = np.zeros((4, codes.features))
    weight[:, active] = fitted[:-1].T
    columns = {name: codes.column(name) for name in codes.columns}
    made = SparseCodes.from_arrays(
        ids=codes.ids, indices=codes.indices, values=codes.values, k=codes.k, features=codes.features, weight=weight,
        bias=fitted[-1], targets=list(LINES), units=units, truth=truth, split=codes.split, columns=columns,
        ra=codes.ra, dec=codes.dec, column_units=codes.column_units, simulated=True, provenance=codes.provenance,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("lines") / "lines.parquet"
    made.save(path)
    return path


def test_the_lines_are_switched_read_and_toggled(serve, open_page, four_lines):
    codes = SparseCodes.open(four_lines)
    page = open_page(serve(four_lines, sample_dataset().path))
    row = codes.index_of(page.inner_text(".sf-inspector h2"))
    for i, name in enumerate(LINES):
        page.get_by_label("Target", exact=True).select_option(str(i))
        page.wait_for_function(
            f"(text) => ({TITLES})().some((t) => t && t.includes(text))", arg=f"predicted {LABELS[name]} [dex]"
        )
        wanted = f"{10 ** codes.prediction(name)[row]:.5g}"
        page.wait_for_function(f"(wanted) => ({FACT})('predicted flux [10⁻¹⁷ erg/s/cm²]') === wanted", arg=wanted)
    ratio = codes.prediction("log_N2")[row] - codes.prediction("log_Ha")[row]
    before = page.evaluate(FACT, "BPT, predicted")
    assert f" {ratio:+.2f}, ".replace("-", "−") in before
    assert page.evaluate(FACT, "BPT, measured").split()[0] in ("SF", "composite", "AGN")
    page.select_option("select[aria-label='Lower left plot']", "bpt_predicted")
    page.wait_for_function(f"() => ({TITLES})().some((t) => t && t.startsWith('predicted log([NII]'))")
    kept = codes.indices[row, : codes.k]
    strongest = int(kept[np.argmax(np.abs((codes.weight[0] - codes.weight[1])[kept]))])
    page.click(f".sf-toggle[data-feature='{strongest}']")
    page.wait_for_function(f"(before) => ({FACT})('BPT, predicted') !== before", arg=before)
