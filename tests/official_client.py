"""The `roboflow` package as published, in an environment of its own, run as its users run it: a script and API_URL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

NEWEST, OLDEST = "1.7.3", "1.1.33"
"""The pinned release, and the oldest one that still installs (those before it pin a withdrawn OpenCV)."""
_INSTALL_TIMEOUT_S = 600.0
_PREAMBLE = """
import json, sys, time, types, warnings
import roboflow.models.inference as inference
inference.time = types.SimpleNamespace(sleep=lambda seconds: time.sleep(0.3), time=time.time)  # else 60 s a poll
def give(value):
    print("GIVE " + json.dumps(value))
"""


class ClientMissing(Exception):
    """No environment with this release can be made; the text says why."""


def client_python(version: str, cache: Path, *more: str) -> Path:
    """Python of an environment that holds this release (and `more` packages), made once in the cache folder.

    Raises:
        ClientMissing: the registry does not give it.
    """
    env = cache / "-".join([f"roboflow-{version}", *(name.replace("==", "-") for name in more)])
    stamp = env / ".made"
    if not stamp.exists():
        shutil.rmtree(env, ignore_errors=True)
        uv = shutil.which("uv")
        if uv:
            _do(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(env))
            install = [uv, "pip", "install", "--quiet", "--python", str(env / "bin" / "python")]
        else:
            _do(sys.executable, "-m", "venv", str(env))
            install = [str(env / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _do(*install, f"roboflow=={version}", *more)
        stamp.touch()
    return env / "bin" / "python"


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S)
    if done.returncode != 0:
        raise ClientMissing((done.stderr.strip().splitlines() or ["no message"])[-1])


def run_script(python: Path, api_url: str, code: str, folder: Path, timeout_s: float = 180.0) -> list[Any]:
    """Run a user's script against a server; what it hands to `give()`, in order."""
    script = folder / "script.py"
    script.write_text(_PREAMBLE + code)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FRAMEHOUSE_", "ROBOFLOW_", "PYTHON"))}
    env = kept | {
        "API_URL": api_url, "NO_PROXY": "127.0.0.1", "HOME": str(folder), "MPLCONFIGDIR": str(folder),
        "ROBOFLOW_CONFIG_DIR": str(folder / "config.json"),
    }  # fmt: skip
    done = subprocess.run([str(python), str(script)], env=env, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return [json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("GIVE ")]
