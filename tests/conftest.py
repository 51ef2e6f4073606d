"""What the tests share: the observed galaxies, a tiny dataset, and no network but this machine's own."""

from __future__ import annotations

import copy
import csv
import fcntl
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# How quick a machine is, with everything else it does at that moment, is not what a test is about.
settings.register_profile("sfnet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sfnet")

# A shell's background job ignores Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

NOT_EXERCISED = "not exercised"  # the name of the property with which a test says so

SHARED = Path(__file__).parents[2] / "shared" / "data"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What this machine has not, and the tests that had to leave it out."""
    lacking: dict[str, set[str]] = {}
    for report in (report for reports in terminalreporter.stats.values() for report in reports):
        for name, what in getattr(report, "user_properties", ()):
            if name == NOT_EXERCISED:
                lacking.setdefault(what, set()).add(report.nodeid)
    if lacking:
        terminalreporter.section("not exercised on this machine")
    for what, tests in sorted(lacking.items()):
        terminalreporter.write_line(f"{what}:")
        for test in sorted(tests):
            terminalreporter.write_line(f"  {test}")


@pytest.fixture
def bfloat16(record_property: Callable[[str, object], None]) -> bool:
    """Whether this processor convolves in bfloat16; where not, the end of the run names the test."""
    import torch

    from sfnet_core.model.device import computes_bfloat16

    has = computes_bfloat16(torch.device("cpu"))
    if not has:
        record_property(NOT_EXERCISED, "convolutions in bfloat16 on the CPU")
    return has


@pytest.fixture
def cuda(record_property: Callable[[str, object], None]) -> bool:
    """Whether there is an NVIDIA GPU; where not, the end of the run names the test."""
    import torch

    if not torch.cuda.is_available():
        record_property(NOT_EXERCISED, "an NVIDIA GPU")
    return torch.cuda.is_available()


@pytest.fixture(scope="module")
def bfloat16_anywhere() -> Iterator[None]:
    """Where the processor has no bfloat16: `infer` has a stand-in, float32 sums of rounded images, weights and maps."""
    import torch

    from sfnet_core.inference import encoding
    from sfnet_core.inference import runner as inference
    from sfnet_core.model.device import computes_bfloat16

    real = encoding.trunk_of

    def rounded(network, side, batch, dtype=torch.float32):
        if dtype == torch.float32:
            return real(network, side, batch)
        network = copy.deepcopy(network)
        for weight in network.parameters():
            weight.data = weight.data.bfloat16().float()
        trunk = real(network, side, batch)
        return lambda images: trunk(images.bfloat16().float()).bfloat16()

    with pytest.MonkeyPatch.context() as patched:
        if not computes_bfloat16(torch.device("cpu")):
            patched.setattr(encoding, "trunk_of", rounded)
            patched.setattr(inference, "computes_bfloat16", lambda device: True)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of observed SDSS galaxies beside the checkout; a test that needs it fails without it."""
    if not (SHARED / "sdss-metallicity-400" / "galaxies.csv").is_file():
        pytest.fail(f"The observed galaxies are missing: {SHARED} (they are handed out with the project, not in it).")
    return SHARED


def blob(rng: np.random.Generator, size: int = 64) -> tuple[np.ndarray, float]:
    """A round Gaussian 'galaxy' (size, size, 3) uint8 and a metallicity that follows its colour and its width."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    width, red = rng.uniform(4, 10), rng.uniform(0.5, 1.0)
    light = np.exp(-(x**2 + y**2) / (2 * width**2))[..., None] * np.array([200 * red, 150, 200 * (1.5 - red)])
    image = np.clip(light + rng.normal(6, 2, (size, size, 3)), 0, 255).astype(np.uint8)
    return image, 8.4 + 0.8 * (red - 0.5) + 0.02 * width


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue (`galaxies.csv`) and a folder of 24 PNG cutouts (`images/`), as a user would bring them."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "images").mkdir()
    rng = np.random.default_rng(7)
    with open(folder / "galaxies.csv", "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["objID", "ra", "dec", "z", "oh_p50"])
        for i in range(24):
            image, metallicity = blob(rng)
            name = str(1237648704043942146 + i)
            Image.fromarray(image).save(folder / "images" / f"{name}.png")
            writer.writerow([name, f"{150 + i}", f"{i - 12}", f"{0.02 + i / 200:.4f}", f"{metallicity:.5f}"])
    return folder


@pytest.fixture(scope="session")
def tiny_dataset(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory):
    """The 24 galaxies of :func:`tiny_folder`, packed."""
    from sfnet_core.data.packing import pack

    out = tmp_path_factory.mktemp("packed") / "tiny"
    return pack(tiny_folder / "galaxies.csv", tiny_folder / "images", out, progress=False)


@pytest.fixture(scope="session")
def sfnet() -> Callable[..., tuple[int, str, str]]:
    """``sfnet("pack", …)`` runs a shell verb as a user would; gives its status, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "sfnet_core.cli", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def sfnet_here(capsys: pytest.CaptureFixture) -> Callable[..., tuple[int, str, str]]:
    """As :func:`sfnet`, in this process: quicker, and what a test has patched holds."""
    from sfnet_core.cli import verbs as cli

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.run([str(a) for a in arguments])
        return (status, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def real_folds(shared_data: Path, tmp_path_factory: pytest.TempPathFactory, sfnet) -> dict:
    """The main job by the shell verbs on the 400 observed galaxies, twice: each half held out once (width 32, seed 0).

    ``dataset`` (a folder), ``runs``, ``codes`` (Parquet files with their maps and D4 predictions) and ``numbers``
    (what ``sfnet evaluate --json`` says of each).
    """
    source = shared_data / "sdss-metallicity-400"
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "real"  # of all workers
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # whoever comes first makes them, the others wait
        made = folder / "made.pickle"
        if not made.exists():
            made.write_bytes(pickle.dumps(fold_both(source, folder, sfnet)))
    return pickle.loads(made.read_bytes())


FOLD_FILES = ("run", ""), ("codes", ".parquet"), ("recipe", ".toml")


def fold_both(source: Path, folder: Path, sfnet: Callable[..., tuple[int, str, str]]) -> dict:
    """What :func:`real_folds` gives, made in ``folder``; the two networks side by side."""

    def done(*arguments: object) -> str:
        status, stdout, stderr = sfnet(*arguments)
        assert status == 0, f"sfnet {' '.join(map(str, arguments))} ended with {status}:\n{stderr}"
        return stdout

    def held_out(fold: int) -> tuple[Path, Path, dict]:
        run, codes, recipe = (folder / f"{name}-{fold}{end}" for name, end in FOLD_FILES)
        recipe.write_text(f"[split]\nfold = {fold}\nfolds = 2\n", encoding="utf-8")
        done("train", dataset, "--out", run, "--k", 4, "--width", 32, "--recipe", recipe, "--quiet")
        done("infer", run, dataset, "--out", codes, "--tta", "--quiet")
        return run, codes, json.loads(done("evaluate", codes, "--json"))

    dataset = folder / "dataset"
    done("pack", source / "galaxies.csv", source / "images", "--out", dataset, "--quiet")
    with ThreadPoolExecutor(2) as pool:
        runs, codes, numbers = zip(*pool.map(held_out, (0, 1)), strict=True)
    return {"dataset": dataset, "runs": runs, "codes": codes, "numbers": numbers}
