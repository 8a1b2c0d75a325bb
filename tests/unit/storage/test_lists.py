from __future__ import annotations

import json
from pathlib import Path

import pytest

from framehouse.errors import SourceError, SourceNotFound
from framehouse.storage.base import VideoRef
from framehouse.storage.lists import ListSource
from framehouse.storage.registry import expand_source, open_source


def uris(where: str, text: str) -> list[str]:
    return [ref.uri for ref in ListSource(where, text.encode).list()]


@pytest.mark.parametrize(
    ("where", "text", "found"),
    [
        ("https://h/l/v.txt", "https://x/a.mp4?sig=1\r\n\n# no\n  b c.mp4 \n/d.mp4",
         ["https://x/a.mp4?sig=1", "https://h/l/b c.mp4", "https://h/d.mp4"]),
        ("https://h/l.txt?sig=s", "a.mp4", ["https://h/a.mp4"]),
        ("https://h/l.txt", "\ufeffa.mp4", ["https://h/a.mp4"]),
        ("https://h/l.json", '["a.mp4", "http://x/b.mp4"]', ["https://h/a.mp4", "http://x/b.mp4"]),
        ("https://h/l.json", ' {"videos": [{"url": "a.mp4"}, {"uri": "b.mp4"}]}', ["https://h/a.mp4", "https://h/b.mp4"]),
        ("file:///l/v.txt", "a b.mp4\n/x/c.mp4\ns3://b/k.mp4\nfile:///y.mp4",
         ["file:///l/a b.mp4", "file:///x/c.mp4", "s3://b/k.mp4", "file:///y.mp4"]),
        ("s3://b/l/v.txt", "a.mp4\ngs://c/k.mp4\nhttps://x/y.mp4", ["s3://b/l/a.mp4", "gs://c/k.mp4", "https://x/y.mp4"]),
        ("s3://b/v.txt", "a.mp4", ["s3://b/a.mp4"]),
    ],
)  # fmt: skip
def test_what_a_list_names(where: str, text: str, found: list[str]) -> None:
    assert uris(where, text) == found


def test_facts_that_a_list_knows() -> None:
    entry = {"uri": "https://x/a.mp4", "size_bytes": 5, "etag": '"e"', "modified_at": "2026-11-01T00:00:00+00:00"}
    (ref,) = ListSource("https://h/l.json", json.dumps([entry]).encode).list()
    assert ref == VideoRef("https://x/a.mp4", 5, "2026-11-01T00:00:00+00:00", '"e"')


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("https://h/l.txt", "file:///etc/passwd"),
        ("https://h/l.txt", "s3://bucket/a.mp4"),
        ("https://h/l.txt", "ftp://h/a.mp4"),
        ("s3://b/l.txt", "file:///etc/passwd"),
        ("https://h/l.json", "[1]"),
        ("https://h/l.json", '[{"size_bytes": 1}]'),
        ("https://h/l.json", '[{"uri": "a.mp4", "size_bytes": "1"}]'),
        ("https://h/l.json", '{"a": 1}'),
        ("https://h/l.json", "[" * 100_000),
        ("https://h/l.json", '["a'),
    ],
)
def test_what_no_list_may_name(where: str, text: str) -> None:
    with pytest.raises(SourceError) as caught:
        uris(where + "?sig=secret", text)
    assert caught.value.code == "source.bad_list"
    assert "secret" not in caught.value.line()


def test_bytes_that_are_no_text_and_an_empty_list() -> None:
    with pytest.raises(SourceError) as caught:
        ListSource("https://h/v.mp4", lambda: b"\x00\xff\xfe").list()
    assert caught.value.code == "source.bad_list"
    with pytest.raises(SourceNotFound):
        ListSource("https://h/v.txt", lambda: b"# nothing\n").list()


def test_a_list_on_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "list.txt").write_text("a.mp4\nsub/b.mp4\nhttps://x/c.mp4\n")
    monkeypatch.chdir(tmp_path)
    found = [f"file://{tmp_path}/a.mp4", f"file://{tmp_path}/sub/b.mp4", "https://x/c.mp4"]
    for argument in ("list+list.txt", f"list+{tmp_path}/list.txt", f"list+file://{tmp_path}/list.txt"):
        assert expand_source(argument) == found
    source = open_source("list+list.txt")
    assert source.uri == f"list+file://{tmp_path}/list.txt"
    with pytest.raises(SourceError):
        source.stat()
    with pytest.raises(SourceError):
        source.fetch(tmp_path)
    with pytest.raises(SourceError):
        open_source("list+list+x.txt")
