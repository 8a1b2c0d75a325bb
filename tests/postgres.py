"""A throwaway PostgreSQL server on a free loopback port, for tests."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

READY_TIMEOUT_S = 30.0
_PR_SET_PDEATHSIG = 1


class PostgresMissing(Exception):
    """Why no server can be started here."""


def free_port() -> int:
    """A TCP port of the loopback address that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres_server() -> Iterator[Callable[[], str]]:
    """Start a server; yield a function that makes an empty database and returns its SQLAlchemy URL (psycopg driver).

    Raises:
        PostgresMissing: the server programs, or a user who may run them, are not there.
    """
    programs, user = _programs(), _user()
    folder = Path(tempfile.mkdtemp(prefix="framehouse-pg-"))
    shutil.chown(folder, user)
    try:
        data, port = folder / "data", free_port()
        _run_initdb(programs, data, user)
        server = _start(programs, data, user, port)
        try:
            _wait_ready(server, port, folder / "log")
            yield _database_maker(port)
        finally:
            server.send_signal(signal.SIGINT)  # fast shutdown
            server.wait(READY_TIMEOUT_S)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Folder of initdb and postgres: Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise PostgresMissing("no PostgreSQL server programs (Debian: apt-get install postgresql)")
    return (found[-1] if found else Path(str(on_path))).parent


def _user() -> str:
    """Who runs the server: it refuses to be root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise PostgresMissing("running as root and there is no user `postgres` to start the server as") from None


def _as_user(user: str) -> dict[str, object]:
    """Arguments of subprocess that change the user; nothing when it is ours already."""
    if os.geteuid() != 0:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _run_initdb(programs: Path, data: Path, user: str) -> None:
    command = [programs / "initdb", "-D", data, "-U", "framehouse", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=data.parent, **_as_user(user))
    if done.returncode != 0:
        raise PostgresMissing(f"initdb failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")


def _start(programs: Path, data: Path, user: str, port: int) -> subprocess.Popen[bytes]:
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with (data.parent / "log").open("wb") as log:
        return subprocess.Popen(
            [programs / "postgres", "-D", data, *settings],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=data.parent,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - the run has one thread when it starts the server
            **_as_user(user),
        )


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _wait_ready(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not _answers(port):
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def _answers(port: int) -> bool:
    try:
        psycopg.connect(_conninfo(port, "postgres")).close()
    except psycopg.OperationalError:
        return False
    return True


def _database_maker(port: int) -> Callable[[], str]:
    names = (f"test_{number}" for number in range(1_000_000))

    def new_database() -> str:
        name = next(names)
        with psycopg.connect(_conninfo(port, "postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://framehouse@127.0.0.1:{port}/{name}"

    return new_database


def _conninfo(port: int, name: str) -> str:
    return f"host=127.0.0.1 port={port} user=framehouse dbname={name} connect_timeout=5"
