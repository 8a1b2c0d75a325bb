"""Housekeeping: what is kept and for how long, and the merging of small parts. Nothing that a job still needs goes."""
