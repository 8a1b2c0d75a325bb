"""API keys: made, found, listed, revoked. Only their digest is stored."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from framehouse.errors import ConfigError
from framehouse.state.opening import writing
from framehouse.state.schema import api_keys

PREFIX = "fh_"
SCOPES = ("submit", "read", "admin")
RESERVED = frozenset(
    {
        "v1", "ui", "docs", "openapi.json", "health", "metrics", "videoinfer", "video_upload_signed_url", "uploads",
        "results",
    }
)  # fmt: skip
"""First path segments of the server: no workspace may bear them."""
_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")
DEFAULT_MAX_WAITING_JOBS = 10_000
DEFAULT_MAX_UPLOAD_BYTES = 200 * 1024**3
_RANDOM_BYTES = 20
_USED_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, without its secret. Times are seconds since the epoch."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    workspace: str
    max_waiting_jobs: int
    max_upload_bytes: int
    created_at: float
    last_used_at: float | None
    revoked_at: float | None


class Keys:
    """The keys of a state database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def create(
        self,
        name: str,
        scopes: Sequence[str] = ("submit", "read"),
        *,
        workspace: str = "default",
        max_waiting_jobs: int = DEFAULT_MAX_WAITING_JOBS,
        max_upload_bytes: int = DEFAULT_MAX_UPLOAD_BYTES,
    ) -> tuple[str, ApiKey]:
        """A new key: its text, which is shown this once, and what is stored of it.

        The text begins with `fh_` and has lower-case letters and digits: the official client wants a lower-case letter.

        Raises:
            ConfigError: code `config.scope`, an unknown scope or none; `config.workspace`, see `check_workspace`.
        """
        check_workspace(workspace)
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise ConfigError(f"unknown scope {', '.join(unknown) or '(none given)'}", code="config.scope",
                              hint=f"known: {', '.join(SCOPES)}")  # fmt: skip
        text = PREFIX + secrets.token_hex(_RANDOM_BYTES)
        key = ApiKey(
            f"k_{secrets.token_hex(8)}", name, tuple(scopes), workspace, max_waiting_jobs, max_upload_bytes,
            time.time(), None, None,
        )  # fmt: skip
        with writing(self._engine) as connection:
            connection.execute(
                api_keys.insert().values(
                    key_id=key.key_id, name=name, digest=_digest(text), scopes=list(scopes), workspace=workspace,
                    max_waiting_jobs=max_waiting_jobs, max_upload_bytes=max_upload_bytes, created_at=key.created_at,
                )
            )  # fmt: skip
        return text, key

    def find(self, text: str) -> ApiKey | None:
        """The key with this text, when there is one that is not revoked. Notes its use, at most once a minute."""
        digest = _digest(text)
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(api_keys).where(api_keys.c.digest == digest)).mappings().first()
        if row is None or not hmac.compare_digest(row["digest"], digest) or row["revoked_at"] is not None:
            return None
        if time.time() - (row["last_used_at"] or 0.0) > _USED_EVERY_S:
            with writing(self._engine) as connection:
                used = api_keys.update().where(api_keys.c.key_id == row["key_id"])
                connection.execute(used.values(last_used_at=time.time()))
        return _key(row)

    def alive(self, key_id: str) -> ApiKey | None:
        """The key with this id, when there is one that is not revoked."""
        alive = sa.select(api_keys).where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
        with self._engine.connect() as connection:
            row = connection.execute(alive).mappings().first()
        return None if row is None else _key(row)

    def list(self) -> list[ApiKey]:
        """All keys, oldest first, revoked ones too."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id))
            return [_key(row) for row in rows.mappings()]

    def any_active(self) -> bool:
        """Whether there is a key that is not revoked."""
        with self._engine.connect() as connection:
            found = connection.execute(sa.select(api_keys.c.key_id).where(api_keys.c.revoked_at.is_(None)).limit(1))
            return found.first() is not None

    def any_ever(self) -> bool:
        """Whether a key was ever made: from then on nobody is let in without one."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(api_keys.c.key_id).limit(1)).first() is not None

    def revoke(self, key_id: str) -> ApiKey:
        """End a key; twice is fine.

        Raises:
            ConfigError: code `config.unknown_key`.
        """
        with writing(self._engine) as connection:
            alive = api_keys.update().where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
            connection.execute(alive.values(revoked_at=time.time()))
            row = connection.execute(sa.select(api_keys).where(api_keys.c.key_id == key_id)).mappings().first()
        if row is None:
            raise ConfigError(f"no key {key_id}", code="config.unknown_key", hint="framehouse keys list")
        return _key(row)


def check_workspace(name: str) -> None:
    """Refuse a workspace that could not be the first segment of a path of its own.

    Raises:
        ConfigError: code `config.workspace`.
    """
    if name.lower() in RESERVED or not _WORKSPACE.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a workspace", code="config.workspace",
            hint=f"letters, digits, dots, dashes; and none of {', '.join(sorted(RESERVED))}",
        )  # fmt: skip


def _digest(text: str) -> str:
    """Keys are 160 random bits, so one round of sha256 hides them."""
    return hashlib.sha256(text.encode()).hexdigest()


def _key(row: sa.RowMapping) -> ApiKey:
    values = {name: row[name] for name in ApiKey.__dataclass_fields__ if name != "scopes"}
    return ApiKey(scopes=tuple(row["scopes"]), **values)
