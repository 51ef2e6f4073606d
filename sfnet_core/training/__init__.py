"""Dataset → Run (:func:`train`): the plan, where it starts, a step, how features are kept alive, what is kept."""
