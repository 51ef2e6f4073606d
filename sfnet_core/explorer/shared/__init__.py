"""What two pages or more use: the state, the arithmetic behind it, views, plots, opening, saving."""
