"""A visitor who leaves before the page is made leaves the server's terminal quiet; a kernel's own death does not."""

from __future__ import annotations

import http.cookiejar
import os
import re
import signal
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from visitor import kernel_of

from sfnet_core.explorer.server.serve import serving


def test_leaving_a_page_in_the_making_is_no_error(capfd):
    with serving(pool=0) as (address, _):
        split = urlsplit(address)
        root = f"http://{split.netloc}"
        jar = http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

        def begin(then) -> None:
            """Ask for the page, and do something to its kernel while it is made."""
            with opener.open(f"{root}{split.path}?{split.query}", timeout=60) as answer:
                got = b""
                while (found := re.search(rb'"kernelId": ?"([^"]+)"', got)) is None:
                    got += answer.read1(4096)
                then(found[1].decode())
                answer.read()

        def leave(kernel: str) -> None:
            opener.open(urllib.request.Request(f"{root}/sfnet/end/{kernel}", method="POST", data=b"")).close()

        capfd.readouterr()
        for delay in (0.0, 0.2, 0.8):
            begin(lambda kernel, delay=delay: (time.sleep(delay), leave(kernel)))
        said = capfd.readouterr().err
        assert said == ""
        begin(lambda kernel: os.kill(kernel_of(kernel), signal.SIGKILL))
        deadline = time.monotonic() + 20
        while "Kernel died" not in said:
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
            said += capfd.readouterr().err
