"""Dataset × Run → SparseCodes: encode, recompute what low precision leaves uncertain, fit the novelty score."""
