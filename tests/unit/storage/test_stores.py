from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framehouse.errors import ConfigError, SourceUnavailable
from framehouse.storage.backoff import THROTTLED, Patience, error_of, patiently
from framehouse.storage.registry import Clients, is_offered, open_objects
from framehouse.storage.s3 import S3Objects, connect
from framehouse.storage.signed import is_signed, key_of

KNOWN = Clients({"s3://b": lambda: "b", "s3://": lambda: "all", "az://a": lambda: "a", "gs://own": None})


@pytest.mark.parametrize(
    ("store", "client"),
    [("s3://b", "b"), ("s3://bb", "all"), ("az://a/c", "a"), ("az://ab/c", None), ("gs://own", None), ("gs://x", None)],
)
def test_the_longest_name_wins(store: str, client: Any) -> None:
    assert KNOWN.client_of(store) == client


@pytest.mark.parametrize(
    ("uri", "offered"),
    [
        ("https://h/a.mp4", True), ("HTTP://h/a.mp4", True), ("s3://b/a.mp4", True), ("gs://own/a.mp4", True),
        ("az://a/c/k.mp4", True), ("gs://other/a.mp4", False), ("az://other/c/k.mp4", False), ("s3://b", False),
        ("s3://b/", False), ("s3://b/in/", False), ("s3://", False), ("/etc/passwd", False), ("https", False),
        ("file:///etc/passwd", False), ("list+https://h/l.txt", False), ("list+s3://b/l.txt", False), ("", False),
    ],
)  # fmt: skip
def test_what_a_stranger_may_name(uri: str, offered: bool) -> None:
    assert is_offered(uri, KNOWN) is offered
    assert not is_offered(uri, Clients()) or uri.lower().startswith("http")


def test_a_folder_is_a_store_too(tmp_path: Path) -> None:
    store, key = open_objects(str(tmp_path))
    assert (store.uri, key) == (f"file://{tmp_path}", "")
    with pytest.raises(ConfigError):
        open_objects("https://h/a")


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://b.s3.amazonaws.com/in/a%20b.mp4?X-Amz-Signature=1", "in/a b.mp4"),
        ("https://s3.amazonaws.com/b/in/a+b.mp4?Signature=1", "in/a+b.mp4"),
        ("https://b.s3.eu-west-1.amazonaws.com/a.mp4", "a.mp4"),
        ("https://s3.eu-west-1.amazonaws.com/b/a.mp4", "a.mp4"),
        ("https://c.s3.amazonaws.com/a.mp4", None),
        ("https://b.s3.amazonaws.com.evil.example/a.mp4", None),
        ("https://evil.example/b/a.mp4", None),
        ("https://b.s3.amazonaws.com/", None),
    ],
)
def test_which_object_a_url_means(url: str, key: str | None) -> None:
    import boto3

    store = S3Objects(connect(boto3.Session("k", "s", region_name="eu-west-1")), "b")
    assert key_of(store, url) == key
    assert is_signed(url) is ("ignature" in url)


def test_waits_double_and_end() -> None:
    waits: list[float] = []

    def busy() -> None:
        raise error_of(503, "s3://b/a", "SlowDown")

    with pytest.raises(SourceUnavailable) as caught:
        patiently(busy, Patience(n_tries=8, first_s=1, longest_s=16, total_s=1000, sleep=waits.append))
    assert caught.value.code == THROTTLED
    assert all(whole / 2 <= wait <= whole for wait, whole in zip(waits, (1, 2, 4, 8, 16, 16, 16), strict=True))


def test_no_wait_ends_behind_the_limit() -> None:
    waits: list[float] = []

    def busy() -> None:
        raise error_of(429, "gs://b/a", "rateLimitExceeded", retry_after="61")

    with pytest.raises(SourceUnavailable):
        patiently(busy, Patience(sleep=waits.append))
    assert waits == []
