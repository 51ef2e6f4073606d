"""The same features again? Two trainings matched (:func:`match_features`), or several (:func:`stability`)."""

from sfnet_core.stability.match import Match, carry_labels, match_features
from sfnet_core.stability.seeds import stability

__all__ = ["Match", "carry_labels", "match_features", "stability"]
