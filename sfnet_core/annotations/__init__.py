"""What users write beside codes: labels, notes, stars, lists (:class:`LabelBook`), and the file they are kept in."""
