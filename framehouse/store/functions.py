"""`embed_text(text)` in SQL: what makes vectors of texts lies outside the store and is handed in.

DuckDB keeps functions by database instance, and one process shares an instance between all readers of a snapshot. So
the function of the instance takes the key of a session beside the text, and each connection has a temporary macro
`embed_text` with its own key.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import duckdb
from duckdb.sqltypes import VARCHAR, DuckDBPyType

from framehouse.errors import ConfigError, FramehouseError

EMBED_TEXT = "embed_text"
_INNER = "embed_text_of"
_NAMED = re.compile(r"\bembed_text\b", re.IGNORECASE)


class TextVectors(Protocol):
    """What makes vectors of texts, in the space of one model's embeddings."""

    @property
    def model_digest(self) -> str:
        """Of the image model whose embeddings the vectors are compared with. Raises ConfigError."""

    def vector(self, text: str) -> list[float]:
        """The vector of a text. Raises FramehouseError with a code that says what to do."""


@dataclass(slots=True)
class _Session:
    """One connection's maker of vectors, and what went wrong with it last."""

    texts: TextVectors
    failure: FramehouseError | None = None


_sessions: dict[str, _Session] = {}
_keys = itertools.count(1)
_registering = threading.Lock()


@contextmanager
def embedding_texts(connection: duckdb.DuckDBPyConnection, texts: TextVectors) -> Iterator[None]:
    """Give a connection `embed_text(text)` while this lasts, and say whose embeddings `moments` compares with.

    Raises:
        FramehouseError: what `texts` raised inside a query, in place of DuckDB's error about it.
    """
    key = f"s{next(_keys)}"
    _sessions[key] = session = _Session(texts)
    try:
        _register(connection)
        connection.execute(f"CREATE OR REPLACE TEMP MACRO {EMBED_TEXT}(text) AS {_INNER}(text, '{key}')")
        with suppress(ConfigError):  # no such model: a call of the function says so
            connection.execute("SET VARIABLE embeddings = ?", [texts.model_digest]).fetchall()
        yield
    except duckdb.Error as error:
        if session.failure is not None:
            raise session.failure from error
        raise
    finally:
        del _sessions[key]


def names_embed_text(sql: str) -> bool:
    """Whether a query may call the function: only then are models looked up.

    >>> names_embed_text("FROM moments(EMBED_TEXT('a dog'), 3)"), names_embed_text("SELECT 1")
    (True, False)
    """
    return _NAMED.search(sql) is not None


def _register(connection: duckdb.DuckDBPyConnection) -> None:
    with _registering:
        try:
            connection.create_function(_INNER, _vector_of, [VARCHAR, VARCHAR], DuckDBPyType("FLOAT[]"))
        except duckdb.CatalogException:  # another connection to this instance has brought it
            return


def _vector_of(text: str, key: str) -> list[float]:
    session = _sessions.get(key)
    if session is None:
        raise ConfigError("embed_text belongs to the connection that has it", code="search.no_text_vectors")
    try:
        return session.texts.vector(text)
    except FramehouseError as error:
        session.failure = error
        raise ConfigError(error.line(), code=error.code) from error
