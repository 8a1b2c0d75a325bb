"""The table of shares: who else may read a job or an upload."""

from __future__ import annotations

import sqlalchemy as sa

from framehouse.state.schema import metadata

shares = sa.Table(
    "shares",
    metadata,
    sa.Column("thing_id", sa.String(40), primary_key=True),
    sa.Column("key_id", sa.String(40), primary_key=True),
    sa.Column("created_at", sa.Float, nullable=False),
)
