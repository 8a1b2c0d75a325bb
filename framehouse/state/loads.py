"""The load log's numbers, given out inside whatever transaction asks for a load."""

from __future__ import annotations

import time

import sqlalchemy as sa

from framehouse.state.schema import counters, load_log


def append_load(connection: sa.Connection, kind: str, **key: str) -> int:
    """Ask the loader for something; returns its number.

    The counter's row lock makes numbers appear in commit order, on PostgreSQL too.
    """
    connection.execute(counters.update().where(counters.c.name == "load").values(value=counters.c.value + 1))
    seq = int(connection.execute(sa.select(counters.c.value).where(counters.c.name == "load")).scalar_one())
    connection.execute(load_log.insert().values(seq=seq, kind=kind, requested_at=time.time(), **key))
    return seq
