"""Which videos a catalogue holds, as its scans found them."""

from __future__ import annotations

import sqlalchemy as sa

from framehouse.errors import ConfigError

_catalogs = sa.table("catalogs", sa.column("catalog_id"), sa.column("name"))
_entries = sa.table(
    "catalog_entries", sa.column("catalog_id"), sa.column("uri"), sa.column("video_id"), sa.column("gone_at")
)


def catalog_members(engine: sa.Engine, name: str) -> list[tuple[str, str | None]]:
    """(uri, video_id where it is known) of everything that a catalogue holds now.

    Raises:
        ConfigError: code `config.unknown_catalog`.
    """
    known = sa.select(_catalogs.c.catalog_id).where(sa.or_(_catalogs.c.name == name, _catalogs.c.catalog_id == name))
    with engine.connect() as connection:
        catalog_id = connection.execute(known).scalar() if sa.inspect(connection).has_table("catalogs") else None
        if catalog_id is None:
            raise ConfigError(f"no catalogue {name}", code="config.unknown_catalog", hint="framehouse catalog list")
        query = sa.select(_entries.c.uri, _entries.c.video_id)
        mine = query.where(_entries.c.catalog_id == catalog_id, _entries.c.gone_at.is_(None))
        return [(row.uri, row.video_id) for row in connection.execute(mine)]
