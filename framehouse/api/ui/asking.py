"""Queries of the page: `.sql` files of `framehouse/store/page`, on the published snapshot."""

from __future__ import annotations

from typing import Any

from framehouse.api.context import Api
from framehouse.errors import QueryRejected, StoreError
from framehouse.store.connection import script
from framehouse.store.query import QueryResult, run_query


def ask(api: Api, name: str, *, confidence: float | None = None, **params: Any) -> QueryResult:
    """All rows of a query, in columns.

    Raises:
        StoreError: as `run_query`; code `store.earlier_schema`, the snapshot has not got all our tables yet.
    """
    settings = api.settings
    try:
        return run_query(
            settings.store_dir, script(f"page/{name}.sql"), params=params or None, confidence=confidence,
            max_rows=None, timeout_s=settings.store.query_timeout_s, memory=settings.store.query_memory,
        )  # fmt: skip
    except QueryRejected as error:
        if error.code != QueryRejected.default_code:
            raise
        raise StoreError("the published tables are of an earlier release", code="store.earlier_schema",
                         hint="run: framehouse db migrate") from error  # fmt: skip


def rows(api: Api, name: str, **params: Any) -> list[dict[str, Any]]:
    """All rows of a query, as plain values; none while nothing has been published. Raises as `run_query`."""
    try:
        return ask(api, name, **params).records()
    except StoreError as error:
        if error.code != "store.empty":
            raise
        return []


def columns(found: QueryResult) -> dict[str, list[Any]]:
    """Rows as lists by name of their column."""
    return {name: found.table.column(i).to_pylist() for i, name in enumerate(found.columns)}


def by_model(found: QueryResult) -> dict[str, dict[str, list[Any]]]:
    """Columns of each `model_digest`, without that column."""
    table = columns(found)
    digests = table.pop("model_digest")
    places: dict[str, list[int]] = {}
    for place, digest in enumerate(digests):
        places.setdefault(digest, []).append(place)
    return {
        digest: {name: [values[i] for i in wanted] for name, values in table.items()}
        for digest, wanted in places.items()
    }
