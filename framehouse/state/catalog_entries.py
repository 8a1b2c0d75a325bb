"""What scans found in a catalogue: one row per place, new or gone, with its job and its content once known."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from framehouse.state.catalog_tables import catalog_entries as entries
from framehouse.state.catalogs import Catalog
from framehouse.state.loads import append_load
from framehouse.state.opening import writing
from framehouse.state.records import NOBODY, Origin
from framehouse.state.schema import jobs
from framehouse.state.submitting import insert_rows, new_row
from framehouse.tracing import past_span

_PAGE = 2000
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """One place of a catalogue, as the last scan that changed it saw it.

    Attributes:
        place: what the entry is sorted by, as listings are: the uri as its store sorts it.
        uri: without a signature; the same at every scan.
        video_id: the content, once its job has read it.
        job_id: the last job that was made for it.
        seen_at: when this version was first seen here, seconds since the epoch.
        gone_at: when a scan found it gone; None while it is there.
    """

    place: str
    uri: str
    etag: str | None
    size_bytes: int | None
    modified_at: str | None
    video_id: str | None = None
    job_id: str | None = None
    seen_at: float = 0.0
    gone_at: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A place whose entry is to be written.

    Attributes:
        entry: what the listing says; `video_id` and `job_id` where they are known already.
        source_uri: opens it; may carry a signature. Empty when no job is to be made.
        version: of the content there; the same place and version give one job.
    """

    entry: Entry
    source_uri: str = ""
    version: str = ""


_COLUMNS = tuple(Entry.__dataclass_fields__)
_SELECT = sa.select(*(entries.c[name] for name in _COLUMNS))


class Entries:
    """The entries of one catalogue."""

    def __init__(self, engine: sa.Engine, catalog: Catalog) -> None:
        self._engine, self._catalog = engine, catalog
        self._mine = entries.c.catalog_id == catalog.catalog_id

    def all(self, *, page: int = _PAGE) -> Iterator[Entry]:
        """Every entry by the bytes of its place, read page by page: a place in between may be written meanwhile."""
        after = ""
        while True:
            query = _SELECT.where(self._mine, entries.c.place > after).order_by(entries.c.place).limit(page)
            with self._engine.connect() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                yield Entry(*row)
            if len(rows) < page:
                return
            after = rows[-1][0]

    def newest(self, limit: int) -> list[Entry]:
        """The entries that changed last."""
        query = _SELECT.where(self._mine).order_by(entries.c.seen_at.desc(), entries.c.place).limit(limit)
        with self._engine.connect() as connection:
            return [Entry(*row) for row in connection.execute(query)]

    def learn_contents(self) -> None:
        """Note the content of entries whose job has read it."""
        read = sa.select(jobs.c.job_id).where(jobs.c.video_id.is_not(None))
        known = sa.select(jobs.c.video_id).where(jobs.c.job_id == entries.c.job_id).scalar_subquery()
        with writing(self._engine) as connection:
            connection.execute(
                entries.update()
                .where(self._mine, entries.c.video_id.is_(None), entries.c.job_id.in_(read))
                .values(video_id=known)
            )

    def by_etag(self, etags: Sequence[str]) -> dict[tuple[str, int], Entry]:
        """(etag, size) -> an entry whose content is known and whose job is done."""
        done = sa.select(jobs.c.job_id).where(jobs.c.status == "done")
        query = _SELECT.where(
            self._mine, entries.c.etag.in_(etags), entries.c.video_id.is_not(None), entries.c.job_id.in_(done)
        )
        with self._engine.connect() as connection:
            found = [Entry(*row) for row in connection.execute(query)]
        return {(entry.etag, entry.size_bytes): entry for entry in found if entry.etag and entry.size_bytes is not None}

    def write(self, found: Sequence[Found], moved_videos: Iterable[str] = ()) -> int:
        """Write entries and make the jobs of those that need one, all in one transaction.

        Args:
            moved_videos: their places changed; the loader is asked to load them.

        Returns:
            How many jobs were made or found made.
        """
        began_s = time.time()
        with writing(self._engine) as connection:
            job_ids, made = self._submit(connection, [item for item in found if item.source_uri])
            rows = [self._row(item, job_ids.get(item.entry.place)) for item in found]
            for start in range(0, len(rows), _AT_ONCE):
                self._upsert(connection, rows[start : start + _AT_ONCE])
            for video_id in dict.fromkeys(moved_videos):
                append_load(connection, "video", video_id=video_id)
        ended_s, models = time.time(), " ".join(self._catalog.wish.models)
        for job_id in made:
            past_span("submit", job_id, began_s, ended_s, models=models, catalog=self._catalog.name)
        return len(job_ids)

    def mark_missing(self, places: Sequence[str], scan_id: str) -> None:
        """The scan has come past these places and not seen them; they count as gone when it comes to its end."""
        with writing(self._engine) as connection:
            for start in range(0, len(places), _AT_ONCE):
                some = entries.c.place.in_(places[start : start + _AT_ONCE])
                connection.execute(entries.update().where(self._mine, some).values(missing_in=scan_id))

    def missing(self, scan_id: str, limit: int = _AT_ONCE) -> list[Entry]:
        """Some of the places that the scan did not see and that are not marked gone yet."""
        query = _SELECT.where(self._mine, entries.c.missing_in == scan_id).order_by(entries.c.place).limit(limit)
        with self._engine.connect() as connection:
            return [Entry(*row) for row in connection.execute(query)]

    def settle_missing(self, gone: Sequence[Entry], kept: Sequence[Entry]) -> None:
        """These are gone, those are not; the loader is asked to load the videos that lost a place.

        A job that has not begun is cancelled: it would only fail.
        """
        with writing(self._engine) as connection:
            for some, values in ((gone, {"gone_at": time.time()}), (kept, {})):
                here = entries.c.place.in_([entry.place for entry in some])
                connection.execute(entries.update().where(self._mine, here).values(missing_in=None, **values))
            pointless = jobs.c.job_id.in_([entry.job_id for entry in gone if entry.job_id])
            connection.execute(
                jobs.update()
                .where(pointless, jobs.c.status == "queued", jobs.c.attempt == 0)
                .values(cancel_requested=True)
            )
            for video_id in dict.fromkeys(entry.video_id for entry in gone if entry.video_id):
                append_load(connection, "video", video_id=video_id)

    def counts(self) -> dict[str, int]:
        """How many places there are, how many are gone, and how the jobs of the others stand."""
        per_status = (
            sa.select(jobs.c.status, sa.func.count())
            .select_from(entries.join(jobs, jobs.c.job_id == entries.c.job_id))
            .where(self._mine, entries.c.gone_at.is_(None))
            .group_by(jobs.c.status)
        )
        gone = sa.select(sa.func.count(), sa.func.count(entries.c.gone_at)).where(self._mine)
        with self._engine.connect() as connection:
            n_all, n_gone = connection.execute(gone).one()
            statuses = {str(status): int(n) for status, n in connection.execute(per_status)}
        names = ("queued", "running", "paused", "done", "failed", "cancelled")
        return {"here": n_all - n_gone, "gone": n_gone, **{name: statuses.get(name, 0) for name in names}}

    def _submit(self, connection: sa.Connection, wanted: Sequence[Found]) -> tuple[dict[str, str], list[str]]:
        """Jobs by place, and those of them that were not there before."""
        catalog = self._catalog
        origin = Origin(catalog.wish.owner) if catalog.wish.owner else NOBODY
        rows = [
            new_row(
                catalog.request_for(item.source_uri), origin, client_token=f"{catalog.catalog_id}/{item.version}"
            )
            for item in wanted
        ]  # fmt: skip
        job_ids = insert_rows(connection, rows)
        made = [row["job_id"] for row, job_id in zip(rows, job_ids, strict=True) if row["job_id"] == job_id]
        return dict(zip((item.entry.place for item in wanted), job_ids, strict=True)), made

    def _row(self, found: Found, job_id: str | None) -> dict[str, Any]:
        row = {name: getattr(found.entry, name) for name in _COLUMNS}
        return row | {"catalog_id": self._catalog.catalog_id, "job_id": job_id or row["job_id"], "missing_in": None}

    def _upsert(self, connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
        build = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        insert = build(entries)
        keys = ("catalog_id", "place")
        changed = {column.name: insert.excluded[column.name] for column in entries.c if column.name not in keys}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changed), rows)
