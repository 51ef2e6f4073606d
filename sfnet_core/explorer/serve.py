"""``sfnet explore``: a Voilà server of our notebooks on this machine's own address."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path

from sfnet_core.errors import SFNetError
from sfnet_core.explorer.template import lay_out

__all__ = ["notebooks_folder", "serve", "serving"]

IDLE_SECONDS = 1800  # a kernel whose page was closed is ended after this long
START_SECONDS = 120


def notebooks_folder() -> Path:
    """Where the notebooks are: in the installed package, or at the top of a checkout."""
    for folder in (Path(__file__).parent / "notebooks", Path(__file__).parents[2] / "notebooks"):
        if (folder / "explore.ipynb").is_file():
            return folder
    raise SFNetError("The notebooks are missing from this installation; install sfnet-core again.")


def free_port(port: int | None) -> int:
    """``port`` itself where it is free, any free one for ``None``; :class:`SFNetError` where it is taken."""
    if port is not None and not 0 < port < 65536:
        raise SFNetError(f"A port is a number from 1 to 65535, not {port}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError as error:
            raise SFNetError(
                f"Port {port} on 127.0.0.1 can't be used ({error.strerror}); choose another with --port."
            ) from error
        return probe.getsockname()[1]


def _configuration(port: int, token: str, pool: int) -> dict:
    """Voilà's configuration: loopback, our template, no source, no traceback, no files, closed pages' kernels ended."""
    return {
        "Voila": {
            "ip": "127.0.0.1",
            "port": port,
            "port_retries": 0,
            "token": token,
            "open_browser": False,
            "log_level": "ERROR",
        },
        "VoilaConfiguration": {
            "template": "sfnet",
            "allow_template_override": "NO",
            "allow_theme_override": "NO",
            "file_allowlist": [],
            "extension_allowlist": [
                "@voila-dashboards/widgets-manager8",
                "@jupyter-widgets/jupyterlab-manager",
                "@bokeh/jupyter_bokeh",
                "anywidget",
            ],
            "show_tracebacks": False,
            "strip_sources": True,
            "preheat_kernel": pool > 0,
            "default_pool_size": pool,
        },
        "VoilaKernelManager": {"preheat_denylist": ["atlas.ipynb", "train.ipynb", "your_galaxy.ipynb"]},
        "MappingKernelManager": {"cull_idle_timeout": IDLE_SECONDS, "cull_interval": 60},
    }


@contextlib.contextmanager
def serving(
    codes: str | os.PathLike | None = None,
    dataset: str | os.PathLike | None = None,
    *,
    port: int | None = None,
    token: bool = True,
    allow_mismatch: bool = False,
    pool: int = 2,
    notebooks: Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Iterator[tuple[str, subprocess.Popen]]:
    """Serve the page while the block runs; yields its address (with the token in it) and the server's process.

    The server listens on 127.0.0.1 only. ``pool`` kernels are kept ready, so that the page opens at once; kernels of
    closed pages are ended after half an hour. Raises :class:`SFNetError` where the port is taken, the codes or the
    dataset can't be opened, or the server does not answer.
    """
    environment = dict(os.environ, SFNET_BOKEH_ON_PAGE="1")
    for name, value in (("SFNET_CODES", codes), ("SFNET_DATASET", dataset)):
        environment.pop(name, None)
        if value is not None:
            environment[name] = str(Path(value).resolve())
    if allow_mismatch:
        environment["SFNET_ALLOW_MISMATCH"] = "1"
    secret = secrets.token_urlsafe(24) if token else ""
    port = free_port(port)
    with tempfile.TemporaryDirectory(prefix="sfnet-") as folder:
        lay_out(Path(folder))
        environment["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("JUPYTER_PATH")]))
        environment["JUPYTER_CONFIG_PATH"] = folder
        Path(folder, "voila.json").write_text(json.dumps(_configuration(port, secret, pool)), encoding="utf-8")
        command = [sys.executable, "-m", "voila", str(notebooks or notebooks_folder())]
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, process)
            yield f"{address}/voila/render/explore.ipynb" + (f"?token={secret}" if secret else ""), process
        finally:
            _stop(process)


def _wait_for(address: str, process: subprocess.Popen) -> None:
    """Until the server answers (any status will do: a page without a token is refused)."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SFNetError(
                f"The page's server stopped as it started (status {process.returncode}); its message is above."
            )
        try:
            urllib.request.urlopen(f"{address}/voila/static/voila.js", timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise SFNetError(f"The page's server did not answer at {address} within {START_SECONDS} s.")


def _stop(process: subprocess.Popen) -> None:
    """End the server and the kernels that it started."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.terminate()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def serve(
    codes: str | os.PathLike | None = None,
    dataset: str | os.PathLike | None = None,
    *,
    port: int | None = None,
    browser: bool = True,
    token: bool = True,
    allow_mismatch: bool = False,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page until Ctrl-C; prints the address when it answers and opens a browser where there is one.

    The codes and the dataset are opened here first, so that a mistake is one sentence in the shell and not an empty
    page in the browser.
    """
    check(codes, dataset, allow_mismatch)
    with serving(codes, dataset, port=port, token=token, allow_mismatch=allow_mismatch) as (address, process):
        say(f"The explorer is at {address}  (Ctrl-C ends it)")
        if browser and _has_browser():
            webbrowser.open(address)
        try:
            process.wait()
        except KeyboardInterrupt:
            say("Ended.")
            return
        raise SFNetError(f"The page's server ended by itself (status {process.returncode}).")


def check(codes: str | os.PathLike | None, dataset: str | os.PathLike | None, allow_mismatch: bool) -> None:
    """Raise :class:`SFNetError` where the codes or the dataset can't be opened or do not belong together."""
    from sfnet_core.codes import SparseCodes, check_dataset
    from sfnet_core.survey.dataset import Dataset

    if codes is None:
        if dataset is not None:
            raise SFNetError(
                "A dataset alone can't be explored: name its codes too (sfnet infer RUN DATASET --out CODES.parquet)."
            )
        from sfnet_core.explorer.sample import sample_codes, sample_dataset

        sample_codes(), sample_dataset()  # unpacks the sample before the first page asks for it
        return
    opened = SparseCodes.open(codes)
    if dataset is not None:
        check_dataset(opened, Dataset.open(dataset), allow=allow_mismatch)


def _has_browser() -> bool:
    """Whether a browser can show itself here (a display, or a system where one is always there)."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
