"""The supervisor with real processes: what it starts, restarts, stops and takes along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

import dummy_stack
from framehouse.config import ROOT, Settings, read_stack_file
from framehouse.stack import Command, Component, Supervisor, supervisor
from local_stack import clean_environment

pytestmark = [pytest.mark.real("processes"), pytest.mark.timeout(120)]
PATIENCE_S = 20.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def wait_for(what: Callable[[], Any], message: str = "") -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < deadline, message
        time.sleep(0.05)
    return found


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def state_of(settings: Settings) -> str:
    return str(read_stack_file(settings).get("state"))


def pids(settings: Settings) -> dict[str, int]:
    components = read_stack_file(settings).get("components", {})
    return {name: facts["pid"] for name, facts in components.items() if facts["state"] == "ready"}


@contextmanager
def in_thread(settings: Settings, parts: list[Component]) -> Iterator[Supervisor]:
    """A supervisor beside the test; its children belong to this process."""
    running = Supervisor(settings, parts, {})
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield running
    finally:
        running.stopping = True
        thread.join()


@contextmanager
def as_process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """dummy_stack.py in a process of its own."""
    path = os.pathsep.join([str(ROOT), str(Path(dummy_stack.__file__).parent)])
    env = clean_environment(settings.home) | {"PYTHONPATH": path}
    with subprocess.Popen([sys.executable, dummy_stack.__file__, str(settings.home)], env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_command_has_its_output_in_its_log(settings: Settings) -> None:
    log_path = settings.log_dir / "a.log"
    command = Command([sys.executable, "-c", "import os; print(os.environ['X'], os.getpid())"], {"X": "ü 1"}, log_path)
    assert (command.pid, command.is_alive(), command.is_ready()) == (None, False, False)
    command.stop(1.0)  # nothing to stop
    command.start()
    wait_for(lambda: not command.is_alive())
    assert log_path.read_text() == f"ü 1 {command.pid}\n"


def test_a_command_that_does_not_listen_is_killed(settings: Settings) -> None:
    command = Command([sys.executable, "-c", dummy_stack.STUBBORN], {}, settings.log_dir / "a.log")
    command.start()
    time.sleep(0.3)
    began = time.monotonic()
    command.stop(0.5)
    assert not command.is_alive()
    assert time.monotonic() - began < 5


def test_ready_waits_for_the_word_of_the_process_also_after_a_restart(settings: Settings) -> None:
    with in_thread(settings, [dummy_stack.speaker(settings)]) as running:
        (speaker,) = running.components
        first = wait_for(lambda: speaker.state == "ready" and speaker.process.pid)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: speaker.restarts == 1 and speaker.state == "starting")
        assert not speaker.process.is_ready()
        second = wait_for(lambda: speaker.state == "ready" and speaker.process.pid)
        assert second != first
    assert not is_alive(second)


def test_what_waits_starts_when_the_other_is_ready(settings: Settings) -> None:
    parts = [dummy_stack.dummy(settings, "after", dummy_stack.SLEEP, after="speaker"), dummy_stack.speaker(settings)]
    with in_thread(settings, parts) as running:
        after, speaker = running.components
        wait_for(lambda: speaker.state == "starting")
        assert after.state == "waiting"
        wait_for(lambda: running.state == "ready")
        assert after.started_at >= speaker.started_at + 0.3


def test_a_part_that_keeps_dying_fails_the_start_by_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_READY_LIMIT_S", 2.0)
    never = Command([sys.executable, "-c", "raise SystemExit(3)"], {}, settings.log_dir / "never.log", lambda _: False)
    parts = [dummy_stack.dummy(settings, "good", dummy_stack.SLEEP), Component("never", never)]
    assert Supervisor(settings, parts, {}).run() == 1
    facts = read_stack_file(settings)
    assert facts["state"] == "failed"
    assert facts["error"].endswith(": never")
    assert facts["components"]["never"]["restarts"] >= 2
    assert not is_alive(facts["components"]["good"]["pid"])


def test_sigterm_stops_all_and_leaves_no_file(settings: Settings) -> None:
    with as_process(settings) as process:
        wait_for(lambda: state_of(settings) == "ready")
        children = pids(settings)
        assert len(children) == 3
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
    assert not [pid for pid in children.values() if is_alive(pid)]
    assert read_stack_file(settings) == {}


def test_a_killed_supervisor_leaves_no_children_and_the_next_one_starts(settings: Settings) -> None:
    with as_process(settings) as process:
        wait_for(lambda: state_of(settings) == "ready")
        children = pids(settings)
        process.kill()
        process.wait()
    assert len(children) == 3
    wait_for(lambda: not [pid for pid in children.values() if is_alive(pid)], f"left behind: {children}")
    with as_process(settings):
        wait_for(lambda: state_of(settings) == "ready" and pids(settings) != children)


def test_a_second_supervisor_leaves_the_first_alone(settings: Settings) -> None:
    with as_process(settings) as process:
        wait_for(lambda: state_of(settings) == "ready")
        before = read_stack_file(settings)
        with as_process(settings) as second:
            assert second.wait(PATIENCE_S) != 0
        assert read_stack_file(settings) == before
        assert process.poll() is None


@pytest.fixture
def bare_wheel(tmp_path: Path) -> Path:
    """A folder that holds the package alone, as site-packages does."""
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "framehouse").symlink_to(ROOT / "framehouse")
    return site


@pytest.mark.parametrize("words", [["-m", "framehouse.cli.main", "up"], ["-m", "framehouse.stack"]])
def test_up_from_the_bare_wheel_is_one_line(bare_wheel: Path, tmp_path: Path, words: list[str]) -> None:
    script = (
        "import pathlib, runpy, sys, framehouse.config as c; "
        f"c.ROOT = pathlib.Path({str(bare_wheel)!r}); sys.argv = {words[1:]!r}; "
        f"runpy.run_module({words[1]!r}, run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=clean_environment(tmp_path / "home"), capture_output=True, text=True,
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert done.stderr.startswith("config.bare_wheel: ")
    assert "pip install -e ." in done.stderr


def test_a_supervisor_that_cannot_start_is_told_at_once(tmp_path: Path) -> None:
    """`up` asks the dead supervisor's log instead of waiting for it."""
    empty = tmp_path / "models"
    home = tmp_path / "home"
    env = clean_environment(home) | {
        "FRAMEHOUSE_TRITON__URL": "127.0.0.1:1",
        "FRAMEHOUSE_PREFECT__API_URL": "http://127.0.0.1:1/api",
        "FRAMEHOUSE_DASK__SCHEDULER_ADDRESS": "tcp://127.0.0.1:1",
    }
    empty.mkdir()
    (home / "state").mkdir(parents=True)
    with (home / "state" / ".stack.lock").open("w") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)  # a supervisor that has not written its file yet
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "framehouse.cli.main", "up"], env=env, capture_output=True, text=True
        )
    assert time.monotonic() - began < 15
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1].startswith("job.stack_failed: config.stack_runs: a stack runs already")
