"""Rows of the state database that have had their day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from framehouse.keep.sweep import Found
from framehouse.state.keeping import Keeping, Rows


@dataclass(frozen=True, slots=True)
class OldRows:
    """Rows of one table. `before` as in `Keeping.drop`."""

    kind: Rows
    state: Keeping
    before: float
    why: str

    def find(self) -> Iterator[Found]:
        """All of them as one thing."""
        if n_rows := self.state.count(self.kind, self.before):
            yield Found(self.kind, f"{n_rows} rows of the state database", n_rows, 0, self.why)

    def remove(self, found: Found) -> bool:
        """Drop them in one transaction."""
        self.state.drop(self.kind, self.before)
        return True
