"""What the server says to a browser: in the protocol they agreed on, to a line that is open, or not at all."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import uuid4

import pytest
from jupyter_client import KernelManager
from jupyter_client.session import Session
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from visitor import V1, Visitor

from sfnet_core.explorer.server.connection import GuardedConnection
from sfnet_core.explorer.server.serve import serving


def test_t1_a_line_in_the_old_protocol_hears_nothing_and_holds_nobody_up():
    with serving(pool=0) as (address, _), Visitor(address) as visitor:
        old = visitor.connect("old", subprotocols=[], timeout=1)
        control = uuid4().hex
        visitor.send("comm_open", {"comm_id": control, "target_name": "jupyter.widget.control", "data": {}})
        visitor.wait(visitor.send("comm_msg", {"comm_id": control, "data": {"method": "request_states"}}))
        switches = visitor.view("rows", "off")
        visitor.act(switches, {"do": "toggle", "feature": visitor.data("rows", "off")["rows"][0]["feature"]})
        assert any(buffers for _, _, buffers in visitor.said), "no message had the frames in question"
        with pytest.raises(Exception, match="timed out"):
            old.recv()
        old.close()


@pytest.mark.parametrize(("protocol", "heard"), [(V1, 1), (None, 0), ("", 0)])
def test_what_comes_after_the_line_was_closed_is_dropped(protocol, heard):
    said = []

    class Handler(KernelWebsocketHandler):
        selected_subprotocol = protocol  # tornado's is None, or raises, once the server has closed the line

        def __init__(self) -> None:
            pass

        def write_message(self, message, binary=False) -> None:
            said.append(message)

    session = Session(key=b"")
    connection = GuardedConnection(
        parent=KernelManager(parent=AsyncMappingKernelManager()),
        websocket_handler=Handler(),
        session=session,
        limit_rate=False,
    )
    parts = session.serialize(session.msg("comm_msg", {"comm_id": "view", "data": {}}))
    stream = SimpleNamespace(channel="iopub", closed=lambda: False)
    connection.handle_outgoing_message(stream, [*parts, b"pixels"])
    assert len(said) == heard
