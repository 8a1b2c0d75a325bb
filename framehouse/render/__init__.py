"""Videos to look at, drawn from stored rows."""
