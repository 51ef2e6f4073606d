"""Stability in a real browser: the line under a switch's name, the cards, the order, the table, a feature's page."""

from __future__ import annotations

import re
import shutil

import numpy as np
from axe_playwright_python.sync_playwright import Axe

from sfnet_core.analysis.stability.file import stability_path, write_stability
from sfnet_core.analysis.stability.seeds import stability
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.shared.sample import sample_folder


def renumbered(codes: SparseCodes, seed: int) -> SparseCodes:
    """The same features under other numbers, all but a few of them blurred: a made-up second training."""
    rng = np.random.default_rng(seed)
    blur = np.linspace(0, 2, codes.features)[rng.permutation(codes.features)]
    noise = np.exp(blur[codes.indices] * rng.normal(size=codes.values.shape))
    values = np.where(codes.indices >= 0, codes.values * noise, 0)
    order = np.argsort(-values, axis=1, kind="stable")
    number = rng.permutation(codes.features)
    indices = np.where(codes.indices >= 0, number[codes.indices], -1)
    return SparseCodes.from_arrays(
        ids=codes.ids,
        indices=np.take_along_axis(indices, order, 1),
        values=np.take_along_axis(values, order, 1),
        k=codes.k,
        features=codes.features,
        weight=codes.weight,
        bias=codes.bias,
        targets=codes.targets,
        split=codes.split,
        simulated=True,
    )


def test_scores_are_seen_sorted_and_read(serve, open_page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("steady")
    path = shutil.copy(sample_folder() / "sample-codes.parquet", folder / "mine.parquet")
    codes = SparseCodes.open(path)
    found = stability(codes, [renumbered(codes, seed) for seed in (1, 2)], permutations=20)
    write_stability(stability_path(path), found)
    address = serve(path)
    score = {one.feature: one for one in found.features}
    judged = [one for one in found.features if not one.rare]
    rare = [one.feature for one in found.features if one.rare]
    assert len(judged) > 5 and len(rare) > 5

    page = open_page(address, size=(1024, 768))
    rows = page.locator(".sf-row .sf-name")
    for name in (rows.nth(0), rows.nth(3)):
        one = score[int(name.inner_text()[1:])]
        assert f"stability {one.rho:.2f}" in name.get_attribute("aria-label")
        assert f"ρ {one.rho:.2f} with its counterparts" in name.get_attribute("title")
        assert float(name.evaluate("e => e.style.getPropertyValue('--steady')")) == round(one.rho, 3)
    name = page.get_by_role("button", name=re.compile(rf"^f{rare[0]}( |,|$)"), include_hidden=True).first
    assert "stability too rare to judge" in name.get_attribute("aria-label")
    assert "sf-too-rare" in name.get_attribute("class") and "sf-steady" not in name.get_attribute("class").split()
    assert f"fires on {score[rare[0]].fires} of these galaxies" in name.get_attribute("title")
    assert not Axe().run(page, context=".sf-toggles").response["violations"]

    page = open_page(address.replace("explore.ipynb", "atlas.ipynb"))
    page.get_by_label("Sort the features by").select_option("stability")
    order = [one.feature for one in judged]
    page.wait_for_function("(f) => document.querySelector('.sf-card').dataset.feature === f", arg=str(order[0]))
    listed = page.locator(".sf-card").evaluate_all("all => all.map((e) => Number(e.dataset.feature))")
    assert listed[: len(order)] == order and sorted(listed[len(order) :]) == sorted(rare)
    last = page.locator(".sf-card").last.locator(".sf-steady-line").inner_text()
    assert f"too rare ({score[listed[-1]].fires})" in last
    line = page.locator(".sf-card").first.locator(".sf-steady-line").inner_text()
    assert f"{judged[0].rho:.2f} · {round(judged[0].found * 2)} of 2" in line
    page.get_by_role("button", name="ρ and weight").click()
    page.wait_for_selector(".sf-signs tbody tr")
    page.locator(".sf-signs thead th").filter(has_text="stability").first.wait_for()
    cells = page.locator(".sf-signs tbody tr").first.locator("td")
    titles = page.locator(".sf-signs thead th").all_inner_texts()
    assert cells.nth(titles.index("stability") - 1).inner_text() == f"{judged[0].rho:.3f}"
    with page.expect_download() as saved:
        page.get_by_role("button", name="save CSV").click()
    text = saved.value.path().read_text(encoding="utf-8")
    assert ",stability,found again," in text.splitlines()[0] and f"{judged[0].rho:.3f}" in text.splitlines()[1]
    page.locator(".sf-signs tbody .sf-name").first.click()
    page.wait_for_selector(".sf-leaf .sf-steady-note")
    words = page.locator(".sf-steady-note").inner_text()
    assert f"f{judged[0].counterpart[0]} of " in words and "shuffled galaxies give" in words
    assert not Axe().run(page, context=".sf-leaf-head").response["violations"]
