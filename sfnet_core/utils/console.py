"""A sentence for the person at the terminal, between the lines of a progress bar."""

from __future__ import annotations

import sys

__all__ = ["say"]


def say(aloud: bool, sentence: str) -> None:
    """Write it on stderr, where ``aloud``."""
    from tqdm import tqdm

    if aloud:
        tqdm.write(sentence, file=sys.stderr)
