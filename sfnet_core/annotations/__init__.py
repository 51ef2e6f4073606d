"""What users write beside codes: labels, notes, stars, lists, and the file that holds them."""
