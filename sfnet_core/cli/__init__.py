"""The shell: one module for a family of verbs, put together in :mod:`~sfnet_core.cli.verbs`."""
