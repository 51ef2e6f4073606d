"""Late answers: the page shows that it waits for one, and none takes away what was typed in the meantime."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from proxy import Cable

BUSY = "document.body.classList.contains('sf-busy')"


IMPATIENT = """
const timeout = AbortSignal.timeout.bind(AbortSignal);
AbortSignal.timeout = (ms) => timeout(ms <= 3000 ? 0 : ms); // as if two seconds were over at once
"""


def test_a_widget_that_takes_long_to_begin_still_hears_what_is_sent_to_it(open_page, serve):
    page = open_page(serve(), script=IMPATIENT)
    page.wait_for_function(f"!{BUSY}")
    status = page.inner_text(".sf-status")
    page.locator(".sf-toggle").first.click()
    page.wait_for_function("text => document.querySelector('.sf-status').textContent !== text", arg=status)


def test_a_late_answer_is_waited_for_in_sight(open_page, serve):
    with Cable(serve()) as cable:
        page = open_page(cable.address)
        page.wait_for_function(f"!{BUSY}")
        status = page.inner_text(".sf-status")

        cable.swallow_answers()
        page.locator(".sf-toggle").first.click()
        page.wait_for_function(BUSY)
        assert page.get_attribute("#rendered_cells", "aria-busy") == "true"
        assert page.inner_text(".sf-status") == status

        cable.release()
        page.wait_for_function("text => document.querySelector('.sf-status').textContent !== text", arg=status)
        page.wait_for_function(f"!{BUSY}")
        assert page.get_attribute("#rendered_cells", "aria-busy") == "false"
        page.close()  # before the cable is taken away, which would be an error of its own


@pytest.mark.parametrize("more", ["", " and oh_p50 > 8"])
def test_a_late_answer_leaves_the_filter_that_is_typed_by_then(open_page, serve, more):
    with Cable(serve()) as cable:
        page = open_page(cable.address)
        box, status = page.locator(".sf-filter"), page.inner_text(".sf-status")
        cable.swallow_answers()
        box.fill("oh_p50 > 8.9")
        box.press("Enter")
        if more:
            box.fill(f"oh_p50 > 8.9{more}")  # not applied
        cable.release()
        page.wait_for_function("text => document.querySelector('.sf-status').textContent !== text", arg=status)
        page.wait_for_function(f"!{BUSY}")
        assert "filtered" in page.inner_text(".sf-status")
        expect(box).to_have_value(f"oh_p50 > 8.9{more}")
        if more:  # what the page does elsewhere still comes to the box
            cable.swallow_answers()
            box.press("Enter")
            cable.release()
            page.wait_for_function("() => location.search.includes('8.9+and')")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+z")
        expect(box).to_have_value("oh_p50 > 8.9" if more else "")
        page.close()
