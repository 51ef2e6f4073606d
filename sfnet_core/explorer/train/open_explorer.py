"""The explorer on a new codes file, for as long as the page that asked for it lives.

``python -m sfnet_core.explorer.train.open_explorer '["CODES", "DATASET"]'`` says its address as one JSON line. It
ends when its standard input closes, which the end of the asking kernel does.
"""

from __future__ import annotations

import json
import signal
import sys
import threading

from sfnet_core.explorer.server.serve import check, serving
from sfnet_core.utils.errors import SFNetError

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """One event: ``open`` with the ``address``, or ``refused`` with a ``sentence``."""
    codes, dataset = json.loads(arguments[0])
    end = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.buffer.read(), end.set()), daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    try:
        check(codes, dataset, False)
        with serving(codes, dataset, pool=1) as (address, server):
            print(json.dumps({"event": "open", "address": address}), flush=True)
            while not end.wait(1.0) and server.poll() is None:
                pass
    except SFNetError as error:
        print(json.dumps({"event": "refused", "sentence": str(error)}), flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
