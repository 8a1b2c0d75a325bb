"""The Triton server's own Python environment, `.venv-triton`.

It is apart from the application's because Triton's python backend needs numpy 1: with numpy 2 it hands over wrong
numbers without an error. `python -m framehouse.inference.server_env` builds it; so does the first start of a server.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from framehouse.errors import ConfigError

log = structlog.get_logger(__name__)

ENV_NAME = ".venv-triton"
_STAMP_NAME = "framehouse-stamp"
_OLDEST_GLIBC = (2, 35)
_LIBRARY_DIRS = ("/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")
_REMOTE_HINT = "or name a Triton server elsewhere: FRAMEHOUSE_TRITON__URL=host:8001"


def ensure_server_env(root: Path) -> Path:
    """The Python of `<root>/.venv-triton`, built when it is missing, half built, or older than its requirements.

    Only one process builds; others wait for it.

    Args:
        root: the checkout, which holds requirements/triton.txt.

    Raises:
        ConfigError: this platform has no packaged server (`config.triton_platform`), the root is no checkout
            (`config.bare_wheel`), the packages cannot be installed (`config.triton_env`), or numpy there is not 1
            (`triton.numpy`).
    """
    check_platform()
    requirements = root / "requirements" / "triton.txt"
    if not requirements.is_file():
        raise ConfigError(
            f"no {requirements}: the embedded Triton server needs the repository",
            code="config.bare_wheel",
            hint=f"clone the repository, {_REMOTE_HINT}",
        )
    env, stamp = root / ENV_NAME, _stamp(requirements)
    if not _is_current(env, stamp):
        with _locked(requirements):
            if not _is_current(env, stamp):
                _build(env, requirements)
                (env / _STAMP_NAME).write_text(stamp)
    check_numpy(env)
    return _python(env)


def site_packages(python: Path) -> Path:
    """Where an environment's packages lie, from its python's path; it has the version of this interpreter."""
    return python.parent.parent / "lib" / f"python{_version()}" / "site-packages"


def check_platform() -> None:
    """Refuse a machine for which no server is packaged.

    Raises:
        ConfigError: not Linux on x86-64 with glibc 2.35 or later, or no shared libpython for the server to load.
    """
    library, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2]) if library == "glibc" else (0, 0)
    if sys.platform != "linux" or platform.machine() != "x86_64" or numbers < _OLDEST_GLIBC:
        here = f"{sys.platform} {platform.machine()} {library or 'without glibc'} {version}".strip()
        raise ConfigError(
            f"no embedded Triton server for {here}: it needs Linux x86-64 with glibc 2.35 or later",
            code="config.triton_platform",
            hint=_REMOTE_HINT.removeprefix("or "),
        )
    python_library_dir()


def python_library_dir() -> Path:
    """Folder of the shared libpython that the server's python backend loads.

    Raises:
        ConfigError: this Python was installed without it.
    """
    name = f"libpython{_version()}.so.1.0"
    for folder in (sysconfig.get_config_var("LIBDIR") or "", *_LIBRARY_DIRS):
        if folder and (Path(folder) / name).exists():
            return Path(folder)
    raise ConfigError(
        f"this Python has no shared library {name}, which the embedded Triton server loads",
        code="config.triton_platform",
        hint=f"install it (Debian: apt install libpython{_version()}), use a Python that has it, {_REMOTE_HINT}",
    )


def check_numpy(env: Path) -> None:
    """Refuse an environment whose numpy corrupts tensors.

    Raises:
        ConfigError: code `triton.numpy`.
    """
    folder = site_packages(_python(env))
    versions = [found.version for found in importlib.metadata.distributions(name="numpy", path=[str(folder)])]
    if not versions or any(not version.startswith("1.") for version in versions):
        found = " and ".join(versions) or "missing"
        raise ConfigError(
            f"numpy in {env} is {found}; with numpy 2 Triton's python backend gives wrong numbers without an error",
            code="triton.numpy",
            hint=f"delete {env}; it is built again at the next start",
        )


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _python(env: Path) -> Path:
    return env / "bin" / "python"


def _stamp(requirements: Path) -> str:
    """What an environment was built from: the requirements and the Python."""
    content = requirements.read_bytes() + f"\n{sys.version}".encode()
    return hashlib.sha256(content).hexdigest()


def _is_current(env: Path, stamp: str) -> bool:
    written = env / _STAMP_NAME
    return written.is_file() and written.read_text() == stamp and _python(env).exists()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """An OS lock on a file, freed by any death."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(env: Path, requirements: Path) -> None:
    log.info("building the triton environment", path=str(env))
    shutil.rmtree(env, ignore_errors=True)
    uv = _working_uv()
    if uv is None:
        _install([sys.executable, "-m", "venv", str(env)])
        pip = [str(_python(env)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    else:
        _install([uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(env)])
        pip = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(_python(env))]
    _install([*pip, "--no-deps", "-r", str(requirements)])


def _working_uv() -> str | None:
    """uv, if it runs: a version manager may leave a stand-in that does not."""
    uv = shutil.which("uv")
    if uv is None or subprocess.run([uv, "--version"], capture_output=True, check=False).returncode != 0:
        return None
    return uv


def _install(command: list[str]) -> None:
    """Run one step of the installation.

    Raises:
        ConfigError: it failed; the message ends in what it said last.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise ConfigError(
            f"the Triton server's environment cannot be installed: {said[-1] if said else done.returncode}",
            code="config.triton_env",
            hint=f"a package index must be reachable once; {_REMOTE_HINT}",
        )


def main() -> int:
    """Build the environment of this checkout; prints its Python."""
    try:
        python = ensure_server_env(Path.cwd())
    except ConfigError as error:
        print(error.line(), file=sys.stderr)
        return 1
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
