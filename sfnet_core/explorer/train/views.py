"""The page's views: top, form, examples, report. Each draws a dictionary and sends checked messages up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import traitlets

from sfnet_core.explorer.shared.view import View, front_end, source

__all__ = ["Examples", "Form", "Report", "Top"]


class Top(View):
    """Title, facts, Start, Stop, Resume, progress (``sf-status``) and messages (``sf-notice``)."""

    _esm = front_end("train/common", "shared/keys", "train/keys", "shared/page_head", "train/top")
    _css = "\n".join(source(name) for name in ("shared/explorer.css", "train/train.css"))

    def __init__(self, actions: dict[str, Callable[[dict], None]]) -> None:
        self._notices: list[str] = []
        self._shown: dict[str, Any] = {}
        super().__init__(self.notify, {**actions, "dismiss": lambda _m: self.dismiss()})

    def notify(self, message: str) -> None:
        """Show a message to the user."""
        self._notices = [*[old for old in self._notices if old != message][-3:], message]
        self.draw()

    def dismiss(self) -> None:
        """Take the messages away."""
        self._notices = []
        self.draw()

    def draw(self, shown: dict[str, Any] | None = None) -> None:
        """Send what the top shows."""
        self._shown = self._shown if shown is None else shown
        self.data = {**self._shown, "notices": self._notices}


class Form(View):
    """What the user chooses; one message a field, so that a mistake names its field."""

    _esm = front_end("train/common", "train/form")


class Report(View):
    """What this training is, and how it ended: folder, numbers, commands, the way on."""

    _esm = front_end("train/common", "train/report")


class Examples(View):
    """A strip of galaxies with their true values and what the network says now."""

    _esm = front_end("train/common", "train/examples")
    pictures = traitlets.List().tag(sync=True)  # JPEG bytes; apart from `data`, which changes with every epoch
