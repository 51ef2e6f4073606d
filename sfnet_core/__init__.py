"""Sparse Feature Networks for galaxy images: readable predictions, and the page to read them on.

Images become sparse codes once (``pack``, ``train``, ``infer``); everything afterwards is arithmetic on those
codes and needs neither a GPU nor torch. Nouns: :class:`~sfnet_core.data.dataset.Dataset`,
:class:`~sfnet_core.model.run.Run`, :class:`~sfnet_core.codes.table.SparseCodes`. Method: Wu 2025, ApJ 980, 183.
"""

__version__ = "0.1.0"

#: Activations stored behind the k kept ones of each galaxy, where nothing else is asked for.
RUNNERS_UP = 8
