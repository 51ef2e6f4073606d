"""Labels in a real browser: written, seen everywhere, kept, shared between tabs, taken back, sent and fetched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from waiting import until

from sfnet_core.annotations.labels import LabelBook, labels_path
from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.shared.sample import sample_dataset, sample_folder

HOSTILE = "blue <img src=x onerror=alert(1)> $$x^2$$"
FEATURE_FORM, GALAXY_FORM = ".sf-note[data-kind=features]", ".sf-note[data-kind=galaxies]"

# Titles and axes of all figures, as Bokeh has them, and elements that only markup could have made.
PLOTS = """() => Bokeh.documents.flatMap((d) => [...d._all_models.values()])
  .flatMap((m) => (m.type === "Title" ? [m.text] : m.type.endsWith("Axis") ? [m.axis_label] : []))"""
MARKUP = """() => {
  let found = 0;
  const walk = (node) => { for (const child of node.querySelectorAll("*")) {
    if (child.matches("img[src='x'], script[src='x'], [onerror]")) found += 1;
    if (child.shadowRoot) walk(child.shadowRoot);
  } };
  walk(document);
  return found;
}"""


@pytest.fixture
def mine(tmp_path) -> Path:
    """The sample's codes as a file of the user's own."""
    return Path(shutil.copy(sample_folder() / "sample-codes.parquet", tmp_path / "mine.parquet"))


def book(path: Path) -> LabelBook:
    return LabelBook.open(SparseCodes.open(path))


def wait_for_text(page, selector: str, part: str) -> None:
    page.wait_for_function(
        "([s, part]) => [...document.querySelectorAll(s)].some((e) => e.textContent.includes(part))",
        arg=[selector, part],
    )


def wait_for_title(page, part: str) -> None:
    page.wait_for_function(f"(part) => ({PLOTS})().some((text) => text.includes(part))", arg=part)


def write(page, form: str, words: str) -> None:
    """Type a label into the form that a key opened."""
    page.wait_for_selector(f"{form} .sf-note-label:focus")
    page.keyboard.type(words)
    page.keyboard.press("Enter")


def test_a_feature_is_labelled_and_every_page_says_so(serve, open_page, mine):
    address = serve(mine, sample_dataset().path)
    page = open_page(address)
    feature = int(page.get_attribute(".sf-row.sf-focus .sf-toggle", "data-feature"))
    galaxy = page.inner_text(".sf-inspector h2")
    page.keyboard.press("l")
    write(page, FEATURE_FORM, HOSTILE)
    wait_for_text(page, ".sf-row.sf-focus .sf-said", HOSTILE)
    wait_for_title(page, f"f{feature} · blue <img")
    wait_for_text(page, ".sf-saved", "✓ Saved: mine.labels.json")
    assert not any("$$" in text for text in page.evaluate(PLOTS))
    page.keyboard.press("S")
    page.wait_for_selector(".sf-row.sf-focus .sf-starred")
    page.fill(f"{FEATURE_FORM} .sf-note-list", "colour <b>")
    page.press(f"{FEATURE_FORM} .sf-note-list", "Enter")
    wait_for_text(page, f"{FEATURE_FORM} .sf-chip", "colour <b>")
    # the galaxy: a label by key, a note in lines, a star, a list, and only that list in view
    page.keyboard.press("Escape")
    page.keyboard.press("L")
    write(page, GALAXY_FORM, "merger?")
    page.fill(f"{GALAXY_FORM} textarea", "two nuclei\nseen in g")
    page.keyboard.press("Escape")
    page.keyboard.press("s")
    page.wait_for_selector(f".sf-galaxy[data-id='{galaxy}'] .sf-tile-star")
    wait_for_text(page, ".sf-tile-label", "merger?")
    page.fill(f"{GALAXY_FORM} .sf-note-list", "odd ones")
    page.press(f"{GALAXY_FORM} .sf-note-list", "Enter")
    page.click(".sf-named-mark button:has-text('odd ones · 1')")
    page.wait_for_function("document.querySelectorAll('.sf-galaxy').length === 1")
    expect(page.locator(".sf-filter")).to_have_value('list = "odd ones"')
    for theme in ("light", "dark"):
        if theme == "dark":
            page.keyboard.press("Escape")
            page.keyboard.press("d")
            page.wait_for_selector(".sf-root.sf-dark")
        bad = Axe().run(page, ".sf-right").response["violations"]
        assert not bad, f"{theme}: {[(v['id'], [n['html'][:120] for n in v['nodes']]) for v in bad]}"
    page.keyboard.press("d")
    page.click("[data-tab=galaxy]")
    wait_for_text(page, ".sf-inspector .sf-said", "merger?")
    # what is on the disk is what was said, and a reload has it
    kept = book(mine)
    assert (kept.feature(feature).label, kept.feature(feature).star) == (HOSTILE, True)
    assert (kept.galaxy(galaxy).label, kept.galaxy(galaxy).note) == ("merger?", "two nuclei\nseen in g")
    assert kept.lists("features") == {"colour <b>": (feature,)} and kept.lists("galaxies") == {"odd ones": (galaxy,)}
    page.reload()
    page.wait_for_selector(".sf-page", state="attached")
    wait_for_title(page, f"f{feature} · blue <img")
    page.click("[data-tab=notes]")
    page.wait_for_selector(FEATURE_FORM)
    expect(page.locator(f"{FEATURE_FORM} .sf-note-label")).to_have_value(HOSTILE)
    expect(page.locator(".sf-filter")).to_have_value('list = "odd ones"')
    expect(page.locator(".sf-galaxy")).to_have_count(1)
    assert page.evaluate(MARKUP) == 0 and page.title() == "SFNet explorer"
    # the atlas names it on its card, finds it by its label, and has its form on its page
    atlas = open_page(address.replace("explore.ipynb", "atlas.ipynb"))
    wait_for_text(atlas, f".sf-card[data-feature='{feature}'] .sf-open.sf-starred", f"f{feature} · {HOSTILE}")
    atlas.get_by_label("Find a feature by number or label").fill("blue <IMG")
    atlas.wait_for_function("document.querySelectorAll('.sf-card').length === 1")
    atlas.click(f".sf-card[data-feature='{feature}'] .sf-open")
    wait_for_text(atlas, ".sf-leaf h2", HOSTILE)
    wait_for_text(atlas, ".sf-leaf .sf-figure", f"f{feature} · blue")
    expect(atlas.locator(".sf-note-strip .sf-note-label")).to_have_value(HOSTILE)
    atlas.keyboard.press("l")
    write(atlas, FEATURE_FORM, "spiral arms")
    wait_for_text(atlas, ".sf-leaf h2", f"f{feature} · spiral arms")
    assert atlas.evaluate(MARKUP) == 0 and book(mine).feature(feature).label == "spiral arms"
    atlas.keyboard.press("u")
    wait_for_text(atlas, ".sf-leaf h2", HOSTILE)


def test_what_is_typed_as_the_page_is_left_is_kept(serve, open_page, mine):
    page = open_page(serve(mine, sample_dataset().path))
    feature = int(page.get_attribute(".sf-row.sf-focus .sf-toggle", "data-feature"))
    page.keyboard.press("l")
    page.wait_for_selector(f"{FEATURE_FORM} .sf-note-label:focus")
    # typed and left within one task of the browser: no pause in which the page could have sent it
    page.evaluate("""() => {
      const box = document.activeElement;
      box.value = "left at once";
      box.dispatchEvent(new InputEvent("input", { bubbles: true }));
      location.href = "about:blank";
    }""")
    page.wait_for_url("about:blank")
    until(lambda: labels_path(mine).is_file() and book(mine).feature(feature).label == "left at once", 20)


def test_two_tabs_keep_each_others_labels_and_nobodys_letters_are_lost(serve, open_page, mine):
    address = serve(mine, sample_dataset().path)
    one, other = open_page(address), open_page(address)
    feature = int(one.get_attribute(".sf-row.sf-focus .sf-toggle", "data-feature"))
    galaxy = one.inner_text(".sf-inspector h2")
    # the other one is writing a note on the same feature, not yet at a pause
    other.keyboard.press("l")
    other.wait_for_selector(f"{FEATURE_FORM} .sf-note-label:focus")
    one.keyboard.press("l")
    write(one, FEATURE_FORM, "blue discs")
    wait_for_title(one, "blue discs")
    other.focus(f"{FEATURE_FORM} textarea")
    for word in ("slowly ", "typed ", "words"):  # somebody is here, so the page looks for news by itself
        other.keyboard.type(word, delay=120)
    wait_for_text(other, ".sf-row.sf-focus .sf-said", "blue discs")
    wait_for_title(other, f"f{feature} · blue discs")
    expect(other.locator(f"{FEATURE_FORM} .sf-note-label")).to_have_value("blue discs")  # in a message of its own
    assert other.input_value(f"{FEATURE_FORM} textarea") == "slowly typed words"
    other.keyboard.press("Escape")
    other.keyboard.press("s")
    other.wait_for_selector(f".sf-galaxy[data-id='{galaxy}'] .sf-tile-star")
    one.keyboard.press("Escape")
    one.mouse.move(300, 300)
    one.wait_for_selector(f".sf-galaxy[data-id='{galaxy}'] .sf-tile-star")
    expect(one.locator(f"{FEATURE_FORM} textarea")).to_have_value("slowly typed words")
    kept = book(mine)
    assert (kept.feature(feature).label, kept.feature(feature).note) == ("blue discs", "slowly typed words")
    assert kept.galaxy(galaxy).star
    # a second tab of the same browser hears of it at once, while nobody touches it
    tab = one.context.new_page()
    tab.goto(address)
    tab.wait_for_selector(".sf-page", state="attached")
    wait_for_text(tab, ".sf-row.sf-focus .sf-said", "blue discs")
    one.keyboard.press("u")
    tab.wait_for_function("document.querySelector('.sf-row.sf-focus .sf-said').hidden")
    tab.keyboard.press("ArrowRight")  # after its answer the gallery is as the undo left it
    tab.wait_for_selector(f".sf-galaxy[aria-pressed=true]:not([data-id='{galaxy}'])")
    assert tab.locator(".sf-tile-star").count() == 1  # the other page's star is not taken back with it


def test_labels_are_exported_and_imported_and_the_import_is_undone(serve, open_page, mine, tmp_path):
    page = open_page(serve(mine, sample_dataset().path))
    feature = int(page.get_attribute(".sf-row.sf-focus .sf-toggle", "data-feature"))
    page.keyboard.press("l")
    write(page, FEATURE_FORM, "mine")
    wait_for_text(page, ".sf-saved", "✓ Saved")
    with page.expect_download() as download:
        page.click("[data-action='export-labels']")
    assert download.value.suggested_filename == "mine.labels.json"
    exported = json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
    assert exported == json.loads(labels_path(mine).read_text(encoding="utf-8"))
    # a colleague's file: a later word for this feature, and one for another
    section = exported["features"][book(mine).fingerprint]
    later = {"revision": 9, "time": "2099-01-01T00:00:00.000Z"}
    other = next(
        f
        for f in map(int, page.locator(".sf-toggle").evaluate_all("a => a.map(e => e.dataset.feature)"))
        if f != feature
    )
    section["items"] = {str(feature): {"label": "theirs", **later}, str(other): {"label": "new", "star": True, **later}}
    (tmp_path / "theirs.json").write_text(json.dumps(exported), encoding="utf-8")
    page.set_input_files(".sf-note-file", tmp_path / "theirs.json")
    wait_for_text(page, ".sf-notice p", "1 label(s) came in and 1 were replaced by later ones")
    wait_for_text(page, ".sf-row.sf-focus .sf-said", "theirs")
    expect(page.locator(".sf-row .sf-starred")).to_have_text(f"f{other}")
    page.click("button[aria-label=Undo]")
    wait_for_text(page, ".sf-row.sf-focus .sf-said", "mine")
    expect(page.locator(".sf-row .sf-starred")).to_have_count(0)
    # files that are no labels are refused with a sentence; one that is too large does not leave the browser
    (tmp_path / "bad.json").write_text('{"kind": "something else"}', encoding="utf-8")
    page.set_input_files(".sf-note-file", tmp_path / "bad.json")
    wait_for_text(page, ".sf-notice p", "the field `kind`")
    (tmp_path / "large.json").write_bytes(b" " * (9 << 20))
    page.set_input_files(".sf-note-file", tmp_path / "large.json")
    wait_for_text(page, ".sf-notes [role=alert]", "labels of up to 8,388,608 are imported")
    assert page.inner_text(".sf-row.sf-focus .sf-said") == "mine" and book(mine).feature(feature).label == "mine"
