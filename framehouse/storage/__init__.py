"""Bytes: where videos lie, and how they come here."""
