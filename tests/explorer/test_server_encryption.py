"""What server and kernels say to each other is encrypted: on a shared machine others can listen on its ports."""

from __future__ import annotations

import contextlib
import json
from importlib import resources
from queue import Empty

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager
from traitlets.config import Config

SETTINGS = resources.files("sfnet_core.explorer.server") / "voila" / "voila.json"


def test_a_kernel_answers_those_alone_who_hold_its_key():
    manager = KernelManager(config=Config(json.loads(SETTINGS.read_text(encoding="utf-8"))))
    manager.start_kernel()
    info = manager.get_connection_info()
    friend = manager.blocking_client()
    stranger = BlockingKernelClient()
    stranger.load_connection_info({**info, "curve_publickey": None, "curve_secretkey": None})
    try:
        friend.start_channels()
        friend.wait_for_ready(timeout=60)
        stranger.start_channels(shell=True, iopub=True, stdin=False, hb=False, control=False)
        stranger.kernel_info()
        with pytest.raises(Empty):
            stranger.get_shell_msg(timeout=2)
        friend.execute("1 + 1")
        assert friend.get_shell_msg(timeout=30)["content"]["status"] == "ok"
        with pytest.raises(Empty):  # nor does it overhear what is published
            stranger.get_iopub_msg(timeout=0.5)
    finally:
        for client in (friend, stranger):
            with contextlib.suppress(Exception):
                client.stop_channels()
        manager.shutdown_kernel(now=True)
