"""Live state: who owes what, who holds what, what waits to be loaded.

SQLite in WAL mode on one machine, PostgreSQL by URL for several. Every process may open it. Analytics are elsewhere
(`framehouse.store`); the truth about rows is the lake (`framehouse.results`).
"""

from framehouse.state.database import State, open_state
from framehouse.state.records import Job, JobRequest, Lease, LoadRow, Origin

__all__ = ["Job", "JobRequest", "Lease", "LoadRow", "Origin", "State", "open_state"]
