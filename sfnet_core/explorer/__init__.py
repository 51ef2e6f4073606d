"""The pages: one folder each with its Python, JavaScript and CSS side by side. They open codes, never a network."""
