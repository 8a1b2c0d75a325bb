"""Prefect flows: what can be deployed. Order, parameters, limits and hooks only."""
