"""What every object store must do, over real servers: moto, fake-gcs-server, azurite, and a folder.

A new store adds a fixture and a line in `STORES`; nothing else.
"""

from __future__ import annotations

import http.client
import random
import stat
import urllib.parse
from pathlib import Path

import pytest

from cloud import CLOUDS, Cloud, md5_text
from framehouse.errors import ConfigError, SourceError, SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.storage import objects
from framehouse.storage.folder import LocalObjects
from framehouse.storage.objects import ObjectStore

CONTENT = random.Random(3).randbytes(2_500_001)
KEYS = [
    "a-b.mp4", "a.mp4", "a/b.mp4", "a/b/c.mp4", "a0.mp4", "b c/d e.mp4", "per%20cent%.mp4", "plus+&=;,:@.mp4",
    "quest?ion#hash.mp4", "Z.mp4", "z/Straße 夏 é.mp4", "z/~tilde'(1)*!.mp4", "ümlaut.mp4", "𝔘.mp4",
]  # fmt: skip


class Folder:
    """A folder behaves like a cloud without a gate."""

    kind = "local"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new_store(self) -> ObjectStore:
        self.folder.mkdir()
        return LocalObjects(self.folder)


@pytest.fixture(params=["local", *CLOUDS])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "local":
        return Folder(tmp_path / "objects").new_store()
    made: ObjectStore = request.getfixturevalue(f"{request.param}_cloud").new_store()
    return made


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    found: Cloud = request.getfixturevalue(f"{request.param}_cloud")
    return found


def keys(store: ObjectStore, prefix: str = "", after: str = "") -> list[str]:
    return [facts.key for facts in store.list(prefix, after=after)]


@pytest.mark.parametrize("content", [b"", b"x", CONTENT], ids=["empty", "one", "many"])
def test_what_is_written_is_read(store: ObjectStore, content: bytes) -> None:
    store.write("a/b.bin", content)
    assert store.read("a/b.bin") == content
    facts = store.stat("a/b.bin")
    assert (facts.key, facts.size_bytes) == ("a/b.bin", len(content))
    assert facts.modified_at is not None
    assert facts.modified_at.endswith("+00:00")
    assert facts.checksum in (None, md5_text(content))
    (listed,) = store.list()
    assert (listed.key, listed.size_bytes, listed.etag) == (facts.key, facts.size_bytes, facts.etag)
    assert b"".join(store.open_range("a/b.bin")) == content


@pytest.mark.parametrize("start", [0, 1, 1_048_576, 2_500_000, 2_500_001, 9_999_999])
def test_ranges(store: ObjectStore, start: int) -> None:
    store.write("a.bin", CONTENT)
    got = list(store.open_range("a.bin", start, etag=store.stat("a.bin").etag))
    assert b"".join(got) == CONTENT[start:]
    assert all(0 < len(piece) <= objects.PIECE_BYTES for piece in got)


def test_a_range_over_several_windows(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "WINDOW_BYTES", 500_000)
    store.write("a.bin", CONTENT[:2_000_000])  # ends with a window
    assert b"".join(store.open_range("a.bin", 7)) == CONTENT[7:2_000_000]


def test_keys_of_any_script_in_the_order_of_their_bytes(store: ObjectStore) -> None:
    for key in random.Random(4).sample(KEYS, len(KEYS)):
        store.write(key, key.encode())
    in_order = sorted(KEYS, key=lambda key: key.encode())
    assert keys(store) == in_order
    assert all(store.read(key) == key.encode() for key in KEYS)
    assert all(b"".join(store.open_range(key, 1)) == key.encode()[1:] for key in KEYS)
    assert all(store.stat(key).key == key for key in KEYS)
    for at, key in enumerate(in_order):
        assert keys(store, after=key) == in_order[at + 1 :]
    for prefix in ("a", "a/", "a/b", "b c/d", "z/", "none", "per%20"):
        assert keys(store, prefix) == [key for key in in_order if key.startswith(prefix)]
    assert keys(store, "a/", after="a/b.mp4") == ["a/b/c.mp4"]
    assert keys(store, "a", after="a/zzz") == ["a0.mp4"]
    for key in KEYS:
        store.delete(key)
    assert keys(store) == []


def test_writing_again_replaces_and_changes_the_etag(store: ObjectStore) -> None:
    store.write("a.bin", b"one")
    first = store.stat("a.bin").etag
    store.write("a.bin", b"two")
    assert store.read("a.bin") == b"two"
    assert store.stat("a.bin").etag != first or first is None


@pytest.mark.parametrize("size", [0, 5, 17 * 1024 * 1024 + 3], ids=["empty", "small", "pieces"])
def test_put_stores_a_file_of_any_size(store: ObjectStore, tmp_path: Path, size: int) -> None:
    file = tmp_path / "file.bin"
    content = random.Random(5).randbytes(size)
    file.write_bytes(content)
    store.put("in/file.bin", file)
    assert store.stat("in/file.bin").size_bytes == size
    assert b"".join(store.open_range("in/file.bin")) == content
    assert keys(store) == ["in/file.bin"]


def test_missing(store: ObjectStore, tmp_path: Path) -> None:
    for act in (store.stat, store.read, lambda key: list(store.open_range(key))):
        with pytest.raises(SourceNotFound) as caught:
            act("nothing here?.bin")
        assert "\n" not in caught.value.line()
    store.delete("nothing here.bin")
    with pytest.raises(SourceNotFound):
        store.put("a.bin", tmp_path / "no file")
    assert keys(store) == []


def test_deleted_while_it_is_listed(store: ObjectStore) -> None:
    for number in range(5):
        store.write(f"{number}.mp4", b"x")
    listing = store.list()
    assert next(listing).key == "0.mp4"
    store.delete("3.mp4")
    assert [facts.key for facts in listing][-1] == "4.mp4"
    with pytest.raises(SourceNotFound):
        store.stat("3.mp4")


def test_uri_names_the_store(store: ObjectStore) -> None:
    assert not store.uri.endswith("/")
    assert store.uri.startswith(("file:///", "s3://test-", "gs://test-", "az://devstoreaccount1/test-"))


# ---------------------------------------------------------------- clouds alone


def test_a_store_that_is_not_there(cloud: Cloud, tmp_path: Path) -> None:
    store = cloud.store("no-such-bucket-here")
    cloud.gate.open()
    with pytest.raises(SourceNotFound) as caught:
        keys(store)
    assert caught.value.code == "source.not_found"
    with pytest.raises(SourceNotFound):
        store.read("a")
    with pytest.raises(SourceNotFound):
        store.write("a", b"a")


def test_changed_between_two_windows(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "WINDOW_BYTES", 1000)
    store = cloud.new_store()
    store.write("a.bin", CONTENT[:5000])
    for etag in (store.stat("a.bin").etag, None):
        pieces = store.open_range("a.bin", etag=etag)
        assert next(pieces) == CONTENT[:1000]
        store.write("a.bin", CONTENT[5000:10_000])
        with pytest.raises(SourceUnavailable) as caught:
            next(pieces)
        assert caught.value.code == "source.changed"
        store.write("a.bin", CONTENT[:5000])
    pieces = store.open_range("a.bin", etag=store.stat("a.bin").etag)
    next(pieces)
    store.delete("a.bin")
    with pytest.raises(SourceNotFound):
        next(pieces)
    assert cloud.waits == []


def test_throttling_is_waited_out(cloud: Cloud, tmp_path: Path) -> None:
    store = cloud.new_store()
    acts = [
        lambda: store.write("a.bin", b"abc"),
        lambda: store.stat("a.bin"),
        lambda: store.read("a.bin"),
        lambda: list(store.open_range("a.bin")),
        lambda: keys(store),
        lambda: store.delete("a.bin"),
    ]
    for act in acts:
        cloud.waits.clear()
        cloud.gate.refuse(cloud.refusal("throttled"), 4)
        act()
        assert cloud.gate.n_refused == 0
        assert len(cloud.waits) == 4
        assert all(half <= wait_s <= 2 * half for wait_s, half in zip(cloud.waits, (0.25, 0.5, 1, 2), strict=True))


def test_throttling_without_end_is_given_up(cloud: Cloud) -> None:
    store = cloud.new_store()
    cloud.gate.refuse(cloud.refusal("throttled"))
    with pytest.raises(SourceUnavailable) as caught:
        store.read("a.bin")
    assert (caught.value.code, caught.value.retryable) == ("source.throttled", True)
    assert len(cloud.waits) == 6
    assert len(cloud.gate.requests) == 7
    assert store.uri in caught.value.message


def test_a_store_that_says_how_long_is_heeded(cloud: Cloud) -> None:
    store = cloud.new_store()
    store.write("a.bin", b"abc")
    refusal = cloud.refusal("throttled")
    refusal.headers["Retry-After"] = "9"
    cloud.gate.refuse(refusal, 1)
    assert store.read("a.bin") == b"abc"
    assert cloud.waits == [9.0]


def test_a_failing_store_is_asked_three_times(cloud: Cloud) -> None:
    store = cloud.new_store()
    cloud.gate.refuse(cloud.refusal("broken"), 2)
    assert keys(store) == []
    cloud.gate.refuse(cloud.refusal("broken"))
    with pytest.raises(SourceUnavailable):
        keys(store)


def test_no_permission_is_not_asked_again(cloud: Cloud) -> None:
    store = cloud.new_store()
    store.write("a.bin", b"abc")
    acts = [
        lambda: store.write("b.bin", b"abc"),
        lambda: store.stat("a.bin"),
        lambda: store.read("a.bin"),
        lambda: list(store.open_range("a.bin")),
        lambda: keys(store),
        lambda: store.delete("a.bin"),
    ]
    cloud.gate.refuse(cloud.refusal("forbidden"))
    for act in acts:
        cloud.gate.requests.clear()
        with pytest.raises(SourceForbidden) as caught:
            act()
        assert len(cloud.gate.requests) == 1
        assert "\n" not in caught.value.line()
    assert cloud.waits == []


def test_a_broken_connection_costs_one_window(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "WINDOW_BYTES", 500_000)
    store = cloud.new_store()
    store.write("a.bin", CONTENT)
    etag = store.stat("a.bin").etag
    cloud.gate.open()
    pieces = store.open_range("a.bin", etag=etag)
    got = [next(pieces)]
    cloud.gate.cut_bytes = 200_000
    got += pieces
    assert b"".join(got) == CONTENT
    assert len(cloud.waits) <= 1  # Azure's SDK takes a window up by itself
    assert cloud.gate.n_sent < len(CONTENT) + 500_000


def test_nobody_there(cloud: Cloud) -> None:
    store = cloud.new_store()
    backend, cloud.gate.backend = cloud.gate.backend, 1
    try:
        with pytest.raises(SourceUnavailable) as caught:
            store.read("a.bin")
    finally:
        cloud.gate.backend = backend
    assert "\n" not in caught.value.line()
    assert len(cloud.waits) == 2


def test_signed_urls_need_no_credentials(cloud: Cloud) -> None:
    store = cloud.new_store()
    key = "in/Straße 夏+%?#.mp4"
    assert _request("PUT", store.sign_put(key, 600), CONTENT) in (200, 201)
    assert store.read(key) == CONTENT
    assert _request("GET", store.sign_get(key, 600)) == 200
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(store.sign_get(key, 10**8)).query)
    life = query.get("X-Amz-Expires") or query.get("X-Goog-Expires") or ["604800"]
    assert life == ["604800"]


def test_azure_refuses_an_expired_and_a_forged_signature(az_cloud: Cloud) -> None:
    store = az_cloud.new_store()
    store.write("a.bin", b"abc")
    assert _request("GET", store.sign_get("a.bin", 60)) == 200
    assert _request("GET", store.sign_get("a.bin", -60)) == 403
    assert _request("GET", store.sign_get("a.bin", 60).replace("sp=r", "sp=rw")) == 403


def test_an_upload_that_fails_leaves_no_object_and_no_pieces(s3_cloud: Cloud, tmp_path: Path) -> None:
    store = s3_cloud.new_store()
    file = tmp_path / "file.bin"
    file.write_bytes(bytes(40 * 1024 * 1024))

    def refuse_second(_method: str, path: str) -> None:
        if "partNumber=2" in path:
            s3_cloud.gate.refuse(s3_cloud.refusal("forbidden"), 1)

    s3_cloud.gate.on_request = refuse_second
    with pytest.raises(SourceForbidden):
        store.put("a.bin", file)
    s3_cloud.gate.open()
    assert keys(store) == []
    bucket = store.uri.removeprefix("s3://")
    assert "Uploads" not in s3_cloud.connect().list_multipart_uploads(Bucket=bucket)


def _request(method: str, url: str, body: bytes | None = None) -> int:
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    headers = {"Content-Type": "video/mp4", "x-ms-blob-type": "BlockBlob"} if body is not None else {}
    connection.request(method, f"{parts.path}?{parts.query}", body, headers)
    with connection.getresponse() as response:
        response.read()
    connection.close()
    return response.status


# ---------------------------------------------------------------- folders alone


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../out", "a/../../out", "a//b", "a/", ".", "nul\0"])
def test_a_folder_is_never_left(tmp_path: Path, key: str) -> None:
    store = Folder(tmp_path / "objects").new_store()
    (tmp_path / "out").write_text("secret")
    with pytest.raises(SourceNotFound):
        store.read(key)
    with pytest.raises(SourceError):
        store.write(key, b"x")
    store.delete(key)
    assert (tmp_path / "out").read_text() == "secret"


def test_a_folder_hides_what_is_being_written_and_ends_loops(tmp_path: Path) -> None:
    store = Folder(tmp_path / "objects").new_store()
    store.write("a/b.bin", b"x")
    (tmp_path / "objects/a/loop").symlink_to(tmp_path / "objects/a", target_is_directory=True)
    (tmp_path / "objects/nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "objects/a/.c.bin.00.tmp").write_bytes(b"half")
    assert keys(store) == ["a/b.bin"]


def test_a_folder_signs_nothing_and_a_missing_one_is_said(tmp_path: Path) -> None:
    store = LocalObjects(tmp_path / "none")
    with pytest.raises(ConfigError):
        store.sign_get("a", 60)
    with pytest.raises(SourceNotFound):
        keys(store)
    store.write("a/b", b"x")
    assert keys(store) == ["a/b"]
    assert stat.S_IMODE((tmp_path / "none/a/b").stat().st_mode) & 0o600 == 0o600
