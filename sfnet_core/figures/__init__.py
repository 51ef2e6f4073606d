"""How a figure, a table or an HTML frame is drawn for paper and for saved files."""
