"""Tables of catalogues: which places are watched, and what was found there. Times are seconds since the epoch, UTC."""

from __future__ import annotations

import sqlalchemy as sa

from framehouse.state.schema import metadata

_BYTE_ORDERED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Sorted by UTF-8 bytes on every database, as Python sorts text: a listing and the table are read side by side."""

catalogs = sa.Table(
    "catalogs",
    metadata,
    sa.Column("catalog_id", sa.String(40), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False, unique=True),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("models", sa.JSON, nullable=False),
    sa.Column("infer_fps", sa.String(40), nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("include", sa.JSON, nullable=False),
    sa.Column("exclude", sa.JSON, nullable=False),
    sa.Column("owner", sa.String(40), nullable=False),
    sa.Column("allow_private", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    # the schedule: what Prefect has, mirrored; or, while pending, what Prefect is still to be told
    sa.Column("schedule", sa.String(120), nullable=False),
    sa.Column("schedule_spec", sa.JSON, nullable=True),
    sa.Column("schedule_active", sa.Boolean, nullable=False),
    sa.Column("schedule_pending", sa.Boolean, nullable=False),
    sa.Column("schedule_deployment", sa.String(64), nullable=True),
    # scans
    sa.Column("scan_requested_at", sa.Float, nullable=True),
    sa.Column("scan_tried_at", sa.Float, nullable=True),
    sa.Column("scanned_at", sa.Float, nullable=True),
    sa.Column("scan_report", sa.JSON, nullable=True),
    sa.Column("scan_error", sa.JSON, nullable=True),
    # since version 4
    sa.Column("max_running", sa.Integer, nullable=True),
)

catalog_entries = sa.Table(
    "catalog_entries",
    metadata,
    sa.Column("catalog_id", sa.String(40), primary_key=True),
    sa.Column("place", _BYTE_ORDERED, primary_key=True),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("etag", sa.Text, nullable=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=True),
    sa.Column("modified_at", sa.String(40), nullable=True),
    sa.Column("video_id", sa.String(40), nullable=True),
    sa.Column("job_id", sa.String(40), nullable=True),
    sa.Column("seen_at", sa.Float, nullable=False),
    sa.Column("gone_at", sa.Float, nullable=True),
    sa.Column("missing_in", sa.String(40), nullable=True),
    sa.Index("catalog_entries_by_etag", "catalog_id", "etag"),
    sa.Index("catalog_entries_by_missing", "catalog_id", "missing_in"),
    sqlite_with_rowid=False,
)
