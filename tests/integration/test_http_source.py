from __future__ import annotations

import datetime
import hashlib
import random
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from framehouse.errors import FramehouseError, SourceError, SourceForbidden, SourceNotFound, SourceUnavailable
from framehouse.storage import http, partfile
from framehouse.storage.addresses import checked_addresses
from framehouse.storage.base import LocalVideo, SourceLimits
from framehouse.storage.http import HttpSource
from httpserver import Site, serve

CONTENT = random.Random(2).randbytes(3_000_000)
SUM = hashlib.sha256(CONTENT).hexdigest()
LIMITS = SourceLimits(allow_private=True, stall_timeout_s=3.0)


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(CONTENT) as site:
        yield site


def fetch(site: Site, dest: Path, limits: SourceLimits = LIMITS, query: str = "?sig=secret") -> LocalVideo:
    return HttpSource(site.url() + query, limits).fetch(dest)


def failure(site: Site, dest: Path, limits: SourceLimits = LIMITS) -> FramehouseError:
    with capture_logs() as logs, pytest.raises(FramehouseError) as caught:
        fetch(site, dest, limits)
    assert "secret" not in caught.value.line() + repr(caught.value.facts) + repr(logs)
    assert "\n" not in caught.value.line()
    return caught.value


def left(dest: Path) -> list[str]:
    return sorted(path.name for path in dest.iterdir()) if dest.exists() else []


@pytest.mark.parametrize("mode", ["ok", "no_range", "no_validator", "chunked", "redirect", "early_end_once"])
def test_servers_that_give_the_file_in_the_end(site: Site, tmp_path: Path, mode: str) -> None:
    site.mode = mode
    video = fetch(site, tmp_path)
    assert (video.sha256, video.path.suffix, video.size_bytes) == (SUM, ".mp4", len(CONTENT))
    assert video.path.read_bytes() == CONTENT
    assert video.uri == site.url()
    assert not list(tmp_path.glob("*.part"))


def test_an_early_end_is_taken_up_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.mode = "early_end_once"
    assert fetch(site, tmp_path).n_fetched_bytes == len(CONTENT)
    assert [request.get("range") for request in site.requests] == [None, f"bytes={len(CONTENT) // 2}-"]
    assert site.requests[1]["if-range"] == '"one"'


def test_early_ends_without_headway_give_up_and_keep_what_came(site: Site, tmp_path: Path) -> None:
    site.mode = "early_end_always"
    error = failure(site, tmp_path)
    assert isinstance(error, SourceUnavailable)
    assert error.facts["at_bytes"] == len(CONTENT) // 10
    site.mode = "ok"
    assert fetch(site, tmp_path).n_fetched_bytes == len(CONTENT) - len(CONTENT) // 10


@pytest.mark.parametrize("mode", ["changed_midway", "changed_midway_ignores_if_range"])
def test_a_file_that_changes_midway_is_never_mixed(site: Site, tmp_path: Path, mode: str) -> None:
    site.mode, site.next_content = mode, CONTENT[::-1]
    video = fetch(site, tmp_path)
    assert video.sha256 == hashlib.sha256(CONTENT[::-1]).hexdigest()
    assert video.path.read_bytes() == CONTENT[::-1]
    assert video.etag == '"two"'


def test_a_renewed_signature_resumes_and_reuses(site: Site, tmp_path: Path) -> None:
    site.mode = "early_end_always"
    failure(site, tmp_path)
    site.mode = "ok"
    assert fetch(site, tmp_path, query="?sig=other").n_fetched_bytes < len(CONTENT)
    assert fetch(site, tmp_path, query="?sig=third").n_fetched_bytes == 0


def test_a_length_that_is_wrong_is_no_video(site: Site, tmp_path: Path) -> None:
    site.mode = "wrong_length"
    assert failure(site, tmp_path).retryable
    assert not list(tmp_path.glob("v_*"))
    site.mode = "ok"
    assert fetch(site, tmp_path).sha256 == SUM


def test_a_stalled_server_is_given_up_and_resumed_later(site: Site, tmp_path: Path) -> None:
    site.mode = "stall"
    error = failure(site, tmp_path, replace(LIMITS, stall_timeout_s=0.2))
    assert (error.code, error.retryable) == ("source.stalled", True)
    site.mode = "ok"
    assert fetch(site, tmp_path).n_fetched_bytes == len(CONTENT) - len(CONTENT) // 2


def test_a_part_whose_process_died_before_it_was_named(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(partfile.PartFile, "finish", die)
        fetch(site, tmp_path)
    video = fetch(site, tmp_path)
    assert (video.n_fetched_bytes, video.sha256) == (0, SUM)


@pytest.mark.parametrize("damage", ["longer", "no sidecar", "torn sidecar"])
def test_a_part_that_cannot_be_trusted_is_begun_again(site: Site, tmp_path: Path, damage: str) -> None:
    site.mode = "early_end_always"
    failure(site, tmp_path)
    (part,), (sidecar,) = tmp_path.glob("*.part"), tmp_path.glob("*.json")
    if damage == "longer":
        part.write_bytes(CONTENT + b"more")
    elif damage == "no sidecar":
        sidecar.unlink()
    else:
        sidecar.write_bytes(sidecar.read_bytes()[:10])
    site.mode = "ok"
    assert fetch(site, tmp_path).sha256 == SUM


def test_a_finished_file_that_went_is_fetched_again(site: Site, tmp_path: Path) -> None:
    fetch(site, tmp_path).path.unlink()
    assert fetch(site, tmp_path).n_fetched_bytes == len(CONTENT)


def test_two_fetches_at_once_give_one_whole_file(site: Site, tmp_path: Path) -> None:
    videos: list[LocalVideo] = []
    threads = [threading.Thread(target=lambda: videos.append(fetch(site, tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {(video.path, video.sha256) for video in videos} == {(videos[0].path, SUM)}
    assert len(videos) == 4
    assert videos[0].path.read_bytes() == CONTENT
    assert sorted(video.n_fetched_bytes for video in videos) == [0, 0, 0, len(CONTENT)]


@pytest.mark.parametrize(
    ("mode", "raised", "code", "retryable"),
    [
        ("404", SourceNotFound, "source.not_found", False),
        ("410", SourceNotFound, "source.not_found", False),
        ("401", SourceForbidden, "source.forbidden", False),
        ("403", SourceForbidden, "source.forbidden", False),
        ("429", SourceUnavailable, "source.unavailable", True),
        ("503", SourceUnavailable, "source.unavailable", True),
        ("204", SourceError, "source.unexpected_answer", False),
        ("418", SourceError, "source.unexpected_answer", False),
        ("gzip", SourceError, "source.encoded", False),
        ("redirect_loop", SourceError, "source.too_many_redirects", False),
    ],
)
def test_answers_that_are_no_video(
    site: Site, tmp_path: Path, mode: str, raised: type[FramehouseError], code: str, retryable: bool
) -> None:
    site.mode = mode
    error = failure(site, tmp_path)
    assert (type(error), error.code, error.retryable) == (raised, code, retryable)
    assert f"127.0.0.1:{site.port}" in error.message
    assert left(tmp_path) == []


def _only_numbers(host: str, *_args: object, **_kwargs: object) -> list[str]:
    if host[0].isdigit():
        return [host]
    raise SourceNotFound(f"{host}: no such host", code="source.unknown_host")


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("file:///etc/passwd", "source.scheme"),
        ("ftp://h/v.mp4", "source.scheme"),
        ("//", "source.too_many_redirects"),
        ("http://h:port/", "source.bad_url"),
        ("http://xn--ls8h=.invalid/", "source.unknown_host"),
    ],
)
def test_redirects_to_no_place(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str, code: str
) -> None:
    site.mode, site.location = "redirect_to", location
    monkeypatch.setattr(http, "checked_addresses", _only_numbers)
    assert failure(site, tmp_path).code == code
    assert left(tmp_path) == []


def test_the_host_itself_is_guarded(site: Site, tmp_path: Path) -> None:
    assert failure(site, tmp_path, SourceLimits()).code == "source.private_address"
    assert site.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "127.1", "::1", "::ffff:7f00:1"])
def test_every_spelling_of_loopback_is_refused(host: str) -> None:
    with pytest.raises(SourceForbidden) as caught:
        checked_addresses(host, 80)
    assert caught.value.code == "source.private_address"
    assert checked_addresses(host, 80, allow_private=True)


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost.localdomain", "169.254.169.254", "[::1]"])
def test_each_redirect_is_guarded(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    resolve = socket.getaddrinfo

    def named(name: str, *args: object, **kwargs: object) -> object:
        return resolve("127.0.0.3" if name == "localhost.localdomain" else name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", named)
    limits = replace(LIMITS, allow_private=False, private_networks=("127.0.0.1/32",))
    assert fetch(site, tmp_path / "ok", limits).sha256 == SUM
    site.mode, site.location = "redirect_to", f"http://{host}:{site.port}/latest/meta-data?sig=secret"
    assert failure(site, tmp_path / "in", limits).code == "source.private_address"
    assert not any("meta-data" in request["path"] for request in site.requests)


@pytest.mark.parametrize(
    ("status", "reason", "query"),
    [
        (
            "403",
            b"<Code>AccessDenied</Code><Message>Request has expired</Message>",
            "X-Amz-Signature=abc&X-Amz-Expires=1",
        ),
        (
            "400",
            b"<Error><Code>ExpiredToken</Code></Error>",
            "X-Goog-Signature=abc&X-Goog-Expires=1&X-Goog-Credential=x%2Fy",
        ),
        ("403", b"<Code>AuthenticationFailed</Code>", "sv=2025-01-05&se=2020-01-01T00%3A00%3A00Z&sr=b&sig=abc%3D"),
    ],
    ids=["s3", "gcs", "azure"],
)
def test_an_expired_signature_names_the_host_and_hides_the_query(
    site: Site, tmp_path: Path, status: str, reason: bytes, query: str
) -> None:
    site.mode, site.reason = status, reason
    with pytest.raises(SourceForbidden) as caught:
        HttpSource(f"{site.url()}?{query}", LIMITS).fetch(tmp_path)
    error = caught.value
    assert error.code == "source.forbidden" and not error.retryable
    assert f"127.0.0.1:{site.port}" in error.message
    assert "abc" not in str(error) + error.line() + repr(error.facts)
    assert "expired" in error.hint
    assert site.requests[0]["path"].endswith(query), "the query goes out as it was given"


def test_the_checked_address_is_the_one_connected_to(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the second answer of the resolver must never be asked for."""
    answers = iter(["127.0.0.1"])
    resolve = socket.getaddrinfo

    def rebinding(host: str, port: int, *args: object, **kwargs: object) -> object:
        name = next(answers, "127.0.0.9") if host == "rebind.example" else host
        return resolve(name, port, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    limits = replace(LIMITS, allow_private=False, private_networks=("127.0.0.1/32",))
    assert HttpSource(site.url(host="rebind.example"), limits).fetch(tmp_path).sha256 == SUM
    assert site.requests[0]["host"] == f"rebind.example:{site.port}"


def test_the_next_address_is_tried_when_one_refuses(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "checked_addresses", lambda *_a, **_k: ["127.0.0.7", "127.0.0.1"])
    assert fetch(site, tmp_path).sha256 == SUM


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v.mp4"
        with pytest.raises(SourceUnavailable):
            HttpSource(url, LIMITS).fetch(tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("mode", ["ok", "chunked"])
def test_too_large_is_refused_and_leaves_nothing(site: Site, tmp_path: Path, mode: str) -> None:
    site.mode = mode
    assert failure(site, tmp_path, replace(LIMITS, max_bytes=1_000_000)).code == "source.too_large"
    assert left(tmp_path) == []
    assert fetch(site, tmp_path, replace(LIMITS, max_bytes=len(CONTENT))).sha256 == SUM


def test_a_limit_of_the_whole_time(site: Site, tmp_path: Path) -> None:
    assert failure(site, tmp_path, replace(LIMITS, total_timeout_s=0.0)).code == "source.too_slow"


def test_a_file_that_does_not_fit_is_not_begun(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10, 9, len(CONTENT) - 1))
    error = failure(site, tmp_path)
    assert (error.code, error.retryable) == ("source.disk_full", False)
    assert left(tmp_path) == []


def test_a_disk_that_fills_midway_gets_its_bytes_back(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = partfile._write_all

    def full_at_a_million(file: object, piece: bytes) -> None:
        if file.tell() > 1_000_000:  # type: ignore[attr-defined]
            raise OSError(28, "No space left on device")
        write(file, piece)  # type: ignore[arg-type]

    monkeypatch.setattr(partfile, "_write_all", full_at_a_million)
    assert failure(site, tmp_path).code == "source.disk_full"
    assert left(tmp_path) == []


def test_a_folder_that_cannot_be_written(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert failure(site, tmp_path / "file").code == "source.not_writable"


@pytest.mark.parametrize(
    "url", ["http://", "http:///v.mp4", "http://[::1/v.mp4", "http://host:99999/v.mp4", "http://a b/v"]
)
def test_urls_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(http, "checked_addresses", _only_numbers)
    with pytest.raises(FramehouseError) as caught:
        HttpSource(url, LIMITS).fetch(tmp_path)
    assert caught.value.code in ("source.bad_url", "source.scheme", "source.unknown_host")
    assert left(tmp_path) == []


def test_user_and_password_go_to_their_own_origin_only(site: Site, tmp_path: Path) -> None:
    site.mode, site.location = "redirect_to", f"http://localhost:{site.port}/v.mp4"
    url = site.url().replace("http://", "http://me:pw%20d@")
    video = HttpSource(url, LIMITS).fetch(tmp_path)
    assert [request.get("authorization") for request in site.requests] == ["Basic bWU6cHcgZA==", None]
    assert "me" not in video.uri.partition("/video")[0]


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    with serve(b"") as site:
        assert HttpSource(site.url(), LIMITS).stat().size_bytes == 0
        assert fetch(site, tmp_path).size_bytes == 0


def test_no_head_and_nothing_compressed_is_asked_for(site: Site, tmp_path: Path) -> None:
    HttpSource(site.url(), LIMITS).stat()
    fetch(site, tmp_path)
    assert [request["accept-encoding"] for request in site.requests] == ["identity", "identity"]
    assert site.requests[0]["range"] == "bytes=0-0"


def test_proxies_of_the_environment_do_not_go_round_the_guard(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert fetch(site, tmp_path).sha256 == SUM


def _certificate(folder: Path, name: str) -> Path:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(("host", "accepted"), [("videos.example", True), ("other.example", False)])
def test_tls_checks_the_name_although_the_number_is_dialled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, accepted: bool
) -> None:
    pem = _certificate(tmp_path, "videos.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    trusting = ssl.create_default_context(cafile=str(pem))
    monkeypatch.setattr(http, "_tls", lambda: trusting)
    monkeypatch.setattr(http, "checked_addresses", lambda *_a, **_k: ["127.0.0.1"])
    with serve(CONTENT, tls=context) as site:
        source = HttpSource(site.url(host=host).replace("http:", "https:"), LIMITS)
        if accepted:
            assert source.fetch(tmp_path / "in").sha256 == SUM
        else:
            with pytest.raises(SourceError) as caught:
                source.fetch(tmp_path / "in")
            assert caught.value.code == "source.tls"
    assert asked == [host]


def test_the_lock_is_freed_by_death(site: Site, tmp_path: Path) -> None:
    """A process killed in mid-download must not block the next one."""
    site.mode = "stall"
    program = (
        "import sys, pathlib; from framehouse.storage.http import HttpSource, SourceLimits;"
        "HttpSource(sys.argv[1], SourceLimits(allow_private=True)).fetch(pathlib.Path(sys.argv[2]))"
    )
    with subprocess.Popen([sys.executable, "-c", program, site.url(), str(tmp_path)]) as child:
        while not list(tmp_path.glob("*.json")):
            assert child.poll() is None
            time.sleep(0.01)
        child.kill()
    site.mode = "ok"
    assert fetch(site, tmp_path).sha256 == SUM
