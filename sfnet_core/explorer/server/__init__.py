"""The page's server: Voilà with a guard between the browsers and the kernels.

Everything is a class that Voilà's own configuration names (``voila/voila.json``), so that a Voilà started by others
has the guard too: ``JUPYTER_CONFIG_PATH=…/sfnet_core/explorer/server/voila voila notebooks``. ``python -m
sfnet_core.explorer.server notebooks`` (what ``sfnet explore`` starts) adds what no configuration can: the polite page
when all sessions are taken, 404 for everything that is not part of a page, kernels that end with their tab.
"""
