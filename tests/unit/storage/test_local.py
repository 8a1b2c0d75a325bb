from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from framehouse import ids
from framehouse.errors import ConfigError, SourceError, SourceNotFound, SourceUnavailable
from framehouse.storage.local import LocalSource, path_uri, uri_path
from framehouse.storage.registry import expand_source, expand_sources, open_source


def names(folder: Path) -> list[str]:
    return [uri_path(ref.uri).relative_to(folder).as_posix() for ref in LocalSource(folder).list()]


def test_a_folder_lists_its_videos_by_path_without_hidden_ones(tmp_path: Path) -> None:
    for name in ["b.mp4", "a/c.MKV", "a/.hidden.mp4", ".git/d.mp4", "notes.txt", "Straße 1/é ü.mov", "mp4"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.mp4").mkdir()
    assert names(tmp_path) == ["Straße 1/é ü.mov", "a/c.MKV", "b.mp4"]


def test_a_hidden_folder_named_outright_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / ".videos"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"x")
    assert names(folder) == ["a.mp4"]


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "v.mp4").write_bytes(b"x")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "self.mp4").symlink_to(tmp_path / "self.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "other.mp4").symlink_to(tmp_path / "a" / "v.mp4")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "w.mp4").write_bytes(b"x")
    (tmp_path / "out").symlink_to(outside)
    assert names(tmp_path) == ["a/v.mp4", "other.mp4", "out/w.mp4"]


@pytest.mark.parametrize("content", [[], ["notes.txt"], [".a.mp4"]])
def test_a_folder_without_videos(tmp_path: Path, content: list[str]) -> None:
    for name in content:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SourceNotFound) as caught:
        list(LocalSource(tmp_path).list())
    assert caught.value.code == "source.no_videos"
    assert ".mp4" in caught.value.hint


@pytest.mark.parametrize("act", ["stat", "fetch"])
def test_only_regular_files_are_videos(tmp_path: Path, act: str) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")  # opening it would wait for ever
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(str(tmp_path / "s.mp4"))
    bound.close()
    for path in [tmp_path, tmp_path / "pipe.mp4", tmp_path / "s.mp4"]:
        with pytest.raises(SourceError) as caught:
            LocalSource(path).stat() if act == "stat" else LocalSource(path).fetch(tmp_path)
        assert caught.value.code == "source.not_a_file"


@pytest.mark.parametrize("name", ["nul\0byte.mp4", "n" * 300 + ".mp4", "file.txt/v.mp4"])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_bytes(b"")
    with pytest.raises(SourceNotFound):
        LocalSource(tmp_path / name).stat()


def test_a_file_is_used_in_place(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"0123")
    video = LocalSource(path).fetch(tmp_path / "in")
    assert (video.path, video.n_fetched_bytes, video.sha256) == (path, 0, ids.content_sha256(path))
    assert not (tmp_path / "in").exists()


@pytest.mark.parametrize("change", ["append", "touch", "replace"])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, change: str) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"0123")

    def meddle(_done: int, _total: int | None) -> None:
        if change == "append":
            path.write_bytes(b"01234")
        elif change == "touch":
            os.utime(path, ns=(1, 1))
        else:
            (tmp_path / "new").write_bytes(b"9876")
            (tmp_path / "new").rename(path)

    with pytest.raises(SourceUnavailable) as caught:
        LocalSource(path).fetch(tmp_path, meddle)
    assert caught.value.code == "source.changed"
    assert caught.value.retryable


def test_a_name_that_is_not_utf8_survives_the_uri(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff%41.mp4"))
    path.write_bytes(b"x")
    uri = path_uri(path)
    assert uri.isprintable()
    assert uri_path(uri) == path
    assert [ref.uri for ref in LocalSource(tmp_path).list()] == [uri]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b%20c.mp4", "/a/b c.mp4"),
        ("file:///a/b c.mp4", "/a/b c.mp4"),
        ("FILE://localhost/a.mp4", "/a.mp4"),
        ("/a/100%25.mp4", "/a/100%25.mp4"),
    ],
)
def test_uri_path(uri: str, path: str) -> None:
    assert uri_path(uri) == Path(path)


def test_relative_and_home_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert open_source("v.mp4").uri == f"file://{tmp_path}/v.mp4"
    assert open_source("~/v.mp4").uri == "file:///home/me/v.mp4"


def test_a_file_uri_of_another_host() -> None:
    with pytest.raises(SourceNotFound, match="another host"):
        open_source("file://server/share/v.mp4")


@pytest.mark.parametrize("uri", ["nfs://b/k.mp4", "gcs://b/k.mp4", "ftp://h/v.mp4", "javascript://x"])
def test_schemes_that_are_not_served(uri: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_source(uri)
    assert caught.value.code == "config.source_scheme"
    assert caught.value.hint


def test_expand_sources_keeps_order_and_drops_doubles(tmp_path: Path) -> None:
    for name in ["b.mp4", "a.mp4"]:
        (tmp_path / name).write_bytes(b"x")
    here = f"file://{tmp_path}"
    url = "https://example.com/v.mp4?sig=1"
    assert expand_sources([url, str(tmp_path / "b.mp4"), str(tmp_path), str(tmp_path / "missing.mp4")]) == [
        url,
        f"{here}/b.mp4",
        f"{here}/a.mp4",
        f"{here}/missing.mp4",
    ]


@pytest.mark.parametrize(
    ("argument", "code"), [("", "config.source"), ("  ", "config.source"), ("nfs://x", "config.source_scheme")]
)
def test_expand_source_refuses(argument: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expand_source(argument)
    assert caught.value.code == code
