"""The page about a visitor's own galaxy in a real browser: real files go up, numbers equal to inference's come back."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from sfnet_core.codes.table import SparseCodes
from sfnet_core.data.cutouts import encode_jpeg, read_image
from sfnet_core.data.dataset import Dataset
from sfnet_core.explorer.shared.sample import sample_dataset, sample_folder

HOSTILE = "<img src=x onerror=window.bad=1>"
N = 40


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Codes and cutouts of 40 sample galaxies, one with a hostile identifier, made by the sample's own network."""
    from sfnet_core.inference.runner import infer

    folder = tmp_path_factory.mktemp("yours")
    whole = sample_dataset()
    ids = [f"galaxy-{i:02d}" for i in range(N)]
    ids[6] = HOSTILE
    columns = {"oh_p50": whole.column("oh_p50")[:N]}
    dataset = Dataset.create(
        folder / "dataset", ids, whole.cutouts[:N], columns, pixel_scale=whole.pixel_scale, simulated=True
    )
    infer(sample_folder() / "sample-run", dataset, folder / "codes.parquet", progress=False)
    (folder / "images").mkdir()
    Image.fromarray(whole.cutouts[50]).save(folder / "images" / "new.png")
    (folder / "images" / "fresh.jpg").write_bytes(encode_jpeg(whole.cutouts[51], 90))
    (folder / "images" / "broken.jpg").write_bytes(encode_jpeg(whole.cutouts[52], 90)[:700])
    return folder


@pytest.fixture(scope="module")
def address(made, serve) -> str:
    with pytest.MonkeyPatch.context() as patch:  # the server keeps the environment it started with
        patch.setenv("SFNET_RUN", str(sample_folder() / "sample-run"))
        patch.setenv("SFNET_IMAGES", str(made / "images"))
        patch.setenv("SFNET_OUTPUT", str(made / "out"))
        return serve(made / "codes.parquet", made / "dataset").replace("explore.ipynb", "your_galaxy.ipynb")


def upload(page, path: Path) -> None:
    """Choose a file and wait for its answer."""
    page.set_input_files("input.sf-file", path)
    page.wait_for_function(
        "name => document.querySelector('.sf-inspector h2').textContent === name", arg=path.name, timeout=60_000
    )


def sum_of(page) -> tuple[Decimal, Decimal]:
    """The picture equation as shown: left side added up, right side."""
    left, right = page.locator(".sf-sum").inner_text().replace("\N{MINUS SIGN}", "-").split(" = ")
    first, *rest = left.split(" ")
    total = Decimal(first)
    for sign, value in zip(rest[::2], rest[1::2], strict=True):
        total += Decimal(sign + value)
    return total, Decimal(right.split()[0])


@pytest.mark.parametrize("name", ["new.png", "fresh.jpg"])
def test_an_uploaded_image_gets_inferences_numbers(made, address, open_page, tmp_path, name):
    from sfnet_core.inference.runner import infer

    one = Dataset.create(tmp_path / "one", ["x"], read_image(made / "images" / name)[None])
    expected = infer(sample_folder() / "sample-run", one, tmp_path / "one.parquet", progress=False)
    page = open_page(address)
    upload(page, made / "images" / name)
    left, right = sum_of(page)
    assert left == right == Decimal(f"{expected.prediction()[0]:.4f}")
    shown = page.locator(".sf-bars button.sf-name").all_inner_texts()
    assert sorted(shown) == sorted(f"f{f}" for f in expected.indices[0, : expected.k] if f >= 0)
    expect(page.locator(".sf-check[data-name='pixel scale']")).to_have_attribute("data-state", "unknown")
    page.get_by_label("Pixel scale of your image").fill("0.198")
    page.keyboard.press("Enter")
    page.wait_for_selector(".sf-check[data-name='pixel scale'][data-state='good']", timeout=60_000)


def test_a_known_cutout_finds_itself_and_its_neighbours(made, address, open_page, tmp_path):
    codes, dataset = SparseCodes.open(made / "codes.parquet"), Dataset.open(made / "dataset")
    Image.fromarray(dataset.cutouts[3]).save(tmp_path / "known.png")
    page = open_page(address)
    upload(page, tmp_path / "known.png")
    assert sum_of(page)[1] == Decimal(f"{codes.prediction()[3]:.4f}")
    page.wait_for_selector(f".sf-near .sf-galaxy:first-child[data-id='{codes.ids[3]}']")
    dense = np.zeros((N, codes.features))
    for row in range(N):
        for f, a in zip(codes.indices[row, : codes.k], codes.values[row, : codes.k], strict=True):
            dense[row, f] = a if f >= 0 else dense[row, f]
    cosine = dense @ dense[3] / (np.linalg.norm(dense, axis=1) * np.linalg.norm(dense[3]) + 1e-300)
    best = page.locator(".sf-near .sf-likeness").all_inner_texts()
    assert [float(text.split()[0]) for text in best[:8]] == pytest.approx(np.sort(cosine)[::-1][:8], abs=6e-5)


def test_t23_another_size_is_refused_until_the_box_is_ticked(address, open_page, tmp_path):
    Image.fromarray(np.asarray(sample_dataset().cutouts[50])).resize((160, 160)).save(tmp_path / "big.png")
    page = open_page(address)
    page.set_input_files("input.sf-file", tmp_path / "big.png")
    page.wait_for_selector(".sf-trouble:not([hidden])", timeout=60_000)
    assert "128×128" in page.locator(".sf-ask > .sf-trouble").inner_text()
    assert "160×160" in page.locator(".sf-ask > .sf-trouble").inner_text()
    assert page.locator(".sf-status").inner_text() == "no galaxy yet"
    page.locator(".sf-anyway").check()
    page.wait_for_selector(".sf-check[data-name='image size'][data-state='warn']", timeout=60_000)
    expect(page.locator(".sf-inspector h2")).to_contain_text("big.png at 128×128 px")
    assert sum_of(page)[0] == sum_of(page)[1]


def test_t10_names_and_identifiers_are_shown_literally(address, open_page, tmp_path):
    page = open_page(address)
    hostile = tmp_path / f"{HOSTILE}.png"
    Image.fromarray(np.asarray(sample_dataset().cutouts[50])).save(hostile)
    upload(page, hostile)
    page.locator(".sf-what").fill(HOSTILE)
    page.keyboard.press("Enter")
    page.wait_for_function("name => document.querySelector('.sf-inspector h2').textContent === name", arg=HOSTILE)
    page.locator(".sf-what").fill(f"{HOSTILE}/x.jpg")
    page.keyboard.press("Enter")
    page.wait_for_selector(".sf-ask > .sf-trouble:not([hidden])")
    assert page.evaluate("window.bad") is None and page.locator("img[src='x']").count() == 0


def test_a_permalink_opens_the_same_galaxy_with_the_same_numbers(made, address, open_page):
    codes = SparseCodes.open(made / "codes.parquet")
    page = open_page(address)
    page.locator(".sf-near .sf-galaxy").nth(2).click()
    page.wait_for_function("location.search.includes('galaxy=')")
    page.locator(".sf-maps button").nth(2).click()
    page.wait_for_function("location.search.includes('map=')")
    again = open_page(page.url)
    again.wait_for_function("document.querySelector('.sf-sum').textContent")
    assert again.locator(".sf-sum").inner_text() == page.locator(".sf-sum").inner_text()
    assert again.locator(".sf-status").inner_text() == page.locator(".sf-status").inner_text()
    name = again.locator(".sf-inspector h2").inner_text()
    assert sum_of(again)[1] == Decimal(f"{codes.prediction()[codes.index_of(name)]:.4f}")


def test_a_folder_gives_a_codes_file_and_says_what_was_set_aside(made, address, open_page, tmp_path):
    page = open_page(address)
    page.locator(".sf-batch summary").click()
    page.locator(".sf-folder").fill(".")
    page.get_by_role("button", name="make codes").click()
    page.wait_for_selector(".sf-made", timeout=120_000)
    assert page.locator(".sf-made").inner_text() == "2 galaxies, 1 set aside"
    with page.expect_download() as download:
        page.get_by_role("button", name="save the codes file").click()
    download.value.save_as(tmp_path / "codes.parquet")
    assert SparseCodes.open(tmp_path / "codes.parquet").ids.tolist() == ["fresh", "new"]


FITS = """element => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.right <= innerWidth && box.top < innerHeight;
}"""


def test_the_page_fits_both_sizes(address, open_page):
    for size in ((1440, 900), (1024, 768)):
        page = open_page(address, size=size)
        page.locator(".sf-near .sf-galaxy").first.click()
        page.wait_for_function("document.querySelector('.sf-sum').textContent")
        page.wait_for_selector(".sf-check")
        whole = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert whole[0] <= size[0] and whole[1] <= size[1]
        for selector in (".sf-drop", ".sf-what", ".sf-check", ".sf-frame", ".sf-bars", ".sf-near .sf-galaxy"):
            assert page.locator(selector).first.evaluate(FITS), f"{selector} at {size}"
