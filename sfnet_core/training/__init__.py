"""Dataset → Run: the plan, the loop, its objective and optimiser, distillation."""
