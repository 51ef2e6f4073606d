"""The page shows that it waits for an answer, once that takes more than 200 ms, and no longer than it does."""

from __future__ import annotations

from proxy import Cable

BUSY = "document.body.classList.contains('sf-busy')"


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
