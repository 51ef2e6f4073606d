"""The explorer in JupyterLab, and under Voilà as an extension of somebody's own Jupyter server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Page
from reading import expected, numbers, wait_for_galaxy, wait_for_status

from sfnet_core.codes.table import SparseCodes
from sfnet_core.explorer.shared.sample import sample_codes

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TOKEN = "a-token-for-this-test-alone"
QUIET = {  # nothing that would ask another host
    "LabApp": {
        "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "news_url": None,
        "extension_manager": "readonly",
    }
}


@pytest.fixture(scope="module")
def codes() -> SparseCodes:
    return sample_codes()


@contextlib.contextmanager
def jupyter(folder: Path, module: str, *options: str) -> Iterator[str]:
    """``python -m MODULE`` on a copy of the notebooks, with folders of its own for all that Jupyter keeps."""
    notebooks = shutil.copytree(NOTEBOOKS, folder / "notebooks")
    for name in ("config", "data", "runtime", "settings", "workspaces", "ipython"):
        (folder / name).mkdir(exist_ok=True)
    notification = folder / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    notification.parent.mkdir(parents=True)
    notification.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    (folder / "config" / "jupyter_server_config.json").write_text(json.dumps(QUIET))
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SFNET_", "JUPYTER"))}
    environment |= {name: str(folder / part) for name, part in own.items()}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", module, "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={notebooks}"]
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            until_it_answers(address, process, folder / "server.log")
            yield address
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def until_it_answers(address: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"The server did not answer:\n{log.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def watched(browser: Browser, address: str) -> Iterator[Page]:
    """A page of its own whose requests all stay at ``address`` and whose scripts raise nothing."""
    troubles = []
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(60_000)

    def asked(request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob", "about") and url.netloc != urlsplit(address).netloc:
            troubles.append(f"a request left the server: {request.url}")

    page.on("request", asked)
    page.on("pageerror", lambda error: troubles.append(f"uncaught: {error}"))
    yield page
    context.close()
    assert not troubles, "\n".join(troubles)


def toggles_give_numpys_numbers(page: Page, codes: SparseCodes) -> None:
    """The status line before and after a click on a switch, and after a lasso's kin: refill."""
    page.wait_for_selector(".sf-page", state="attached", timeout=90_000)
    status = page.inner_text(".sf-status")
    assert numbers(status) == expected(codes, set(), "ablate")
    first = page.locator(".sf-toggle").first
    feature = int(first.get_attribute("data-feature"))
    first.click()
    status = wait_for_status(page, status)
    assert numbers(status) == expected(codes, {feature}, "ablate")
    page.click("[data-mode='refill']")
    status = wait_for_status(page, status)
    assert numbers(status) == expected(codes, {feature}, "refill")
    identifier = page.locator(".sf-galaxy").nth(3).get_attribute("data-id")
    page.locator(".sf-galaxy").nth(3).click()
    wait_for_galaxy(page, identifier)
    wanted = f"{expected_prediction(codes, identifier, feature):.4f} dex"
    page.wait_for_function("end => document.querySelector('.sf-sum').textContent.endsWith(end)", arg=wanted)


def expected_prediction(codes: SparseCodes, identifier: str, off: int) -> float:
    """Bias + Σ weight × activation over the first k stored activations that are not of the feature that is off."""
    row = codes.index_of(identifier)
    kept = [(f, a) for f, a in zip(codes.indices[row], codes.values[row], strict=True) if f >= 0 and f != off]
    return float(codes.bias[0] + sum(codes.weight[0, f] * np.float64(a) for f, a in kept[: codes.k]))


def test_jupyterlab_runs_the_notebook_and_its_toggles_work(browser, tmp_path, codes):
    with jupyter(tmp_path, "jupyterlab") as address, watched(browser, address) as page:
        page.goto(f"{address}/lab/tree/explore.ipynb?token={TOKEN}")
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", state="attached")
        page.locator("#jp-main-statusbar").get_by_text("| Idle").wait_for()  # the kernel has answered, not only begun
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        toggles_give_numpys_numbers(page, codes)
        assert page.locator(".sf-nav").is_hidden()  # the other pages are notebooks of their own here
        before = page.inner_text(".sf-status")
        page.click(".sf-header h1")
        page.keyboard.press("t")  # a key of JupyterLab's, not of the page
        identifier = page.locator(".sf-galaxy").nth(1).get_attribute("data-id")
        page.locator(".sf-galaxy").nth(1).click()  # its answer comes after a key's
        wait_for_galaxy(page, identifier)
        assert page.inner_text(".sf-status") == before


def test_voila_as_a_server_extension_with_our_template(browser, tmp_path, codes):
    made = subprocess.run(
        [sys.executable, "-m", "sfnet_core.explorer.server.template", str(tmp_path / "data")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(tmp_path / "data" / "voila" / "templates" / "sfnet") in made.stdout
    extension = "--ServerApp.jpserver_extensions={'voila.server_extension': True, 'jupyterlab': False}"
    with (
        jupyter(tmp_path, "jupyter_server", extension, "--VoilaConfiguration.template=sfnet") as address,
        watched(browser, address) as page,
    ):
        page.goto(f"{address}/voila/render/explore.ipynb?token={TOKEN}")
        toggles_give_numpys_numbers(page, codes)
        assert page.locator(".sf-nav").is_visible()
        page.keyboard.press("t")
        page.wait_for_function(
            "document.querySelector('.sf-row.sf-focus .sf-toggle').getAttribute('aria-checked') === 'true'"
        )
