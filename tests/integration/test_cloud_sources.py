"""Videos of clouds: prefixes, changing versions, expiring signatures, large objects and many, over real servers."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest

from cloud import CLOUDS, Cloud, connection_string, gcs_server, service_account
from framehouse.errors import FramehouseError, SourceError, SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.jobs.blocks import client_of_block
from framehouse.storage import objects
from framehouse.storage.base import LocalVideo, SourceLimits
from framehouse.storage.folder import LocalObjects
from framehouse.storage.object_source import ObjectSource
from framehouse.storage.objects import ObjectStore
from framehouse.storage.registry import Clients, expand_source, open_source
from framehouse.storage.uris import ObjectUri

CONTENT = random.Random(6).randbytes(3_000_000)
OTHER = CONTENT[::-1]
LIMITS = SourceLimits(allow_private=True, stall_timeout_s=5.0)


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest) -> Cloud:
    found: Cloud = request.getfixturevalue(f"{request.param}_cloud")
    return found


def sum_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def source_of(store: ObjectStore, key: str, limits: SourceLimits = LIMITS) -> ObjectSource:
    return ObjectSource(ObjectUri(store.uri, key), lambda: store, limits)


def clients(cloud: Cloud, store: ObjectStore) -> Clients:
    return Clients({store.uri: cloud.connect})


# ---------------------------------------------------------------- prefixes


def test_a_prefix_is_its_videos(cloud: Cloud) -> None:
    store = cloud.new_store()
    names = ["a b.mp4", "a#1.MOV", "deep/er/c.mkv", "notes.txt", ".hidden.mp4", ".trash/d.mp4", "e.mp4/", "é?.mp4"]
    for name in names:
        store.write(f"cam 1/{name}", name.encode())
    store.write("cam 10/f.mp4", b"f")
    found = [f"{store.uri}/cam 1/{name}" for name in ("a b.mp4", "a%231.MOV", "deep/er/c.mkv", "é%3F.mp4")]
    known = clients(cloud, store)
    for prefix in ("cam 1/", "cam 1"):
        assert sorted(expand_source(f"{store.uri}/{prefix}", LIMITS, known)) == sorted(found)
    assert len(expand_source(store.uri, LIMITS, known)) == len(found) + 1
    refs = {ref.uri: ref for ref in open_source(f"{store.uri}/cam 1/", LIMITS, known).list()}
    assert all(open_source(uri, LIMITS, known).stat() == refs[uri] for uri in found)
    for nothing in ("cam 2/", "cam 2"):
        with pytest.raises(SourceNotFound):
            expand_source(f"{store.uri}/{nothing}", LIMITS, known)
    with pytest.raises(SourceError) as caught:
        open_source(f"{store.uri}/cam 1/", LIMITS, known).stat()
    assert caught.value.code == "source.not_a_file"


def test_an_object_named_outright_may_have_any_name(cloud: Cloud, tmp_path: Path) -> None:
    store = cloud.new_store()
    store.write("blob", CONTENT)
    uri = f"{store.uri}/blob"
    assert expand_source(uri, LIMITS, clients(cloud, store)) == [uri]
    assert open_source(uri, LIMITS, clients(cloud, store)).fetch(tmp_path).sha256 == sum_of(CONTENT)


def test_a_list_in_a_store(cloud: Cloud) -> None:
    store = cloud.new_store()
    store.write("in/list.txt", f"# mine\nb c.mp4\nhttps://example.com/d.mp4?sig=1\n{store.uri}/e.mp4\n".encode())
    assert expand_source(f"list+{store.uri}/in/list.txt", LIMITS, clients(cloud, store)) == [
        f"{store.uri}/in/b c.mp4", "https://example.com/d.mp4?sig=1", f"{store.uri}/e.mp4",
    ]  # fmt: skip


# ---------------------------------------------------------------- versions


def at_half(act: object) -> object:
    """A progress that does something once, when half is here."""
    done = []

    def progress(n_bytes: int, _total: int | None) -> None:
        if n_bytes > len(CONTENT) // 2 and not done:
            done.append(True)
            act()  # type: ignore[operator]

    return progress


def test_changed_in_mid_download_starts_again(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "WINDOW_BYTES", 500_000)
    store = cloud.new_store()
    store.write("a.mp4", CONTENT)
    video = source_of(store, "a.mp4").fetch(tmp_path, at_half(lambda: store.write("a.mp4", OTHER)))  # type: ignore[arg-type]
    assert (video.sha256, video.etag) == (sum_of(OTHER), store.stat("a.mp4").etag)
    assert video.path.read_bytes() == OTHER
    assert len(OTHER) < video.n_fetched_bytes < 2 * len(OTHER)


def test_an_object_that_never_rests_is_given_up(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "WINDOW_BYTES", 500_000)
    store = cloud.new_store()
    store.write("a.mp4", CONTENT)

    def change(done: int, _total: int | None) -> None:
        if done == 500_000:
            store.write("a.mp4", random.randbytes(2_000_000))

    with pytest.raises(SourceUnavailable) as caught:
        source_of(store, "a.mp4").fetch(tmp_path, change)
    assert (caught.value.code, caught.value.retryable) == ("source.changed", True)


def test_deleted_in_mid_download(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "WINDOW_BYTES", 500_000)
    store = cloud.new_store()
    store.write("a.mp4", CONTENT)
    with pytest.raises(SourceNotFound):
        source_of(store, "a.mp4").fetch(tmp_path, at_half(lambda: store.delete("a.mp4")))  # type: ignore[arg-type]


def test_changed_between_two_fetches_is_not_resumed(cloud: Cloud, tmp_path: Path) -> None:
    store = cloud.new_store()
    store.write("a.mp4", CONTENT)

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source_of(store, "a.mp4").fetch(tmp_path, at_half(die))  # type: ignore[arg-type]
    store.write("a.mp4", OTHER)
    video = source_of(store, "a.mp4").fetch(tmp_path)
    assert (video.sha256, video.n_fetched_bytes) == (sum_of(OTHER), len(OTHER))


def test_other_bytes_than_the_checksum_says(cloud: Cloud, tmp_path: Path) -> None:
    store = cloud.new_store()
    store.write("a.mp4", CONTENT)

    class Lying:
        """The store, with a wrong sum."""

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def stat(self, key: str) -> objects.ObjectFacts:
            facts = store.stat(key)
            assert facts.checksum is not None
            assert facts.checksum.startswith("md5:")
            return replace(facts, checksum="md5:" + "0" * 32)

    with pytest.raises(SourceUnavailable) as caught:
        source_of(Lying(), "a.mp4").fetch(tmp_path)  # type: ignore[arg-type]
    assert caught.value.code == "source.checksum"
    assert not list(tmp_path.glob("v_*"))
    assert source_of(store, "a.mp4").fetch(tmp_path).sha256 == sum_of(CONTENT)


def test_composed_objects_of_google_have_a_crc32c(gs_cloud: Cloud, tmp_path: Path) -> None:
    import base64

    import google_crc32c

    store = gs_cloud.new_store()
    store.write("a.mp4", CONTENT)
    crc = google_crc32c.Checksum(CONTENT).digest()
    assert gs_cloud.connect().bucket(store.uri[5:]).get_blob("a.mp4").crc32c == base64.b64encode(crc).decode()

    class Composed:
        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def stat(self, key: str) -> objects.ObjectFacts:
            return replace(store.stat(key), checksum=f"crc32c:{crc.hex()}")

    assert source_of(Composed(), "a.mp4").fetch(tmp_path).sha256 == sum_of(CONTENT)  # type: ignore[arg-type]


def test_limits(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = cloud.new_store()
    store.write("a.mp4", CONTENT)
    with pytest.raises(SourceError) as caught:
        source_of(store, "a.mp4", replace(LIMITS, max_bytes=1000)).fetch(tmp_path)
    assert caught.value.code == "source.too_large"
    monkeypatch.setattr("shutil.disk_usage", lambda _path: os.terminal_size((0, 0)) and type("U", (), {"free": 10}))
    with pytest.raises(SourceError) as caught:
        source_of(store, "a.mp4").fetch(tmp_path)
    assert caught.value.code == "source.disk_full"
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- signatures


def signed_fetch(cloud: Cloud, store: ObjectStore, url: str, dest: Path, known: bool = True) -> LocalVideo:
    return open_source(url, LIMITS, clients(cloud, store) if known else Clients()).fetch(dest)


def test_an_expired_signature_is_renewed_once(cloud: Cloud, tmp_path: Path) -> None:
    store = cloud.new_store()
    store.write("in/Straße 1+#.mp4", CONTENT)
    url = store.sign_get("in/Straße 1+#.mp4", -60 if cloud.kind == "az" else 60)
    cloud.gate.open()
    if cloud.kind != "az":  # azurite itself refuses what has expired; the others look at no signature
        cloud.gate.refuse(cloud.refusal("forbidden"), 1)
    video = signed_fetch(cloud, store, url, tmp_path)
    assert video.sha256 == sum_of(CONTENT)
    assert len(cloud.gate.requests) == 2
    assert "ig=" not in video.uri
    assert b"ig=" not in b"".join(path.read_bytes() for path in tmp_path.glob("*.json"))


def test_a_renewed_signature_goes_on_where_the_old_one_stopped(cloud: Cloud, tmp_path: Path) -> None:
    store = cloud.new_store()
    store.write("a.mp4", CONTENT)
    url = store.sign_get("a.mp4", 600)

    def die() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_source(url, LIMITS).fetch(tmp_path, at_half(die))  # type: ignore[arg-type]
    cloud.gate.refuse(cloud.refusal("forbidden"), 1)
    video = signed_fetch(cloud, store, url, tmp_path)
    assert (video.sha256, video.n_fetched_bytes < len(CONTENT)) == (sum_of(CONTENT), True)


@pytest.mark.parametrize("known", [True, False])
def test_a_signature_that_cannot_be_renewed_names_the_host(cloud: Cloud, tmp_path: Path, known: bool) -> None:
    store = cloud.new_store()
    store.write("a.mp4", CONTENT)
    url = store.sign_get("a.mp4", 600)
    cloud.gate.open()
    cloud.gate.refuse(cloud.refusal("forbidden"))
    with pytest.raises(SourceForbidden) as caught:
        signed_fetch(cloud, store, url, tmp_path, known)
    assert caught.value.code == "source.forbidden"
    assert f"127.0.0.1:{cloud.gate.port}" in caught.value.message
    assert "?" not in caught.value.line()
    assert len(cloud.gate.requests) == (2 if known else 1)


# ---------------------------------------------------------------- large and many


@contextmanager
def growth_below(limit_bytes: int) -> Iterator[None]:
    """This process holds less than so much more memory than at the beginning, all the time."""
    process, over, peak = psutil.Process(), threading.Event(), [0]
    before = process.memory_info().rss

    def look() -> None:
        while not over.wait(0.05):
            peak[0] = max(peak[0], process.memory_info().rss - before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert peak[0] < limit_bytes


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 MB that hold no piece twice."""
    path, block = tmp_path_factory.mktemp("large") / "large.mp4", random.Random(7).randbytes(1_000_000 - 4)
    with path.open("wb") as file:
        for number in range(300):
            file.write(number.to_bytes(4, "big") + block)
    return path


def test_300_mb_up_and_down_in_flat_memory(cloud: Cloud, large_file: Path, tmp_path: Path) -> None:
    store = cloud.new_store()

    def die(done: int, _total: int | None) -> None:
        if done > 250_000_000:
            raise KeyboardInterrupt

    with growth_below(150_000_000):
        store.put("large.mp4", large_file)
        assert store.stat("large.mp4").size_bytes == 300_000_000
        tail = b"".join(store.open_range("large.mp4", 299_000_000))
        with pytest.raises(KeyboardInterrupt):
            source_of(store, "large.mp4").fetch(tmp_path, die)
        video = source_of(store, "large.mp4").fetch(tmp_path)
    assert int.from_bytes(tail[:4], "big") == 299
    assert video.n_fetched_bytes < 50_000_000
    with large_file.open("rb") as file:
        assert video.sha256 == hashlib.file_digest(file, "sha256").hexdigest()
    store.delete("large.mp4")


def many_of(store: ObjectStore, n_keys: int, delete: str | None) -> None:
    """List all, half by half, with one key deleted in mid-scan."""
    listing, half = store.list("many/"), f"many/{n_keys // 2:05d}.mp4"
    keys = []
    for facts in listing:
        keys.append(facts.key)
        if facts.key == half and delete is not None:
            store.delete(delete)
    expected = [f"many/{number:05d}.mp4" for number in range(n_keys)]
    left = [key for key in expected if key != delete]
    assert keys in (expected, left)  # a page that was read before may still name it
    assert [facts.key for facts in store.list("many/")] == left
    assert [facts.key for facts in store.list("many/", after=half)] == left[left.index(half) + 1 :]


def test_ten_thousand_keys_of_s3(s3_cloud: Cloud) -> None:
    store = s3_cloud.new_store()
    httpx.put(f"http://127.0.0.1:{s3_cloud.gate.backend}/_fill/{store.uri[5:]}/10000", timeout=120).raise_for_status()
    many_of(store, 10_000, "many/09999.mp4")
    assert 25 <= len(s3_cloud.gate.requests) <= 30  # pages, not keys
    first = next(iter(source_of(store, "many/").list()))
    assert first.uri == f"{store.uri}/many/00000.mp4"


@pytest.mark.real("fake-gcs-server")
def test_three_thousand_keys_of_google(tmp_path: Path) -> None:
    """Its fake takes a key in ever more slowly: 10,000 would be a minute."""
    folder = tmp_path / "data/bucket/many"
    folder.mkdir(parents=True)
    for number in range(3_000):
        (folder / f"{number:05d}.mp4").write_bytes(b"x")
    with gcs_server(tmp_path / "data") as cloud:
        many_of(cloud.store("bucket"), 3_000, "many/02999.mp4")
        assert 7 <= len(cloud.gate.requests) <= 12


def test_pages_of_azure(az_cloud: Cloud) -> None:
    store = az_cloud.new_store()
    for number in range(1_100):
        store.write(f"many/{number:05d}.mp4", b"x")
    az_cloud.gate.open()
    many_of(store, 1_100, "many/01099.mp4")
    assert len(az_cloud.gate.requests) <= 7


def test_ten_thousand_keys_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"{number:05d}.mp4").touch()
    many_of(LocalObjects(tmp_path), 10_000, "many/09999.mp4")


# ---------------------------------------------------------------- credentials


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_s3_bucket_block_opens_its_store(s3_cloud: Cloud, tmp_path: Path) -> None:
    from prefect_aws import AwsCredentials, S3Bucket
    from prefect_aws.client_parameters import AwsClientParameters

    store = s3_cloud.new_store()
    store.write("a.mp4", CONTENT)
    credentials = AwsCredentials(
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
        aws_client_parameters=AwsClientParameters(endpoint_url=s3_cloud.gate.url),
    )
    bucket = S3Bucket(bucket_name=store.uri[5:], credentials=credentials)
    for block in (bucket, credentials):
        known = Clients({store.uri: lambda block=block: client_of_block(block)})  # type: ignore[misc]
        assert open_source(f"{store.uri}/a.mp4", LIMITS, known).fetch(tmp_path).sha256 == sum_of(CONTENT)


def test_a_gcs_bucket_block_opens_its_store(gs_cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect_gcp import GcpCredentials
    from prefect_gcp.cloud_storage import GcsBucket

    store = gs_cloud.new_store()
    store.write("a.mp4", CONTENT)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gs_cloud.gate.url)
    credentials = GcpCredentials(service_account_info=service_account(gs_cloud.gate))
    bucket = GcsBucket(bucket=store.uri[5:], gcp_credentials=credentials)
    known = Clients({store.uri: lambda: client_of_block(bucket)})
    assert open_source(f"{store.uri}/a.mp4", LIMITS, known).fetch(tmp_path).sha256 == sum_of(CONTENT)


def test_an_azure_container_block_opens_its_store(az_cloud: Cloud, tmp_path: Path) -> None:
    from prefect_azure import AzureBlobStorageCredentials
    from prefect_azure.blob_storage import AzureBlobStorageContainer

    store = az_cloud.new_store()
    store.write("a.mp4", CONTENT)
    credentials = AzureBlobStorageCredentials(connection_string=connection_string(az_cloud.gate))
    container = AzureBlobStorageContainer(container_name=store.uri.rsplit("/", 1)[1], credentials=credentials)
    known = Clients({"az://devstoreaccount1": lambda: client_of_block(container)})
    assert open_source(f"{store.uri}/a.mp4", LIMITS, known).fetch(tmp_path).sha256 == sum_of(CONTENT)


def test_the_own_chain_of_each_sdk(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = cloud.new_store()
    store.write("a.mp4", CONTENT)
    environment = {
        "s3": {"AWS_ENDPOINT_URL": cloud.gate.url, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"},
        "gs": {"STORAGE_EMULATOR_HOST": cloud.gate.url},
        "az": {"AZURE_STORAGE_CONNECTION_STRING": connection_string(cloud.gate)},
    }
    for name, value in environment[cloud.kind].items():
        monkeypatch.setenv(name, value)
    assert open_source(f"{store.uri}/a.mp4", LIMITS).fetch(tmp_path).sha256 == sum_of(CONTENT)


@pytest.mark.parametrize("uri", ["s3://b/a.mp4", "gs://b/a.mp4"])
def test_no_credentials_anywhere(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("AWS_", "GOOGLE_", "STORAGE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(FramehouseError) as caught:
        open_source(uri).stat()
    assert (caught.value.code, type(caught.value)) == ("source.no_credentials", SourceForbidden)
    assert "\n" not in caught.value.line()
