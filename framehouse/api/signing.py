"""Signed URLs of our own: for one method and one thing, until a time, and really verified.

The query has Google's parameter names, because the official client looks for `&X-Goog-Expires=`. The signature is an
HMAC-SHA256 over method, path and both times, with a key that lies in the state folder and never leaves it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from framehouse.errors import SourceForbidden

ALGORITHM = "FRAMEHOUSE-HMAC-SHA256"
_KEY_NAME = "signing.key"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class UrlSigner:
    """Signs paths and verifies them."""

    key: bytes

    @classmethod
    def of(cls, state_dir: Path) -> UrlSigner:
        """The signer of this installation; its key is made at the first call, readable by its owner alone."""
        path = state_dir / _KEY_NAME
        if not path.is_file():
            state_dir.mkdir(parents=True, exist_ok=True)
            draft = state_dir / f".{_KEY_NAME}.{secrets.token_hex(4)}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
            try:
                os.link(draft, path)  # the first of several wins, whole
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return cls(path.read_bytes())

    def sign(self, method: str, path: str, *, ttl_s: int, now_s: float | None = None) -> str:
        """Path with the query that lets one method reach it for `ttl_s` seconds.

        >>> UrlSigner(b"k").sign("PUT", "/uploads/u_1", ttl_s=60, now_s=0.0)[:62]
        '/uploads/u_1?X-Goog-Algorithm=FRAMEHOUSE-HMAC-SHA256&X-Goog-Da'
        """
        date = str(int(time.time() if now_s is None else now_s))
        query = f"X-Goog-Algorithm={ALGORITHM}&X-Goog-Date={date}&X-Goog-Expires={ttl_s}"
        return f"{path}?{query}&X-Goog-Signature={self._signature(method, path, date, str(ttl_s))}"

    def verify(self, method: str, path: str, query: Mapping[str, str], *, now_s: float | None = None) -> None:
        """Let pass what was signed for this method and path and has not expired.

        Raises:
            SourceForbidden: code `source.signature` or `source.signature_expired`.
        """
        date, ttl_s = query.get("X-Goog-Date", ""), query.get("X-Goog-Expires", "")
        given = query.get("X-Goog-Signature", "")
        expected = self._signature(method, path, date, ttl_s)
        if query.get("X-Goog-Algorithm") != ALGORITHM or not hmac.compare_digest(given.encode(), expected.encode()):
            raise SourceForbidden("the signature of this URL is missing or wrong", code="source.signature",
                                  hint="ask for a new URL")  # fmt: skip
        if (time.time() if now_s is None else now_s) > int(date) + int(ttl_s):
            raise SourceForbidden("this URL has expired", code="source.signature_expired", hint="ask for a new URL")

    def _signature(self, method: str, path: str, date: str, ttl_s: str) -> str:
        return hmac.new(self.key, "\n".join((method, path, date, ttl_s)).encode(), hashlib.sha256).hexdigest()
