"""``sfnet faithful``: do the explanations explain? Four sections, put together by :func:`faithful`."""
