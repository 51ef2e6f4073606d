"""What may break a training from outside: signals to the shell's verb, a kill between writing and renaming."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from sfnet_core.data.dataset import Dataset
from sfnet_core.model.run import Run
from sfnet_core.training.loop import train
from sfnet_core.training.progress import read_last

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def galaxies(tmp_path_factory) -> Dataset:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (24, 36, 36, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("data") / "galaxies"
    return Dataset.create(path, [f"g{i}" for i in range(24)], pixels, {"oh_p50": rng.normal(9, 0.2, 24)})


def started(words: list[str]) -> subprocess.Popen:
    here = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    here["OMP_NUM_THREADS"] = str(torch.get_num_threads())  # the last bits of a step may depend on it
    return subprocess.Popen([sys.executable, *words], env=os.environ | here, stderr=subprocess.PIPE, text=True)


def waited(condition, child: subprocess.Popen, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition() and child.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert condition(), child.stderr.read() if child.poll() is not None else "it takes too long"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_r9_a_signal_to_sfnet_train_leaves_a_checkpoint_in_time(galaxies, tmp_path, number, status):
    out = tmp_path / "run"
    words = ["-c", SLOW_STEPS, "train", str(galaxies.path), "--out", str(out), "--width", "4", "--device", "cpu"]
    child = started([*words, "--epochs", "100000", "--quiet"])
    waited((out / ".begun").is_file, child)
    sent = time.monotonic()
    child.send_signal(number)
    said = child.communicate(timeout=60)[1]
    assert time.monotonic() - sent < 30 and child.returncode == status, said
    assert "--resume" in said and "Traceback" not in said
    last = read_last(out / "last.ckpt")
    assert last["step"] + last["epoch"] > 0 and Run.open(out).status == "interrupted"


SLOW_STEPS = """
import sys
from pathlib import Path
import sfnet_core.training.loop as training
from sfnet_core.cli import verbs as cli

real = training.set_cycle
def noted(*arguments):
    Path(sys.argv[sys.argv.index("--out") + 1], ".begun").touch()
    return real(*arguments)
training.set_cycle = noted
cli.main()
"""

KILLED = """
import os, signal, sys
from pathlib import Path
import sfnet_core.training.loop as training

training.SAVE_SECONDS = -1  # a checkpoint after every epoch
name, seen, real = sys.argv[3], [], Path.replace
def replace(self, target):
    if Path(target).name == name:
        seen.append(target)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)  # the second file lies written beside the first
    return real(self, target)
Path.replace = replace
training.train(sys.argv[1], sys.argv[2], width=4, epochs=3, device="cpu", progress=False)
"""


@pytest.mark.parametrize("name", ["last.ckpt", "model.safetensors"])
def test_r11_a_kill_between_write_and_rename_leaves_the_checkpoint_before_it(galaxies, tmp_path, name):
    out = tmp_path / "run"
    child = started(["-c", KILLED, str(galaxies.path), str(out), name])
    child.communicate(timeout=120)
    assert child.returncode == -signal.SIGKILL
    left = [path for path in out.iterdir() if path.name.endswith(".part")]
    assert len(left) == 1 and left[0].name.startswith(f".{name}.") and left[0].stat().st_size > 1000
    assert read_last(out / "last.ckpt")["epoch"] == 1  # of epoch 2 nothing, or the model alone, has its name
    assert Run.open(out).network().head.weight.isfinite().all()
    how = {"width": 4, "epochs": 3, "device": "cpu", "progress": False}
    resumed = train(galaxies, out, resume=True, **how)
    whole = train(galaxies, tmp_path / "whole", **how)
    assert resumed.history == whole.history
    assert (out / "model.safetensors").read_bytes() == (whole.path / "model.safetensors").read_bytes()
