#!/bin/sh
# A Chromium for the browser tests: the one that is here, else Debian's where we may install it, else one sentence.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if command -v apt-get >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then as_root=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then as_root="sudo -n"
    else echo "The browser tests need Chromium: sudo apt-get install chromium" >&2; exit 1; fi
    echo "Installing Debian's chromium for the browser tests …"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
    command -v chromium >/dev/null 2>&1 && exit 0
fi
echo "The browser tests need Chromium (or Chrome) on the PATH; install it with your system's packages." >&2
exit 1
