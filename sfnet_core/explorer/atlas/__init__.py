"""The atlas: every active feature on one page, and one page for each feature."""
