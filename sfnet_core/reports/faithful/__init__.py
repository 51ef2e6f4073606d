"""``sfnet faithful``: do the explanations explain? Four sections."""
