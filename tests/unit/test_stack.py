"""What the local stack is made of, and its supervisor's decisions, with processes that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from framehouse import config, readiness
from framehouse.cli import stack as cli_stack
from framehouse.config import (
    DaskSettings,
    PrefectSettings,
    Settings,
    StackSettings,
    TritonSettings,
    read_stack_file,
    require_checkout,
)
from framehouse.errors import ConfigError
from framehouse.readiness import forget_ready, ready_pids, say_ready
from framehouse.stack import Component, Supervisor, components, single_instance, supervisor
from framehouse.stack.components import plan_stack

PREFECT = PrefectSettings(api_url="http://10.0.0.1:4200/api")
TRITON = TritonSettings(url="10.0.0.2:8001")
DASK = DaskSettings(scheduler_address="tcp://10.0.0.3:8786")


class FakeProcess:
    """Lives, dies and gets ready as it is told."""

    def __init__(self, log: list[str], name: str, *, is_slow: bool = False) -> None:
        self._log, self._name = log, name
        self.alive, self.ready, self.pid = False, not is_slow, None

    def start(self) -> None:
        self._log.append(f"start {self._name}")
        self.alive = True

    def is_alive(self) -> bool:
        return self.alive

    def is_ready(self) -> bool:
        return self.alive and self.ready

    def stop(self, limit_s: float) -> None:
        assert 1.0 <= limit_s <= 8.0
        self._log.append(f"stop {self._name}")
        self.alive = False


class Clock:
    """Time that passes only while the supervisor sleeps; at each look something may happen."""

    def __init__(self, patch: pytest.MonkeyPatch, at: Callable[[int], None]) -> None:
        self.now_s, self.n_looks, self._at = 1000.0, 0, at
        patch.setattr(supervisor, "time", SimpleNamespace(monotonic=lambda: self.now_s, sleep=self._sleep))

    def _sleep(self, seconds: float) -> None:
        self.now_s += seconds
        self.n_looks += 1
        self._at(self.n_looks)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def names(found: Supervisor) -> list[str]:
    return [component.name for component in found.components]


# ---------------------------------------------------------------- what runs here


@pytest.mark.parametrize(
    ("elsewhere", "here", "endpoints"),
    [
        (
            {"prefect": PREFECT, "triton": TRITON, "dask": DASK},
            ["loader", "runner", "api"],
            {"prefect_api_url": PREFECT.api_url, "triton_url": TRITON.url, "dask_address": DASK.scheduler_address},
        ),
        ({"triton": TRITON, "dask": DASK}, ["prefect", "loader", "runner", "api"], {"triton_url": TRITON.url}),
        (
            {"triton": TRITON, "prefect": PREFECT},
            ["dask-scheduler", "dask-workers", "loader", "runner", "api"],
            {"prefect_api_url": PREFECT.api_url},
        ),
    ],
)
def test_what_the_settings_place_elsewhere_is_not_started(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: dict[str, object],
    here: list[str],
    endpoints: dict[str, str],
) -> None:
    monkeypatch.setattr(components, "free_port", lambda preferred=0: preferred or 50001)
    planned = plan_stack(Settings(home=tmp_path, **elsewhere), tmp_path)  # type: ignore[arg-type]
    assert names(planned) == here
    assert set(planned.endpoints) == {"prefect_api_url", "triton_url", "dask_address", "api_url"}
    assert planned.endpoints | endpoints == planned.endpoints


@pytest.mark.parametrize(
    ("parts", "here"),
    [
        ("runner, dask-workers", ["dask-workers", "runner"]),
        ("dask-workers", ["dask-workers"]),
        ("loader,api", ["loader", "api"]),
        ("", ["loader", "runner", "api"]),
    ],
)
def test_a_host_runs_the_parts_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: str, here: list[str]
) -> None:
    monkeypatch.setattr(components, "free_port", lambda preferred=0: preferred or 50001)
    elsewhere = Settings(home=tmp_path, prefect=PREFECT, triton=TRITON, dask=DASK, stack=StackSettings(parts=parts))
    assert names(plan_stack(elsewhere, tmp_path)) == here


def test_dask_workers_of_another_host_join_the_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(components, "Command", lambda argv, *_: commands.append(argv))
    stack = StackSettings(parts="dask-workers", host="10.0.0.6")
    plan_stack(Settings(home=tmp_path, dask=DASK, stack=stack), tmp_path)
    (workers,) = [argv for argv in commands if "worker" in argv]
    assert DASK.scheduler_address in workers and "10.0.0.6" in workers


@pytest.mark.parametrize("parts", ["runner", "dask-workers", "worker"])
def test_parts_that_cannot_run_are_refused(tmp_path: Path, parts: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_stack(Settings(home=tmp_path, stack=StackSettings(parts=parts)), tmp_path)
    assert caught.value.code == "config.stack_parts"


def test_the_runner_waits_for_a_prefect_server_of_ours_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "free_port", lambda preferred=0: preferred)
    ours = plan_stack(Settings(home=tmp_path, triton=TRITON, dask=DASK), tmp_path)
    theirs = plan_stack(Settings(home=tmp_path, triton=TRITON, dask=DASK, prefect=PREFECT), tmp_path)
    assert [c.after for c in ours.components if c.name == "runner"] == ["prefect"]
    assert [c.after for c in theirs.components if c.name == "runner"] == [""]


# ---------------------------------------------------------------- the supervisor


def test_order_readiness_and_stop(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    slow = FakeProcess(log, "server", is_slow=True)
    parts = [Component("late", FakeProcess(log, "late"), after="server"), Component("server", slow, address="a:1")]
    running = Supervisor(settings, parts, {"dask_address": "tcp://x"})
    seen: list[dict[str, object]] = []

    def at(look: int) -> None:
        seen.append(read_stack_file(settings))
        slow.ready = look >= 3
        running.stopping = look == 8

    Clock(monkeypatch, at)
    assert running.run() == 0
    assert log == ["start server", "start late", "stop server", "stop late"]
    assert [found["state"] for found in seen[:4]] == ["starting"] * 4
    assert seen[-1]["state"] == "ready"
    assert seen[-1]["endpoints"] == {"dask_address": "tcp://x"}
    facts = seen[-1]["components"]["server"]  # type: ignore[index]
    assert (facts["state"], facts["address"], facts["restarts"]) == ("ready", "a:1", 0)
    assert read_stack_file(settings) == {}


def test_what_dies_is_restarted_with_growing_pauses(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    process = FakeProcess(log, "frail")
    running = Supervisor(settings, [Component("frail", process)], {})
    started_at: list[float] = []

    def at(look: int) -> None:
        if process.alive:
            started_at.append(clock.now_s)
            process.alive = False  # found dead at every look
        running.stopping = len(started_at) == 8

    clock = Clock(monkeypatch, at)
    running.run()
    pauses = [b - a for a, b in pairwise(started_at)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 0.75
    assert 5.0 <= pauses[-1] <= 6.0
    assert running.components[0].restarts >= 7


def test_a_long_healthy_life_makes_the_next_pause_short(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    process = FakeProcess([], "steady")
    running = Supervisor(settings, [component := Component("steady", process, restarts=4)], {})

    def at(look: int) -> None:
        if look == 2:
            clock.now_s += 3600
            process.alive = False
        running.stopping = look == 4

    clock = Clock(monkeypatch, at)
    running.run()
    assert component.restarts == 1


def test_what_never_gets_ready_fails_the_start_by_name(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    parts = [Component("good", FakeProcess(log, "good")), Component("stuck", FakeProcess(log, "stuck", is_slow=True))]
    running = Supervisor(settings, parts, {})
    clock = Clock(monkeypatch, lambda _look: None)
    assert running.run() == 1
    assert 300 <= clock.now_s - 1000 < 302
    facts = read_stack_file(settings)
    assert facts["state"] == "failed"
    assert facts["error"] == "config.stack: not ready after 300 s: stuck"
    assert log[-2:] == ["stop stuck", "stop good"]


def test_an_error_at_a_start_stops_everything_and_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    broken = FakeProcess(log, "broken")

    def fail() -> None:
        raise ConfigError("wrong numbers", code="triton.selftest", hint="build it again")

    monkeypatch.setattr(broken, "start", fail)
    running = Supervisor(settings, [Component("good", FakeProcess(log, "good")), Component("broken", broken)], {})
    Clock(monkeypatch, lambda _look: None)
    assert running.run() == 1
    assert log == ["start good", "stop good"]
    assert read_stack_file(settings)["error"] == "triton.selftest: wrong numbers (build it again)"
    assert cli_stack.running_stack(settings) is None


def test_a_full_disk_lets_nothing_down(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    running = Supervisor(settings, [Component("good", FakeProcess(log, "good"))], {})

    def refuse(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    def at(look: int) -> None:
        if look == 2:
            full.undo()
        running.stopping = look == 4
        if look == 3:
            assert read_stack_file(settings)["state"] == "ready"

    full = pytest.MonkeyPatch()
    full.setattr(Path, "write_text", refuse)
    try:
        Clock(monkeypatch, at)
        assert running.run() == 0
    finally:
        full.undo()
    assert log == ["start good", "stop good"]


def test_one_stack_a_home(settings: Settings, tmp_path: Path) -> None:
    with single_instance(settings):
        with pytest.raises(ConfigError) as caught, single_instance(settings):
            pytest.fail("two supervisors")
        assert caught.value.code == "config.stack_runs"
        with single_instance(Settings(home=tmp_path / "another")):
            pass
    with single_instance(settings):
        pass


# ---------------------------------------------------------------- readiness


def test_ready_is_said_by_name_and_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ready"
    monkeypatch.delenv(readiness.READY_DIR, raising=False)
    say_ready("loader")  # by hand, without a supervisor
    assert not folder.exists()
    monkeypatch.setenv(readiness.READY_DIR, str(folder))
    say_ready("loader")
    say_ready("loader")
    (folder / "loader.1").touch()
    (folder / "runner.2").touch()
    assert ready_pids(folder, "loader") == {config.os.getpid(), 1}
    forget_ready(folder, "loader")
    assert (ready_pids(folder, "loader"), ready_pids(folder, "runner")) == (set(), {2})
    forget_ready(tmp_path / "none", "loader")


def test_the_supervisor_and_the_worker_mean_the_same_name() -> None:
    from framehouse.inference.worker import WORKER

    assert components._DASK_WORKER == WORKER


# ---------------------------------------------------------------- the bare wheel


def test_the_bare_wheel_says_what_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    with pytest.raises(ConfigError) as caught:
        require_checkout("`framehouse up`")
    assert caught.value.code == "config.bare_wheel"
    assert "pip install -e ." in caught.value.hint
    assert "\n" not in caught.value.line()
    (tmp_path / "flows").mkdir()
    (tmp_path / "triton_models").mkdir()
    assert require_checkout("`framehouse up`") == tmp_path


def test_a_stack_file_of_a_dead_supervisor_is_no_stack(settings: Settings) -> None:
    settings.state_dir.mkdir(parents=True)
    facts = {"pid": 2**22 + 1, "state": "ready", "components": {}, "endpoints": {}}
    config.stack_file(settings).write_text(json.dumps(facts))
    assert cli_stack.running_stack(settings) is None
    config.stack_file(settings).write_text(json.dumps(facts | {"pid": config.os.getpid()}))
    assert cli_stack.running_stack(settings) is not None
    config.stack_file(settings).write_text('{"pid": ')
    assert cli_stack.running_stack(settings) is None
