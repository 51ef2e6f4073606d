"""A folder of images becomes a codes file: the verbs ``pack`` and ``infer`` in processes of their own.

So the page stays awake, its kernel small, and a visitor can stop the work at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfnet_core.explorer.your_galaxy.engine import ImageOptions
from sfnet_core.explorer.your_galaxy.inputs import shown_name
from sfnet_core.utils.errors import SFNetError

__all__ = ["Batch", "Done", "output_folder"]

COUNTED = re.compile(r"(\d+)/(\d+)")  # of a tqdm bar
GOOD = (0, 3)  # exit status: done, done with galaxies set aside


@dataclass
class Done:
    """What a folder gave: the codes file, its dataset, the number of galaxies, and who was set aside why."""

    codes: Path
    dataset: Path
    galaxies: int
    set_aside: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def output_folder() -> Path:
    """Where codes files of folders are written: ``SFNET_OUTPUT``, else the user's cache folder."""
    if os.environ.get("SFNET_OUTPUT"):
        return Path(os.environ["SFNET_OUTPUT"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sfnet" / "your_galaxy"


class Batch:
    """One folder's work. :meth:`run` does it and returns; :meth:`stop` (from another thread) ends it."""

    def __init__(self, folder: Path, run: Path, options: ImageOptions, size: list[int]):
        self._folder, self._run, self._options, self._size = folder, run, options, size
        self._process: subprocess.Popen | None = None
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the work; what was packed so far is removed by the verbs themselves."""
        self._stopped.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)

    def run(self, tell: Callable[[str], None]) -> Done:
        """Pack, then infer; :class:`SFNetError` with the verb's own sentence where one does not succeed."""
        name = re.sub(r"[^A-Za-z0-9._-]", "_", self._folder.name).strip(".") or "folder"
        base = output_folder() / f"{name[:60]}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
        base.mkdir(parents=True, exist_ok=False)
        dataset, codes = base / "dataset", base / "codes.parquet"
        pack = ["pack", str(self._folder), "--out", str(dataset)]
        if self._options.scale:
            pack += ["--pixel-scale", repr(self._options.scale)]
        if self._options.anyway and self._options.resample and self._size[0] == self._size[1]:
            pack += ["--size", str(self._size[0])]
        infer = ["infer", str(self._run), str(dataset), "--out", str(codes)]
        infer += ["--allow-mismatch"] if self._options.anyway else []
        packed = self._verb(pack, "Reading the images", tell)
        encoded = self._verb(infer, "Computing features", tell)
        notes = dict.fromkeys([*packed.get("notes", []), *encoded.get("notes", [])])
        aside = [*packed.get("set_aside", []), *encoded.get("set_aside", [])]
        return Done(codes, dataset, int(encoded["galaxies"]), aside, list(notes))

    def _verb(self, arguments: list[str], words: str, tell: Callable[[str], None]) -> dict[str, Any]:
        if self._stopped.is_set():
            raise SFNetError("Stopped.")
        tell(f"{words}…")
        command = [sys.executable, "-m", "sfnet_core.cli", *arguments, "--json"]
        self._process = process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        answer: list[bytes] = []
        reader = threading.Thread(target=lambda: answer.append(process.stdout.read()), daemon=True)
        reader.start()
        last, tail, told = "", b"", 0.0
        with contextlib.closing(process.stderr), contextlib.closing(process.stdout):
            while piece := process.stderr.read1(4096):
                *lines, tail = re.split(rb"[\r\n]", tail + piece)
                for line in lines:
                    line = line.decode("utf-8", "replace").strip()
                    counted = COUNTED.search(line)
                    if counted and "%|" in line:
                        if time.monotonic() - told > 0.2:
                            told = time.monotonic()
                            tell(f"{words}: {int(counted[1]):,} of {int(counted[2]):,}")
                    elif line:
                        last = line
            status = process.wait()
            reader.join()
        if self._stopped.is_set():
            raise SFNetError(f"Stopped while processing {shown_name(self._folder.name)}; no codes file was written.")
        if status not in GOOD:
            raise SFNetError(last.removeprefix("sfnet: ") or f"“sfnet {arguments[0]}” ended with status {status}.")
        return json.loads(answer[0])
