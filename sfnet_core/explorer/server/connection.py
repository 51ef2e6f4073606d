"""One browser's websocket to its kernel: what the guard lets through, and a last word when the session ends."""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado import web
from tornado.ioloop import IOLoop

from sfnet_core.explorer.server.rules import Guard, Refused

__all__ = ["ENDED", "IDLE", "MEMORY", "GuardedConnection"]

V1 = "v1.kernel.websocket.jupyter.org"
GOING_AWAY = 1001  # the close code of a browser whose page is closed, reloaded or left
GRACE = 2.0  # s for another websocket of the same page
MOST_CONNECTIONS = 3  # websockets to one kernel
ENDED, MEMORY, IDLE = 4001, 4002, 4003  # close codes; ``line.js`` has the words that go with them


class GuardedConnection(ZMQChannelsWebsocketConnection):
    """Jupyter's connection, with :class:`~sfnet_core.explorer.server.rules.Guard` before the kernel."""

    _complained = False
    _ticking = False

    @property
    def guard(self) -> Guard:
        """The guard of this connection's kernel; it outlives the connection."""
        kernel = self.kernel_manager
        if getattr(kernel, "sfnet_guard", None) is None:
            kernel.sfnet_guard = Guard(self.session.unpack, self.session.pack)
        return kernel.sfnet_guard

    async def prepare(self) -> None:
        """Refuse a flood of websockets to one kernel, each of which costs the server four sockets."""
        if self.multi_kernel_manager._kernel_connections.get(self.kernel_id, 0) >= MOST_CONNECTIONS:
            raise web.HTTPError(429, "too many connections to one session")
        await super().prepare()

    def handle_incoming_message(self, incoming_msg: str | bytes) -> None:
        """Give the kernel what it may have of what it can take now; drop what no widget says."""
        if not self.channels:
            return
        try:
            if not isinstance(incoming_msg, bytes) or self.subprotocol != V1:
                raise Refused("a message in another protocol")
            self.guard.take(incoming_msg, IOLoop.current().time())
        except Refused as refusal:
            say = self.log.debug if self._complained else self.log.warning
            self._complained = True
            say("A browser's message was refused: %s", refusal)
            return
        self._pump()

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Pass on what the kernel says, and note which messages it is done with.

        A websocket that never agreed on our protocol hears nothing, and neither does one that :meth:`end` has closed:
        Jupyter then falls back to its older frames, and Voilà reads those as ours, with a count of parts so large that
        the server would count for ever.
        """
        if getattr(stream, "channel", stream) == "iopub":
            self._note(outgoing_msg)
        if self.subprotocol == V1:
            super().handle_outgoing_message(stream, outgoing_msg)

    def connect(self) -> Any:
        """Connect, and go on with what an earlier connection left waiting."""
        connected = super().connect()
        if connected is not None:
            connected.add_done_callback(lambda _: self._pump())
        return connected

    def disconnect(self) -> None:
        """Disconnect; where the browser itself says that it went to another page, its kernel ends."""
        manager, kernel_id = self.multi_kernel_manager, self.kernel_id
        went = self.websocket_handler.close_code == GOING_AWAY
        super().disconnect()
        if went and hasattr(manager, "left"):
            IOLoop.current().call_later(GRACE, manager.left, kernel_id)

    def end(self, code: int, why: str) -> None:
        """Close the websocket for good; the page shows the reason."""
        self.websocket_handler.close(code, why)

    def on_restart_failed(self) -> None:
        """The kernel is dead: say so at once."""
        self.end(ENDED, "the kernel died")

    def _note(self, message: list[Any]) -> None:
        _, parts = self.session.feed_identities(message)
        if self.session.unpack(parts[1]).get("msg_type") != "status":
            return
        if self.session.unpack(parts[4]).get("execution_state") == "idle":
            parent = self.session.unpack(parts[2])
            if self.guard.answered(parent.get("msg_id", "")):
                self._pump()

    def _pump(self) -> None:
        stream = self.channels.get("shell")
        if stream is None or stream.closed():
            return
        loop = IOLoop.current()
        for parts in self.guard.due(loop.time()):
            self.session.send_raw(stream, parts)
        if self.guard.waiting and not self._ticking:  # an answer may be lost: look again without one
            self._ticking = True
            loop.call_later(1.0, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._pump()
