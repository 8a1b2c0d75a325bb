"""One element of the results JSON per kind of rows: what a model gave for one frame."""
