"""Sparse Feature Networks for galaxy images: readable predictions, and the page to read them on.

Images become sparse codes once (``pack``, ``train``, ``infer``); everything afterwards is arithmetic on those
codes and needs neither a GPU nor torch. Nouns: :class:`~sfnet_core.survey.dataset.Dataset`,
:class:`~sfnet_core.run.Run`, :class:`~sfnet_core.codes.SparseCodes`. Method: Wu 2025, ApJ 980, 183.
"""

__version__ = "0.1.0"
