"""One document, one file, many writers: each change is made on what the file holds at that moment, under a lock."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sfnet_core.annotations.document import MOST_BYTES, Document, read_labels, write_document
from sfnet_core.utils.documents import file_bytes
from sfnet_core.utils.errors import SFNetError
from sfnet_core.utils.files import write_text

__all__ = ["Store", "read_file"]

WAIT = 3.0  # seconds for another page's write to end; one takes milliseconds
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)
Change = Callable[[Document], None]


class Store:
    """``document``: what the file held when last looked at, with this writer's changes.

    ``trouble`` is a sentence while changes are in memory only; they go into the file with the next one that can be
    written. A file that can't be read is never overwritten.
    """

    def __init__(self, path: Path | None, fingerprint: Callable[[], str]):
        self.path = None if path is None else Path(os.path.realpath(path))  # a link is kept, its target written
        self.document = Document()
        self.trouble = ""
        self._fingerprint = fingerprint
        self._base = Document()
        self._pending: list[Change] = []
        self._seen: tuple | None = None

    def change(self, change: Change) -> None:
        """Make a change here and in the file. :class:`SFNetError` from the change itself: nothing has changed."""
        self._try(change)
        self.save()

    def later(self, change: Change) -> None:
        """Make a change here, and in the file together with the next one."""
        self._try(change)

    def _try(self, change: Change) -> None:
        trial = self.document.copy()
        change(trial)
        write_document(trial, self._fingerprint())  # what could not be written is refused here
        self.document = trial
        self._pending.append(change)

    def save(self) -> bool:
        """Write what is in memory only; ``False``, and why in :attr:`trouble`, where that is not possible."""
        if not self._pending:
            return not self.trouble
        if self.path is None:
            self.trouble = "These codes have no file, so labels stay in this page's memory; export them to keep them."
            return False
        try:
            with _lock(self.path):
                fresh = (read_file(self.path) if self.path.exists() else self._base).copy()
                for change in self._pending:
                    change(fresh)
                write_text(self.path, write_document(fresh, self._fingerprint()))
                self._seen = _stamp(self.path)
        except (OSError, SFNetError) as error:
            self.trouble = self._sentence(error)
            return False
        self._base = self.document = fresh
        self._pending.clear()
        self.trouble = ""
        return True

    def refresh(self) -> bool:
        """Take in what other writers have written; whether anything is different now. Quick where nothing is.

        A file that is gone leaves the labels in memory; the next change writes them again.
        """
        seen = None if self.path is None else _stamp(self.path)
        if seen is None or seen == self._seen:
            return False
        self._seen = seen
        before, trouble = self.document, self.trouble
        try:
            fresh = read_file(self.path)
            self._base = fresh
            self.document = fresh.copy()
            for change in self._pending:
                change(self.document)
        except (OSError, SFNetError) as error:
            self.trouble = self._sentence(error)
        else:
            self.trouble = "" if not self._pending else self.trouble
        return self.document != before or self.trouble != trouble

    def _sentence(self, error: OSError | SFNetError) -> str:
        name, rest = self.path.name, "Labels stay in this page's memory until then; export them to be sure."
        if isinstance(error, SFNetError):
            return f"{error} {rest}"
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            return (
                f"{name} can't be written: the folder or the file is read-only. Labels stay in this page's memory; "
                "export them to keep them."
            )
        return f"{name} can't be read or written ({os.strerror(error.errno or 0)}). {rest}"


def read_file(path: str | os.PathLike) -> Document:
    """The document in a file.

    Raises
    ------
    SFNetError
        Where it is no plain file of the size that labels have, or no labels file.
    OSError
        Where it can't be opened.
    """
    return read_labels(file_bytes(path, MOST_BYTES), Path(path).name)


def _stamp(path: Path) -> tuple | None:
    """What tells one version of the file from the next: each is a new file that took the name."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Alone among the writers of ``path``, by the system's lock on a file beside it, which goes with its process.

    Waits up to :data:`WAIT` seconds. Where the file system has no locks the writing goes on without: it is one rename,
    so the file stays whole, and only two changes within the same milliseconds could lose one of them.
    """
    beside = path.with_name(f".{path.name}.lock")
    flags = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        handle = os.open(beside, os.O_RDWR | flags, 0o666)
    except PermissionError:  # another user's: reading it is enough to lock it
        handle = os.open(beside, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        end = time.monotonic() + WAIT
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    sentence = f"Another program has been writing {path.name} for {WAIT:.0f} seconds."
                    raise SFNetError(sentence) from None
                time.sleep(0.01)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                break
        yield
    finally:
        os.close(handle)
