"""What users write beside codes: labels, notes, stars, lists (:class:`LabelBook`), and the file they are kept in."""

from sfnet_core.labels.book import Entry, LabelBook, labels_path

__all__ = ["Entry", "LabelBook", "labels_path"]
