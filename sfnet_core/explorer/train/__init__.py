"""The training page: choices, the process that trains, its figures and views."""
