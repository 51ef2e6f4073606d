"""The report opens from disk, in a browser that may ask nobody for anything."""

from __future__ import annotations

from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset, sample_folder
from sfnet_core.reports.paper.document import write_report


def test_it_opens_from_disk(browser, tmp_path):
    write_report(sample_codes(), tmp_path, sample_dataset(), run=sample_folder() / "sample-run")
    troubles = []
    page = browser.new_page(viewport={"width": 1024, "height": 768})
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    address = (tmp_path / "report.html").as_uri()
    page.on("request", lambda r: r.url.startswith(("data:", address)) or troubles.append(r.url))
    page.goto(address)
    assert page.evaluate("document.images.length > 40 && [...document.images].every(i => i.naturalWidth > 0)")
    assert page.evaluate("document.documentElement.scrollWidth") == 1024
    page.get_by_role("link", name="BPT diagram of each feature").click()
    page.wait_for_function("Math.abs(document.getElementById('bpt').getBoundingClientRect().top) < 60")
    page.close()
    assert not troubles
