"""The shell: one module for a family of verbs, put together in :mod:`~sfnet_core.cli.verbs`."""

from sfnet_core.cli.verbs import app, main, run

__all__ = ["app", "main", "run"]
