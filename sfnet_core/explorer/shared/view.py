"""The piece of the page that all views share: data down as one trait, clicks up as checked messages."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from sfnet_core.utils.errors import SFNetError

__all__ = ["PAGES", "View", "front_end", "send_again", "source", "text", "whole"]

PAGES = Path(__file__).parents[1]  # a folder for each page, its Python, JavaScript and CSS side by side
log = logging.getLogger(__name__)
LIVING: weakref.WeakSet = weakref.WeakSet()  # what has a ``send_again()``: a kernel's views and figures


def source(name: str) -> str:
    """A JavaScript or CSS file of the pages, by its path below the explorer: ``shared/common.js``."""
    return (PAGES / name).read_text(encoding="utf-8")


def front_end(*names: str) -> str:
    """The JavaScript module of one view: the shared helpers, then each ``NAME.js``; the last one exports it."""
    return "\n".join(source(f"{part}.js") for part in ("shared/common", *names))


class View(anywidget.AnyWidget):
    """A view draws ``data`` and reports clicks.

    ``data`` goes to the browser only: whatever a visitor writes into it over the comm is never read back. What
    comes up are custom messages ``{"do": ACTION, …}``; an action is a method in :attr:`actions`, which checks its
    arguments (those named in :attr:`with_buffers` get the message's buffers as a second one). A message that is not
    understood is dropped and logged; the kernel lives.
    """

    data = traitlets.Dict().tag(sync=True)
    observes: ClassVar[frozenset[str]] = frozenset()  # the state's choices that make this view draw anew
    with_buffers: ClassVar[frozenset[str]] = frozenset()  # actions that take bytes: called with (content, buffers)

    def __init__(self, notify: Callable[[str], None], actions: dict[str, Callable[..., None]], **kwargs: Any):
        super().__init__(**kwargs)
        self._notify = notify
        self._actions = {"redraw": lambda _m: send_again(), **actions}
        self.on_msg(self._receive)
        LIVING.add(self)

    def send_again(self) -> None:
        """Send the browser what it should show, whether or not it has it."""
        self.send_state([name for name in ("data", "pictures") if self.has_trait(name)])

    def _receive(self, _widget: Any, content: Any, buffers: list) -> None:
        name = content.get("do") if isinstance(content, dict) else None
        action = self._actions.get(name) if isinstance(name, str) else None
        if action is None:
            log.warning("a message was not understood and dropped")
            return
        try:
            action(content, list(buffers or ())) if name in self.with_buffers else action(content)
        except (SFNetError, traitlets.TraitError) as error:
            self._notify(str(error))
        except Exception as error:  # whatever it is, a traceback is nothing for the page
            log.warning("a %r message was refused: %s", name, error)


def send_again() -> None:
    """All of a page once more: the line to its browser may have lost answers on the way."""
    for view in list(LIVING):
        view.send_again()


def whole(content: dict, name: str) -> int:
    """A whole number from a message; ``TypeError`` for anything else (booleans and floats too)."""
    value = content[name]
    if type(value) is not int:
        raise TypeError(f"{name} must be a whole number")
    return value


def text(content: dict, name: str, longest: int = 300) -> str:
    """A text of at most ``longest`` characters from a message."""
    value = content[name]
    if not isinstance(value, str) or len(value) > longest:
        raise TypeError(f"{name} must be a text of at most {longest} characters")
    return value
