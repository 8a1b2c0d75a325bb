"""Shares: a job or an upload that its owner lets another key read."""

from __future__ import annotations

import time

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from framehouse.state.opening import writing
from framehouse.state.shares_table import shares


class Shares:
    """The shares of a state database. A thing is the id of a job or of an upload."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, thing_id: str, key_id: str) -> None:
        """Let a key read a thing; twice is fine."""
        try:
            with writing(self._engine) as connection:
                connection.execute(shares.insert().values(thing_id=thing_id, key_id=key_id, created_at=time.time()))
        except IntegrityError:  # it may already
            return

    def remove(self, thing_id: str, key_id: str) -> None:
        """Let it no longer; twice is fine."""
        with writing(self._engine) as connection:
            connection.execute(shares.delete().where(shares.c.thing_id == thing_id, shares.c.key_id == key_id))

    def of_thing(self, thing_id: str) -> list[str]:
        """Ids of the keys that may read it beside its owner, in order."""
        query = sa.select(shares.c.key_id).where(shares.c.thing_id == thing_id).order_by(shares.c.key_id)
        with self._engine.connect() as connection:
            return [str(row) for row in connection.execute(query).scalars()]

    def has(self, thing_id: str, key_id: str) -> bool:
        """Whether a key may read a thing of another."""
        same = sa.select(shares.c.key_id).where(shares.c.thing_id == thing_id, shares.c.key_id == key_id)
        with self._engine.connect() as connection:
            return connection.execute(same).first() is not None
