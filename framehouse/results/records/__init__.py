"""One record per kind of rows."""
