"""Uses of what is stored."""
