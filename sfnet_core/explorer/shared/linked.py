"""A BokehModel that sends one patch for many changes, and takes from the browser only what a reader may change."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bokeh.models import ColumnDataSource, Range1d, Selection
from bokeh.protocol import Protocol
from jupyter_bokeh.widgets import BokehModel

from sfnet_core.explorer.shared.view import LIVING

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
        LIVING.add(self)

    def send_again(self) -> None:
        """Have the browser draw the figures anew, as they are now."""
        self.refresh_bundle()

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
        try:
            allowed = self._allowed(content)
            if allowed is None:
                log.debug("an event from the browser was dropped")  # BokehJS reports sizes and tools all the time
                return
            super()._sync_model(widget, allowed, [])
        except Exception as error:  # a hostile or broken message must not take the kernel's page down
            log.warning("an event from the browser was refused: %s", error)

    def _allowed(self, content: Any) -> dict | None:
        """The event with nothing in it but what is allowed, or ``None``."""
        if not (isinstance(content, dict) and content.get("event") == "jsevent" and self._document):
            return None
        kind = content.get("kind")
        if kind == "MessageSent" and content.get("msg_type") == "bokeh_event":
            written = json.dumps(content.get("msg_data"))
            if len(written) > LONGEST or '"type": "object"' in written:  # an object would be made anew in the kernel
                return None
            return {"event": "jsevent", "kind": kind, "msg_type": "bokeh_event", "msg_data": content["msg_data"]}
        if kind != "ModelChanged" or not isinstance(content.get("model"), dict):
            return None
        identity, attribute, new = content["model"].get("id"), content.get("attr"), content.get("new")
        model = self._document.models.get_by_id(identity) if isinstance(identity, str) else None
        if isinstance(model, Range1d):
            good = attribute in ("start", "end") and type(new) in (int, float) and abs(new) < 1e12
        else:
            good = isinstance(model, Selection) and attribute == "indices" and self._rows_of(model, new)
        event = {"event": "jsevent", "kind": kind, "model": {"id": identity}, "attr": attribute, "new": new}
        return event if good else None

    def _rows_of(self, selection: Selection, indices: Any) -> bool:
        """Whether ``indices`` are rows of the source that ``selection`` belongs to."""
        for model in self._document.models:
            if isinstance(model, ColumnDataSource) and model.selected is selection:
                n = len(next(iter(model.data.values()), ()))
                if not isinstance(indices, list) or len(indices) > n:
                    return False
                return all(type(i) is int and 0 <= i < n for i in indices)
        return False
