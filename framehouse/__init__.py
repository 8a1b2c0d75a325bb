"""Self-hosted video inference."""
