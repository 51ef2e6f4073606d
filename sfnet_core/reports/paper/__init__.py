"""The paper's figures and tables as one HTML file with CSV files beside it: ``sfnet report``."""
