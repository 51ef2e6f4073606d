"""``sfnet report``: figures and tables of Wu (2025) as one HTML file with CSV files beside it."""
