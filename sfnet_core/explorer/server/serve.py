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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sfnet_core.explorer.server.template import lay_out
from sfnet_core.utils.errors import SFNetError

__all__ = ["notebooks_folder", "serve", "serving"]

CONFIGURATION = Path(__file__).parent / "voila"  # the folder of voila.json; also for a Voilà that others start
START_SECONDS = 120


def notebooks_folder() -> Path:
    """Where the notebooks are: in the installed package, or at the top of a checkout."""
    for folder in (Path(__file__).parents[1] / "notebooks", Path(__file__).parents[3] / "notebooks"):
        if (folder / "explore.ipynb").is_file():
            return folder
    raise SFNetError("The notebooks are missing from this installation; install sfnet-core again.")


def free_port(port: int | None) -> int:
    """``port`` itself where it is free, any free one for ``None`` or 0; :class:`SFNetError` where it is taken."""
    if port is not None and not 0 <= port < 65536:
        raise SFNetError(f"A port is a number from 1 to 65535, or 0 for any free one, not {port}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError as error:
            raise SFNetError(
                f"Port {port} on 127.0.0.1 can't be used ({error.strerror}); choose another with --port."
            ) from error
        return probe.getsockname()[1]


def _configuration(port: int, token: str, pool: int, limits: dict[str, int | None]) -> dict:
    """``voila/voila.json`` (loopback, our template, the guard, no source, no traceback, no files), as asked for."""
    configuration = json.loads((CONFIGURATION / "voila.json").read_text(encoding="utf-8"))
    configuration["Voila"] |= {"port": port, "token": token}
    configuration["ExplorerServer"] |= {"ends_with_stdin": True, "open_to_all": not token}
    kernels, given = configuration["GuardedKernels"], {name: n for name, n in limits.items() if n is not None}
    for name, n in given.items():
        if type(n) is not int or n < 1:
            raise SFNetError(f"{name} must be a whole number from 1 on, not {n!r}.")
    kernels |= {
        key: given[name] for name, key in (("sessions", "most_sessions"), ("memory", "most_memory")) if name in given
    }
    if "idle" in given:
        kernels |= {"cull_idle_timeout": given["idle"], "cull_interval": max(1, min(60, given["idle"] // 2))}
    if "patience" in given:
        configuration["VoilaExecutor"]["timeout"] = configuration["ExplorerServer"]["patience"] = given["patience"]
        kernels["unopened_timeout"] = given["patience"] + 60
    pool = min(pool, kernels["most_sessions"])
    configuration["VoilaConfiguration"] |= {"preheat_kernel": pool > 0, "default_pool_size": pool}
    return configuration


@contextlib.contextmanager
def serving(
    codes: str | os.PathLike | None = None,
    dataset: str | os.PathLike | None = None,
    *,
    port: int | None = None,
    token: bool = True,
    allow_mismatch: bool = False,
    run: str | os.PathLike | None = None,
    images: Sequence[str | os.PathLike] = (),
    pool: int = 2,
    sessions: int | None = None,
    memory: int | None = None,
    idle: int | None = None,
    patience: int | None = None,
    notebooks: Path | None = None,
) -> Iterator[tuple[str, subprocess.Popen]]:
    """Serve the page while the block runs; yields its address (with the token in it) and the server's process.

    ``run`` (the weights behind the codes) and ``images`` (folders that a visitor's path may lead into) are for the page
    about one's own galaxy.

    The server listens on 127.0.0.1 only. ``pool`` kernels are kept ready, so that the page opens at once. A page's
    kernel ends with its tab, and where a browser went without a word after ``idle`` seconds (1800). At most
    ``sessions`` pages (40) are open at once, the next visitor gets a page that says so and looks again by itself; a
    kernel with more than ``memory`` MB of its own (4096) is ended with a word to its page; a page that has not opened
    after ``patience`` seconds (90) says that it can't. Raises :class:`SFNetError` where the port is taken, a limit is
    no whole number from 1 on, or the server does not answer.
    """
    environment = dict(os.environ, SFNET_BOKEH_ON_PAGE="1")
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")  # kernels share the processor: more threads would wait
    for name, value in (("SFNET_CODES", codes), ("SFNET_DATASET", dataset)):
        environment.pop(name, None)
        if value is not None:
            environment[name] = str(Path(value).resolve())
    if allow_mismatch:
        environment["SFNET_ALLOW_MISMATCH"] = "1"
    if run is not None:
        environment["SFNET_RUN"] = str(Path(run).resolve())
    if images:
        environment["SFNET_IMAGES"] = os.pathsep.join(str(Path(folder).resolve()) for folder in images)
    secret = secrets.token_urlsafe(24) if token else ""
    port = free_port(port)
    with tempfile.TemporaryDirectory(prefix="sfnet-") as folder:
        lay_out(Path(folder))
        environment["JUPYTER_PATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("JUPYTER_PATH")]))
        environment["JUPYTER_CONFIG_PATH"] = folder
        limits = {"sessions": sessions, "memory": memory, "idle": idle, "patience": patience}
        configuration = Path(folder, "voila.json")
        configuration.touch(mode=0o600)  # the token is in it
        configuration.write_text(json.dumps(_configuration(port, secret, pool, limits)), encoding="utf-8")
        command = [sys.executable, "-m", "sfnet_core.explorer.server", str(notebooks or notebooks_folder())]
        # the pipe's other end is ours alone: however we end, the server sees it close, and ends too
        process = subprocess.Popen(command, env=environment, start_new_session=True, stdin=subprocess.PIPE)
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
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.1)
    raise SFNetError(f"The page's server did not answer at {address} within {START_SECONDS} s.")


def _stop(process: subprocess.Popen) -> None:
    """End the server and the kernels that it started."""
    with contextlib.ExitStack() as last:
        if process.stdin is not None:
            last.callback(process.stdin.close)
        _end(process)


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()  # not SIGINT: that would break into whatever the server does just then
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)


def serve(
    codes: str | os.PathLike | None = None,
    dataset: str | os.PathLike | None = None,
    *,
    port: int | None = None,
    browser: bool = True,
    token: bool = True,
    allow_mismatch: bool = False,
    sessions: int | None = None,
    memory: int | None = None,
    run: str | os.PathLike | None = None,
    images: Sequence[str | os.PathLike] = (),
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page until Ctrl-C; prints the address when it answers and opens a browser where there is one.

    The codes and the dataset are opened here first, so that a mistake is one sentence in the shell and not an empty
    page in the browser.
    """
    check(codes, dataset, allow_mismatch)
    check_yours(run, images)
    how = {"port": port, "token": token, "allow_mismatch": allow_mismatch, "sessions": sessions, "memory": memory}
    how |= {"run": run, "images": images}
    with serving(codes, dataset, **how) as (address, process):
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
    from sfnet_core.codes.table import SparseCodes, check_dataset
    from sfnet_core.data.dataset import Dataset

    if codes is None:
        if dataset is not None:
            raise SFNetError(
                "A dataset alone can't be explored: name its codes too (sfnet infer RUN DATASET --out CODES.parquet)."
            )
        from sfnet_core.explorer.shared.sample import sample_codes, sample_dataset

        sample_codes(), sample_dataset()  # unpacks the sample before the first page asks for it
        return
    opened = SparseCodes.open(codes, shared=True)  # unpacked once, before the first page asks for them
    if dataset is not None:
        check_dataset(opened, Dataset.open(dataset), allow=allow_mismatch)


def check_yours(run: str | os.PathLike | None, images: Sequence[str | os.PathLike]) -> None:
    """Raise :class:`SFNetError` where the weights or a folder of images for the visitor's own galaxies is not there.

    Whether the weights are those behind the codes is looked at when the first image comes: that takes the network.
    """
    if run is not None and not (Path(run).is_file() or (Path(run) / "model.safetensors").is_file()):
        raise SFNetError(
            f"{run} is not a run: a folder with model.safetensors in it, or a .safetensors file, is needed."
        )
    for folder in map(Path, images):
        if not folder.is_dir():
            raise SFNetError(f"{folder} is not a folder: --images names one below which visitors may open images.")
        if os.pathsep in str(folder.resolve()):
            raise SFNetError(f"A folder of images must have no {os.pathsep!r} in its path, as {folder} has.")


def _has_browser() -> bool:
    """Whether a browser can show itself here (a display, or a system where one is always there)."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
