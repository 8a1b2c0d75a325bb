"""Budgets: hard caps in frames, seconds and bytes, of one job (`job/<job_id>`) or shared by many (`catalog/<name>`).

Frames are reserved before they are inferred and given back when they were not, so that a cap holds whatever dies and
however many jobs share it. Seconds and bytes are added up as they are spent.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from framehouse.state.opening import writing
from framehouse.state.schema import budgets, grants


@dataclass(frozen=True, slots=True)
class Caps:
    """Most that may be spent; None sets no limit. Frames are frames × models that were tried, seconds those in which
    a run infers (two at once count twice), bytes those that were fetched."""

    max_frames: int | None = None
    max_seconds: float | None = None
    max_bytes: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it limits nothing."""
        return self == Caps()


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one or several budgets, the least of each; None is no limit. Never below zero."""

    frames: int | None = None
    seconds: float | None = None
    n_bytes: int | None = None

    @property
    def spent(self) -> str | None:
        """The first of `frames`, `seconds` and `bytes` of which nothing is left; None while there is some of all."""
        return next((what for what in ("frames", "seconds", "bytes") if self.amount(what) == 0), None)

    def amount(self, what: str) -> float | None:
        """What is left of `frames`, `seconds` or `bytes`; None is no limit."""
        return {"frames": self.frames, "seconds": self.seconds, "bytes": self.n_bytes}[what]


@dataclass(frozen=True, slots=True)
class Budget:
    """One row: its caps and what has been spent of them (frames with those that are reserved)."""

    name: str
    caps: Caps
    spent_frames: int
    spent_seconds: float
    spent_bytes: int

    @property
    def left(self) -> Left:
        """What may still be spent."""
        caps = self.caps
        return Left(
            None if caps.max_frames is None else max(0, caps.max_frames - self.spent_frames),
            None if caps.max_seconds is None else max(0.0, caps.max_seconds - self.spent_seconds),
            None if caps.max_bytes is None else max(0, caps.max_bytes - self.spent_bytes),
        )


def job_budget(job_id: str) -> str:
    """Name of a job's own budget."""
    return f"job/{job_id}"


def catalog_budget(name: str) -> str:
    """Name of the budget that all jobs of a catalogue share."""
    return f"catalog/{name}"


class Budgets:
    """The budgets of a state database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def _write(self) -> AbstractContextManager[sa.Connection]:
        return writing(self._engine)

    def put(self, name: str, caps: Caps) -> None:
        """Set a budget anew: nothing of it is spent. Caps that limit nothing remove it."""
        with self._write() as connection:
            connection.execute(budgets.delete().where(budgets.c.name == name))
            connection.execute(grants.delete().where(grants.c.name == name))
            if not caps.is_open:
                connection.execute(
                    budgets.insert().values(name=name, **asdict(caps), spent_frames=0, spent_seconds=0.0, spent_bytes=0)
                )

    def get(self, names: Sequence[str]) -> list[Budget]:
        """The budgets of these names that exist, in order."""
        with self._engine.connect() as connection:
            return self._read(connection, names)

    def left(self, names: Sequence[str]) -> Left:
        """What is left of all of them together: the least."""
        return _least([budget.left for budget in self.get(names)])

    def spend(self, names: Sequence[str], *, seconds: float = 0.0, n_bytes: int = 0) -> Left:
        """Add to what has been spent; returns what is left."""
        with self._write() as connection:
            connection.execute(
                budgets.update()
                .where(budgets.c.name.in_(names))
                .values(
                    spent_seconds=budgets.c.spent_seconds + seconds, spent_bytes=budgets.c.spent_bytes + n_bytes
                )
            )  # fmt: skip
            return _least([budget.left for budget in self._read(connection, names)])

    def reserve(self, names: Sequence[str], job_id: str, n_owed: int) -> int | None:
        """Reserve frames for a job, as many as it owes or as are left; None where no budget limits them.

        What an earlier run of the job reserved and never gave back, because it died, is settled first: it has spent
        what the job owes less now.
        """
        with self._write() as connection:
            mine = grants.c.job_id == job_id
            for grant in connection.execute(sa.select(grants).where(mine)).mappings().all():
                used = min(grant["n_frames"], max(0, grant["n_owed"] - n_owed))
                self._give_back(connection, [grant["name"]], grant["n_frames"] - used)
            connection.execute(grants.delete().where(mine))
            found = [b for b in self._read(connection, names, lock=True) if b.caps.max_frames is not None]
            if not found:
                return None
            n_frames = min(n_owed, *(budget.left.frames or 0 for budget in found))
            for budget in found:
                self._give_back(connection, [budget.name], -n_frames)
                row = {"job_id": job_id, "name": budget.name, "n_frames": n_frames, "n_owed": n_owed}
                connection.execute(grants.insert().values(row))
            return n_frames

    def settle(self, job_id: str, n_used: int) -> None:
        """The run is over: give back what it reserved and did not use."""
        with self._write() as connection:
            mine = grants.c.job_id == job_id
            for grant in connection.execute(sa.select(grants).where(mine)).mappings().all():
                self._give_back(connection, [grant["name"]], grant["n_frames"] - n_used)
            connection.execute(grants.delete().where(mine))

    def _give_back(self, connection: sa.Connection, names: Sequence[str], n_frames: int) -> None:
        update = budgets.update().where(budgets.c.name.in_(names))
        connection.execute(update.values(spent_frames=budgets.c.spent_frames - n_frames))

    def _read(self, connection: sa.Connection, names: Sequence[str], *, lock: bool = False) -> list[Budget]:
        query = sa.select(budgets).where(budgets.c.name.in_(names)).order_by(budgets.c.name)
        rows = connection.execute(query.with_for_update() if lock else query).mappings()
        return [
            Budget(
                row["name"],
                Caps(row["max_frames"], row["max_seconds"], row["max_bytes"]),
                row["spent_frames"],
                row["spent_seconds"],
                row["spent_bytes"],
            )
            for row in rows
        ]


def _least(found: Sequence[Left]) -> Left:
    frames = [left.frames for left in found if left.frames is not None]
    seconds = [left.seconds for left in found if left.seconds is not None]
    n_bytes = [left.n_bytes for left in found if left.n_bytes is not None]
    return Left(min(frames, default=None), min(seconds, default=None), min(n_bytes, default=None))
