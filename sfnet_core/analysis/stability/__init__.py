"""The same features again? Two trainings matched (:func:`match_features`), or several (:func:`stability`)."""
