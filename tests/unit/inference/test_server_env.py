"""What the server's environment refuses, and when it is built again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from framehouse.errors import ConfigError
from framehouse.inference import server_env
from framehouse.inference.server import TritonServer, find_models, self_test_fault
from framehouse.inference.server_env import check_numpy, check_platform, ensure_server_env, site_packages

GOOD_ANSWER = {
    "same_floats": [index * 0.5 - 7.0 for index in range(64)],
    "same_pixels": [(index * 37) % 256 for index in range(256)],
    "sums": [560.0, 32640.0],
}


def fake_env(env: Path, numpy: str = "1.26.4") -> None:
    """As much of an environment as is looked at."""
    python = env / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    folder = site_packages(python) / f"numpy-{numpy}.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: numpy\nVersion: {numpy}\n")


class FakeInstaller:
    """Stands for uv or pip: notes the commands, makes what they would make."""

    def __init__(self, env: Path, numpy: str = "1.26.4", fail: str = "") -> None:
        self.env, self.numpy, self.fail = env, numpy, fail
        self.uv_runs = True
        self.commands: list[list[str]] = []

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "--version" in command:
            return subprocess.CompletedProcess(command, int(not self.uv_runs), "", "")
        self.commands.append(command)
        if "venv" in command:
            fake_env(self.env, self.numpy)
        failed = bool(self.fail) and "install" in command
        return subprocess.CompletedProcess(command, int(failed), "", self.fail if failed else "")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "triton.txt").write_text("numpy==1.26.4\n")
    monkeypatch.setattr(server_env, "check_platform", lambda: None)
    return tmp_path


def install(monkeypatch: pytest.MonkeyPatch, root: Path, **faults: str) -> FakeInstaller:
    installer = FakeInstaller(root / ".venv-triton", **faults)
    monkeypatch.setattr(subprocess, "run", installer)
    return installer


@pytest.mark.parametrize(("uv", "runs"), [("/somewhere/uv", True), ("/somewhere/uv", False), (None, False)])
def test_it_is_built_once_and_again_when_the_requirements_change(
    root: Path, monkeypatch: pytest.MonkeyPatch, uv: str | None, *, runs: bool
) -> None:
    monkeypatch.setattr(server_env.shutil, "which", lambda _: uv)
    installer = install(monkeypatch, root)
    installer.uv_runs = runs
    python = ensure_server_env(root)
    assert python == root / ".venv-triton" / "bin" / "python"
    assert [command[0] == uv for command in installer.commands] == [runs, runs]
    assert {"--no-deps", "-r"} < set(installer.commands[1])
    ensure_server_env(root)
    assert len(installer.commands) == 2
    (root / "requirements" / "triton.txt").write_text("numpy==1.26.3\n")
    ensure_server_env(root)
    assert len(installer.commands) == 4


def test_a_half_built_environment_is_built_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, root, fail="first line\nno matching distribution\n")
    with pytest.raises(ConfigError, match="no matching distribution") as refused:
        ensure_server_env(root)
    assert refused.value.code == "config.triton_env"
    assert "FRAMEHOUSE_TRITON__URL" in refused.value.hint
    installer = install(monkeypatch, root)
    ensure_server_env(root)
    assert len(installer.commands) == 2


@pytest.mark.parametrize("version", ["2.0.0", "2.4.6", "10.1"])
def test_numpy_2_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    install(monkeypatch, root, numpy=version)
    with pytest.raises(ConfigError, match=version) as refused:
        ensure_server_env(root)
    assert refused.value.code == "triton.numpy"


def test_missing_numpy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        check_numpy(tmp_path)


def test_the_bare_wheel_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_env, "check_platform", lambda: None)
    with pytest.raises(ConfigError) as refused:
        ensure_server_env(tmp_path)
    assert refused.value.code == "config.bare_wheel"


@pytest.mark.parametrize(
    ("system", "machine", "libc"),
    [
        ("darwin", "x86_64", ("", "")),
        ("linux", "aarch64", ("glibc", "2.36")),
        ("linux", "x86_64", ("glibc", "2.31")),
        ("linux", "x86_64", ("", "")),
    ],
)
def test_other_platforms_are_told_about_the_url(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, libc: tuple[str, str]
) -> None:
    monkeypatch.setattr(server_env.sys, "platform", system)
    monkeypatch.setattr(server_env.platform, "machine", lambda: machine)
    monkeypatch.setattr(server_env.platform, "libc_ver", lambda: libc)
    with pytest.raises(ConfigError) as refused:
        check_platform()
    assert refused.value.code == "config.triton_platform"
    assert "FRAMEHOUSE_TRITON__URL" in refused.value.hint


def test_a_python_without_its_shared_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_env, "_LIBRARY_DIRS", ())
    monkeypatch.setattr(server_env.sysconfig, "get_config_var", lambda _: "/nowhere")
    with pytest.raises(ConfigError, match="libpython"):
        server_env.python_library_dir()


# ---------------------------------------------------------------- the server's own pure parts


def answer(**changed: object) -> dict[str, object]:
    return {"outputs": [{"name": name, "data": data} for name, data in (GOOD_ANSWER | changed).items()]}


def test_right_numbers_pass() -> None:
    assert self_test_fault(answer()) is None


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"same_pixels": [0] * 256}, "same_pixels"),
        ({"same_floats": []}, "same_floats"),
        ({"same_floats": None}, "same_floats"),
        ({"sums": [560.0, 32640.5]}, "sums"),
    ],
)
def test_wrong_numbers_are_named(changed: dict[str, object], name: str) -> None:
    fault = self_test_fault(answer(**changed))
    assert fault is not None
    assert fault.startswith(name)
    assert self_test_fault({"error": "no"}) is not None


def test_models_are_found_by_their_configuration(tmp_path: Path) -> None:
    for name in ("one/selftest", "one/b", "two/a", "two/b"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").touch()
    (tmp_path / "one" / "notes").mkdir()
    assert find_models([tmp_path / "one"]) == ["b", "selftest"]
    with pytest.raises(ConfigError, match="two repositories: b"):
        find_models([tmp_path / "one", tmp_path / "two"])
    with pytest.raises(ConfigError, match="selftest"):
        find_models([tmp_path / "two"])


LOGS = [
    (
        "E1123 15:45:44.9 1 model_lifecycle.cc:642] \"failed to load 'nms' version 1: Internal: SyntaxError: (a.py)\"",
        "triton.model",
        "Triton cannot load the model nms: Internal: SyntaxError: (a.py)",
    ),
    (
        "E1 1 m.cc:642] \"failed to load 'nms' version 1: Internal: No module named x\\n\\nAt:\\n  a.py(7)\"",
        "triton.model",
        "Triton cannot load the model nms: Internal: No module named x",
    ),
    (
        "E1 1 m.cc:1460] \"Poll failed for model directory 'nms': failed to read text proto from a\"",
        "triton.model",
        "Triton cannot load the model nms: failed to read text proto from a",
    ),
    (
        "E1 1 main.cc:245] \"failed to start GRPC service: Unavailable - Socket '127.0.0.1:8001' already in use \"",
        "triton.port",
        "127.0.0.1:8001 is taken (GRPC)",
    ),
    (
        'E1 1 server.cc:241] "CudaDriverHelper has not been there."\nE1 1 m.cc:703] "Invalid argument: in ensemble"',
        "triton.start",
        "Triton ended while it was starting: Invalid argument: in ensemble",
    ),
    ("loading\nlibfoo.so: cannot open", "triton.start", "Triton ended while it was starting: libfoo.so: cannot open"),
    ("", "triton.start", "Triton ended while it was starting: nothing in its log"),
]


@pytest.mark.parametrize(("text", "code", "message"), LOGS)
def test_a_death_is_explained_in_one_line(tmp_path: Path, text: str, code: str, message: str) -> None:
    server = TritonServer(Path("python"), [], work_dir=tmp_path)
    server.log_path.write_text(text)
    cause = server.death_cause()
    assert (cause.code, cause.message) == (code, message)
