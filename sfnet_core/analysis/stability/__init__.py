"""Are the features the same in another training? Matching, scores, the file that holds them."""
