"""``sfnet faithful``: do the explanations explain? Four sections, put together by :func:`faithful`."""

from sfnet_core.faithful.verb import faithful

__all__ = ["faithful"]
