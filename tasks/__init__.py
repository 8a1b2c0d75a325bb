"""Prefect tasks: what can be retried. Each is a straight line of core calls."""
