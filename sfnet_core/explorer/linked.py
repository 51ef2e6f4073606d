"""A BokehModel that sends one patch for many changes, and takes from the browser only what a reader may change."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bokeh.models import Range1d, Selection
from bokeh.protocol import Protocol
from jupyter_bokeh.widgets import BokehModel

if TYPE_CHECKING:
    from bokeh.document.events import DocumentPatchedEvent

__all__ = ["LinkedFigures"]

log = logging.getLogger(__name__)

LONGEST = 4 << 20  # characters of one event from the browser


class LinkedFigures(BokehModel):
    """All linked figures of a page in one document.

    Inside :meth:`one_patch` every change of the figures is collected and leaves as a single PATCH-DOC message. From
    the browser come only ranges (pan, zoom), selected indices and the figures' own events; anything else is dropped.
    """

    def __init__(self, model: Any, **kwargs: Any):
        self._held: list[DocumentPatchedEvent] | None = None
        super().__init__(model, **kwargs)

    def refresh_bundle(self) -> None:
        """Take the figures as they are now for the next page that shows them (a page reads the bundle once)."""
        self.render_bundle = self._model_to_traits(self._model)

    @contextlib.contextmanager
    def one_patch(self) -> Iterator[None]:
        """Collect the changes made inside and send them together."""
        if self._held is not None:  # already inside
            yield
            return
        self._held = []
        try:
            yield
        finally:
            events, self._held = self._held, None
            if events:
                self._send_patch(events)

    def _document_patched(self, event: DocumentPatchedEvent) -> None:
        if event.setter is self:
            return
        if self._held is None:
            self._send_patch([event])
        elif not any(held.combine(event) for held in self._held):
            self._held.append(event)

    def _send_patch(self, events: list[DocumentPatchedEvent]) -> None:
        message = Protocol().create("PATCH-DOC", events)
        for payload in (message.header_json, message.metadata_json, message.content_json):
            self.send({"msg": "patch", "payload": payload})
        for buffer in message.buffers:
            self.send({"msg": "patch", "payload": json.dumps(buffer.ref)})
            self.send({"msg": "patch"}, [buffer.to_bytes()])

    def _sync_model(self, widget: BokehModel, content: Any, buffers: list) -> None:
        if not (isinstance(content, dict) and content.get("event") == "jsevent" and self._allowed(content)):
            return
        try:
            super()._sync_model(widget, content, buffers)
        except Exception as error:  # a hostile or broken message must not take the kernel's page down
            log.warning("an event from the browser was refused: %s", error)

    def _allowed(self, content: dict) -> bool:
        kind = content.get("kind")
        if kind == "MessageSent":
            return content.get("msg_type") == "bokeh_event" and len(str(content.get("msg_data"))) < LONGEST
        if kind != "ModelChanged" or not isinstance(content.get("model"), dict):
            return False
        model = self._document.models.get_by_id(content["model"].get("id", "")) if self._document else None
        if isinstance(model, Range1d):
            number = content.get("new")
            return content.get("attr") in ("start", "end") and isinstance(number, int | float) and abs(number) < 1e12
        if isinstance(model, Selection) and content.get("attr") == "indices":
            return isinstance(content.get("new"), list) and all(type(i) is int for i in content["new"])
        return False
