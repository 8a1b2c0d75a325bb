"""Signed URLs: what was signed passes, anything else does not."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from framehouse.api.signing import UrlSigner
from framehouse.errors import SourceForbidden

SIGNER = UrlSigner(b"k" * 32)
SIGNED = SIGNER.sign("PUT", "/uploads/u_1/a b.mp4", ttl_s=60, now_s=1000.0)


def parts(url: str) -> tuple[str, dict[str, str]]:
    found = urlsplit(url)
    return found.path, dict(parse_qsl(found.query))


def test_what_was_signed_passes_until_it_expires() -> None:
    path, query = parts(SIGNED)
    SIGNER.verify("PUT", path, query, now_s=1000.0)
    SIGNER.verify("PUT", path, query, now_s=1060.0)
    with pytest.raises(SourceForbidden) as refused:
        SIGNER.verify("PUT", path, query, now_s=1061.0)
    assert refused.value.code == "source.signature_expired"


def test_the_official_client_finds_the_expiry() -> None:
    assert SIGNED.split("&X-Goog-Expires=")[1].split("&")[0] == "60"


def tampered(name: str, value: str | None) -> dict[str, str]:
    query = parts(SIGNED)[1]
    return {k: v for k, v in query.items() if k != name} | ({} if value is None else {name: value})


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/uploads/u_1/a b.mp4", parts(SIGNED)[1]),
        ("PUT", "/uploads/u_2/a b.mp4", parts(SIGNED)[1]),
        *[
            ("PUT", "/uploads/u_1/a b.mp4", tampered(name, value))
            for name in ("X-Goog-Algorithm", "X-Goog-Date", "X-Goog-Expires", "X-Goog-Signature")
            for value in (None, "", "9999999999", "nan", "é")
        ],
        ("PUT", "/uploads/u_1/a b.mp4", {}),
    ],
)
def test_anything_else_is_refused(method: str, path: str, query: dict[str, str]) -> None:
    with pytest.raises(SourceForbidden) as refused:
        SIGNER.verify(method, path, query, now_s=1000.0)
    assert refused.value.code == "source.signature"


def test_another_installation_signs_otherwise() -> None:
    with pytest.raises(SourceForbidden):
        UrlSigner(b"x" * 32).verify("PUT", *parts(SIGNED), now_s=1000.0)


def test_the_key_is_made_once_by_whoever_is_first_and_is_private(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        signers = set(pool.map(UrlSigner.of, [tmp_path / "state"] * 16))
    assert len(signers) == 1
    (key_file,) = (tmp_path / "state").iterdir()
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert UrlSigner.of(tmp_path / "state") in signers
