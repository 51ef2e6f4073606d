"""What happens when a visitor brings something: an image, a path, an identifier, a folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sfnet_core.explorer.shared.view import text
from sfnet_core.explorer.your_galaxy.batch import Batch, Done
from sfnet_core.explorer.your_galaxy.engine import ImageOptions, Mismatch
from sfnet_core.explorer.your_galaxy.galaxy import Galaxy
from sfnet_core.explorer.your_galaxy.inputs import (
    MOST_BYTES,
    allowed_folders,
    inside,
    is_address,
    read_file,
    read_upload,
    shown_name,
)
from sfnet_core.explorer.your_galaxy.views import Inputs
from sfnet_core.explorer.your_galaxy.worker import Worker
from sfnet_core.utils.errors import SFNetError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sfnet_core.data.dataset import Dataset
    from sfnet_core.explorer.shared.context import Context
    from sfnet_core.explorer.your_galaxy.engine import Engine

__all__ = ["Controller"]

LISTED = 100  # set-aside images that the page lists; the rest is counted
MOST_DOWNLOAD = 64 << 20  # bytes of a codes file that goes to the browser


class Controller:
    """The left pane's work. ``view`` is what the page shows of it."""

    def __init__(
        self,
        context: Context,
        engine: Engine,
        dataset: Dataset | None,
        open_row: Callable[[int], None],
        open_image: Callable[[Galaxy], None],
    ):
        self._context, self._engine, self._dataset = context, engine, dataset
        self._open_row, self._open_image = open_row, open_image
        self.options = ImageOptions()
        self._worker, self._folder_worker = Worker(), Worker()
        self._brought: tuple[str, np.ndarray] | None = None  # the last image, to read it anew when the options change
        self._ticket = 0  # of the newest request: an older one's answer is no longer wanted
        self._names: dict[str, int] = {}
        self._busy = self._trouble = ""
        self._refused = False
        self._batch: Batch | None = None
        self._batch_busy = self._batch_trouble = ""
        self.done: Done | None = None
        self.view = Inputs(
            self._complain,
            {
                "prepare": lambda _m: self.prepare(),
                "image": lambda m, buffers: self.image(text(m, "name"), one(buffers)),
                "find": lambda m: self.find(text(m, "text", 1024)),
                "options": lambda m: self.set_options(text(m, "scale", 40), flag(m, "anyway"), flag(m, "resample")),
                "folder": lambda m: self.folder(text(m, "text", 1024)),
                "stop": lambda _m: self.stop(),
                "codes-file": lambda _m: self.send_codes(),
            },
        )
        self.draw()

    # -- one galaxy --------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Load the network in the background: the visitor is about to bring an image."""
        engine = self._engine
        if engine.why_not or engine.ready or self._busy:
            return
        self._start(lambda tell: engine.prepare(tell), lambda _: None)

    def image(self, name: str, data: bytes | memoryview) -> None:
        """Decompose an uploaded image from its bytes."""
        self._need_engine()
        if memoryview(data).nbytes > MOST_BYTES:
            read_upload(data)  # refuses, with the sizes
        self._read(shown_name(name), lambda: read_upload(data))

    def find(self, what: str) -> None:
        """Look at an identifier of the loaded codes, else at an image below an allowed folder."""
        what = what.strip()
        row = self._context.scene.row_of(what) if what else None
        if row is not None:
            self._ticket += 1  # an image that is still being read is no longer wanted
            self._quiet()
            self._open_row(row)
            return
        if not what:
            raise SFNetError("Type an identifier of the loaded codes, or a path below an allowed folder.")
        if is_address(what):
            raise SFNetError(
                "Images can't be fetched from web addresses here: this page makes no request. "
                "Download the image and upload it."
            )
        folders = allowed_folders(self._dataset)
        if not folders or not looks_like_path(what):
            raise SFNetError(
                f"No galaxy {what[:80]!r} is in these codes ({self._context.scene.n:,} galaxies)."
                + (" A path ends in .jpg, .jpeg or .png." if folders else "")
            )
        path = inside(what, folders)
        self._need_engine()
        self._read(shown_name(path.name), lambda: read_file(path))

    def set_options(self, scale: str, anyway: bool, resample: bool) -> None:
        """Change how images are read; the last one is read anew."""
        options = ImageOptions(arcsec(scale), anyway, resample)
        if options == self.options:
            return
        self.options = options
        if self._brought is not None and (self._refused or self._context.state.galaxy < 0):
            name, rgb = self._brought
            self._read(name, lambda: rgb)
        else:
            self.draw()

    def _read(self, name: str, read: Callable[[], np.ndarray]) -> None:
        engine, options = self._engine, self.options

        def job(tell: Callable[[str], None]) -> tuple:
            tell("Reading the image…")
            given = read()
            try:
                return (name, given, *engine.encode(name, given, options, tell))
            except Mismatch as refusal:
                return name, given, refusal

        self._start(job, self._answer)

    def _answer(self, result: tuple) -> None:
        name, given, *found = result
        again = self._brought is not None and self._brought[1] is given
        self._brought = (name, given)
        if isinstance(found[0], Mismatch):
            self._trouble, self._refused = str(found[0]), True
            return
        codes, rgb, scale = found
        self._refused = False
        if not again:
            self._names[name] = self._names.get(name, 0) + 1
        count = self._names.get(name, 1)
        shown = name if count == 1 else f"{name} ({count})"
        if rgb.shape != given.shape:
            shown += f" at {rgb.shape[1]}×{rgb.shape[0]} px"
        for note in self._engine.notes:
            self._context.notify(note)
        self._engine.notes.clear()
        self._open_image(Galaxy(shown, codes, -1, rgb, given.shape[:2], scale))

    def _start(self, job: Callable, answer: Callable[[Any], None]) -> None:
        self._ticket += 1
        ticket = self._ticket
        self._trouble, self._refused, self._busy = "", False, "Working…"
        self.draw()

        def tell(line: str) -> None:
            if ticket == self._ticket:
                self._busy = line
                self.draw()

        def done(result: Any, trouble: str) -> None:
            if ticket != self._ticket:
                return
            self._busy, self._trouble = "", trouble
            if not trouble:
                answer(result)
            self.draw()

        self._worker.submit(job, done, tell)

    def _need_engine(self) -> None:
        if self._engine.why_not:
            raise SFNetError(self._engine.why_not)

    def _quiet(self) -> None:
        self._busy = self._trouble = ""
        self._refused = False
        self.draw()

    def _complain(self, sentence: str) -> None:
        self._trouble, self._refused = sentence, False
        self.draw()

    # -- a folder ----------------------------------------------------------------------------------------------

    def folder(self, what: str) -> None:
        """Make a codes file of a folder of images below an allowed folder."""
        if self._batch is not None:
            self._batch_trouble = "A folder is being processed; stop that first, or wait."
            self.draw()
            return
        try:
            self._need_engine()
            path = inside(what.strip(), allowed_folders(self._dataset))
            if not path.is_dir():
                raise SFNetError(f"{shown_name(path.name)} is not a folder; open a single image above.")
        except SFNetError as error:
            self._batch_trouble = str(error)
            self.draw()
            return
        self.done, self._batch_trouble, self._batch_busy = None, "", "Starting…"
        self._batch = batch = Batch(path, self._engine.path, self.options, self._engine.trained["size"])
        self.draw()

        def tell(line: str) -> None:
            self._batch_busy = line
            self.draw()

        def done(result: Done | None, trouble: str) -> None:
            self._batch, self._batch_busy, self._batch_trouble, self.done = None, "", trouble, result
            self.draw()

        self._folder_worker.submit(batch.run, done, tell)

    def stop(self) -> None:
        """Stop the folder's work."""
        if self._batch is not None:
            self._batch.stop()

    def send_codes(self) -> None:
        """Send the folder's codes file to the browser, which saves it."""
        if self.done is None:
            return
        if self.done.codes.stat().st_size > MOST_DOWNLOAD:
            self._batch_trouble = (
                f"The codes file is too large for the browser; it is on the server at {self.done.codes}."
            )
            self.draw()
            return
        self.view.send(
            {"do": "codes-file", "name": f"{self.done.codes.parent.name}.parquet"}, [self.done.codes.read_bytes()]
        )

    # -- drawing -----------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Send what the pane shows."""
        trained, folders = self._engine.trained, allowed_folders(self._dataset)
        size = trained["size"]
        seen = f"{size[1]}×{size[0]} px" if size else "size not recorded"
        scale = f"{trained['scale']:g}″ per px" if trained["scale"] else "scale not recorded"
        self.view.data = {
            "why": self._engine.why_not,
            "trained": f"{seen}, {scale}",
            "square": f"{size[1]}×{size[0]}" if size and size[0] == size[1] else "",
            "crop": trained["crop"],
            "folders": [folder.name for folder in folders],
            "most": MOST_BYTES,
            "busy": self._busy,
            "trouble": self._trouble,
            "refused": self._refused,
            "scale": f"{self.options.scale:g}" if self.options.scale else "",
            "anyway": self.options.anyway,
            "resample": self.options.resample,
            "batch": {"busy": self._batch_busy, "trouble": self._batch_trouble, "done": self._report()},
        }

    def _report(self) -> dict | None:
        if self.done is None:
            return None
        aside = [
            [str(record.get("file") or record.get("id") or record.get("row") or "?"), str(record.get("reason", ""))]
            for record in self.done.set_aside
        ]
        return {
            "galaxies": self.done.galaxies,
            "codes": str(self.done.codes),
            "command": f"sfnet explore {quoted(self.done.codes)} --dataset {quoted(self.done.dataset)}",
            "aside": aside[:LISTED],
            "more": max(0, len(aside) - LISTED),
            "notes": self.done.notes,
        }


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    import shlex

    return shlex.quote(str(path))


def looks_like_path(what: str) -> bool:
    """Whether a text that is no identifier can be meant as a path of an image."""
    return "/" in what or "\\" in what or what.lower().endswith((".jpg", ".jpeg", ".png"))


def arcsec(written: str) -> float | None:
    """A pixel scale typed by a visitor, in arcsec per pixel; ``None`` for an empty text."""
    written = written.strip().rstrip("″\"'").strip()
    if not written:
        return None
    try:
        value = float(written)
    except ValueError:
        value = math.nan
    if not 1e-3 <= value <= 1e3:
        raise SFNetError(f"{written[:40]!r} is not a pixel scale: type arcsec per pixel, for example 0.262.")
    return value


def flag(content: dict, name: str) -> bool:
    """A yes or no from a message."""
    if type(content[name]) is not bool:
        raise TypeError(f"{name} must be true or false")
    return content[name]


def one(buffers: list) -> memoryview:
    """The bytes of a message that carries one buffer."""
    if len(buffers) != 1:
        raise TypeError("one image at a time")
    return memoryview(buffers[0])
