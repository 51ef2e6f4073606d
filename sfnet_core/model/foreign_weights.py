"""The guarded door for weights that we did not write: ``.safetensors`` here, pickles in a process of their own.

A pickle is opened by :mod:`sfnet_core.model.unpickle_worker` with ``weights_only=True`` and an allow-list of names and
shapes, in a child with limited memory and time; only plain tensors come back.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from sfnet_core.model.unpickle_worker import plain_weights
from sfnet_core.utils.errors import SFNetError

__all__ = ["read_foreign"]

SECONDS = 300  # for reading one file; ours takes a few
MEMORY = 1 << 30  # bytes that reading may take, beside twice the file's size
LARGEST = 4 << 30  # bytes of a file that is tried at all


def read_foreign(path: str | os.PathLike) -> dict[str, Tensor]:
    """A ResNet18's weights from a foreign file, by torchvision's names (head: ``fc``); ``k`` where the file says it.

    A ``.safetensors`` file is read here (it holds no code), any other in a child process. Raises :class:`SFNetError`
    with the reason.
    """
    path = Path(path)
    if not path.is_file():
        raise SFNetError(f"There is no weights file {path}.")
    size = path.stat().st_size
    if size > LARGEST:
        raise SFNetError(f"{path} has {size / 2**30:.1f} GiB; a ResNet18 has a fraction of that. It was refused.")
    try:
        if path.suffix == ".safetensors":
            return plain_weights(safetensors.torch.load_file(path))
        return _read_in_a_child(path)
    except SFNetError as error:
        raise SFNetError(f"{path} was refused: {error}.") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise SFNetError(f"{path} was refused: it is not a valid safetensors file ({error}).") from error


def _read_in_a_child(path: Path) -> dict[str, Tensor]:
    with tempfile.TemporaryDirectory(prefix="sfnet-import-") as folder:
        out = Path(folder) / "weights.safetensors"
        extra = MEMORY + 2 * path.stat().st_size
        words = [sys.executable, "-m", "sfnet_core.model.unpickle_worker", str(path.resolve()), str(out), str(extra)]
        here = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])}
        try:
            done = subprocess.run(
                words, env=os.environ | here, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise SFNetError(f"it could not be read within {SECONDS} s") from None
        if done.returncode == 2 and done.stdout.strip():
            raise SFNetError(done.stdout.strip().splitlines()[-1])
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise SFNetError(f"reading it ended with status {done.returncode} ({last})")
        return safetensors.torch.load(out.read_bytes())
