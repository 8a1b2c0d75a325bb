"""Uploads: promised by a signed URL, then there. The bytes lie in files; this is who owns them and whether all came."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from framehouse.errors import NotFound
from framehouse.state.opening import writing
from framehouse.state.schema import jobs, uploads


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload. Times are seconds since the epoch; `completed_at` is None until every byte is there."""

    upload_id: str
    owner: str
    file_name: str
    size_bytes: int | None
    created_at: float
    expires_at: float
    completed_at: float | None


class Uploads:
    """The uploads of a state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(self, owner: str, file_name: str, *, ttl_s: float, size_bytes: int | None = None) -> Upload:
        """Promise a place for a file."""
        now = time.time()
        made = Upload(f"u_{secrets.token_hex(12)}", owner, file_name, size_bytes, now, now + ttl_s, None)
        with writing(self._engine) as connection:
            connection.execute(uploads.insert().values({name: getattr(made, name) for name in _FIELDS}))
        return made

    def get(self, upload_id: str) -> Upload:
        """One upload.

        Raises:
            NotFound: no such upload.
        """
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(uploads).where(uploads.c.upload_id == upload_id)).mappings().first()
        if row is None:
            raise NotFound(f"no upload {upload_id}", code="source.upload_unknown", hint="ask for a new upload URL")
        return _upload(row)

    def complete(self, upload_id: str, size_bytes: int) -> Upload:
        """Every byte is there: jobs on this upload may begin."""
        with writing(self._engine) as connection:
            same = uploads.update().where(uploads.c.upload_id == upload_id)
            connection.execute(same.values(size_bytes=size_bytes, completed_at=time.time()))
        return self.get(upload_id)

    def is_used(self, upload_id: str) -> bool:
        """Whether a job was made of it."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(jobs.c.job_id).where(jobs.c.upload_id == upload_id)).first() is not None

    def missing(self, older_than_s: float) -> Sequence[str]:
        """Unfinished jobs that were submitted so long ago and whose upload has not arrived."""
        query = (
            sa.select(jobs.c.job_id)
            .join(uploads, uploads.c.upload_id == jobs.c.upload_id)
            .where(jobs.c.status == "queued", jobs.c.outcome.is_(None), uploads.c.completed_at.is_(None))
            .where(jobs.c.submitted_at < time.time() - older_than_s)
        )
        with self._engine.connect() as connection:
            return [str(row[0]) for row in connection.execute(query)]


_FIELDS = tuple(Upload.__dataclass_fields__)


def _upload(row: sa.RowMapping) -> Upload:
    return Upload(**{name: row[name] for name in _FIELDS})
