"""Which videos a catalogue holds, as its scans found them."""

from __future__ import annotations

import sqlalchemy as sa

from framehouse.state.catalog_tables import catalog_entries
from framehouse.state.catalogs import Catalogs


def catalog_members(engine: sa.Engine, name: str) -> list[tuple[str, str | None]]:
    """(uri, video_id where it is known) of everything that a catalogue holds now.

    Raises:
        CatalogNotFound: none of that name.
    """
    catalog_id = Catalogs(engine).get(name).catalog_id
    query = sa.select(catalog_entries.c.uri, catalog_entries.c.video_id)
    mine = query.where(catalog_entries.c.catalog_id == catalog_id, catalog_entries.c.gone_at.is_(None))
    with engine.connect() as connection:
        return [(row.uri, row.video_id) for row in connection.execute(mine)]
