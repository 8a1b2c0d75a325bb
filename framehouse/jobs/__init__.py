"""The engine: submit, get, retry and cancel jobs, do the work of one, and keep what is owed running.

`submit`, `attempt` and `outcome` know nothing of Prefect, so that the command line and the API start fast; `deploy` and
`runner` are its only importers in the core.
"""
