"""The test frame: real parts and why they did not run, order, and the fixtures that every folder shares."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

import real_parts
from real_parts import LEDGER, ROOT, PartLedger, cache_folder, require

if TYPE_CHECKING:
    from browser import Chromium
    from cloud import Cloud, Kind
    from framehouse.inference.server import TritonServer
    from framehouse.inference.specs import ModelSpec
    from framehouse.inference.triton import TritonClient
    from local_stack import Stack
    from otlp_receiver import Receiver

FOLDER_ORDER = ("unit", "contract", "integration", "e2e")
DEFAULT_KILLS = 10

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)


# ---------------------------------------------------------------- the run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=DEFAULT_KILLS, help="how often the kill test kills a process")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEDGER] = PartLedger()
    hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")
    prefect_home = cache_folder() / f"prefect{_worker(config)}"  # never the user's own, never shared by two processes
    prefect_home.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_HOME", str(prefect_home))
    os.environ.setdefault("DO_NOT_TRACK", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _rank(item.path))
    if _worker(config):  # the stack's tests take longest and are one piece: another process has the others meanwhile
        items.sort(key=lambda item: real_parts.folder_of(item.path) != "e2e")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, in its controller, where a run is shared (`-n 2`)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out whole files, for the sake of their fixtures, and e2e/ as one, so that a run has one stack."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "e2e" if "e2e" in Path(file).parts else file

    config.option.loadscopereorder = False  # in the order of collection
    return Scheduling(config, log)


def _rank(path: Path) -> int:
    folder = real_parts.folder_of(path)
    return FOLDER_ORDER.index(folder) if folder in FOLDER_ORDER else len(FOLDER_ORDER)


def _worker(config: pytest.Config) -> str:
    """Name of this process among those of pytest-xdist (`gw0` …); empty in their controller, or where there is one."""
    return str(getattr(config, "workerinput", {}).get("workerid", ""))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _worker(session.config):
        session.config.workeroutput["real parts"] = session.config.stash[LEDGER].packed()  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist, in its controller
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[LEDGER].add(getattr(node, "workeroutput", {}).get("real parts", {}))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    parts, reason = real_parts.parts_of(item), real_parts.skip_reason(report)
    if reason is not None:
        item.config.stash[LEDGER].record(parts, reason)
        real_parts.fail_instead(report, parts, reason)
    elif report.when == "call" and not hasattr(report, "wasxfail"):
        item.config.stash[LEDGER].record(parts, None)
    if report.failed and "stack" in getattr(item, "funcargs", {}):
        report.sections.append(("logs of the stack", item.funcargs["stack"].logs()))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    reason, folder = real_parts.skip_reason(report), real_parts.folder_of(collector.path)
    if reason is not None and folder in real_parts.REAL_FOLDERS:  # a whole file that skips itself
        if _worker(collector.config) in ("", "gw0"):  # each of several processes collects
            collector.config.stash[LEDGER].record((folder,), reason)
        real_parts.fail_instead(report, (folder,), reason)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = list(config.stash[LEDGER].lines())
    if lines:
        terminalreporter.section("real parts")
        terminalreporter.write("\n".join(lines) + "\n")


# ---------------------------------------------------------------- folders and settings


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def media_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder a run for videos that tests make (`from media import …`)."""
    return tmp_path_factory.mktemp("media")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty FRAMEHOUSE_HOME; every other setting of the environment is taken away."""
    from framehouse.config import load_settings

    for name in [*os.environ]:
        if name.startswith("FRAMEHOUSE_") and not name.startswith("FRAMEHOUSE_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    monkeypatch.setenv("FRAMEHOUSE_HOME", str(tmp_path / "home"))
    load_settings.cache_clear()
    yield tmp_path / "home"
    load_settings.cache_clear()


@pytest.fixture
def settings(home: Path) -> object:
    """The default settings, with `home` as their FRAMEHOUSE_HOME."""
    from framehouse.config import load_settings

    return load_settings()


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> int:
    """How often the kill test kills (`--kills`)."""
    return int(request.config.getoption("--kills"))


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A function that names a TCP port of the loopback address that is free right now."""
    from postgres import free_port

    return free_port


# ---------------------------------------------------------------- real parts


@pytest.fixture(scope="session")
def new_postgres_database() -> Iterator[Callable[[], str]]:
    """A function that makes an empty database on the run's own PostgreSQL server and returns its URL."""
    from postgres import PostgresMissing, postgres_server

    try:
        with postgres_server() as new_database:
            yield new_database
    except PostgresMissing as missing:
        require("postgres", str(missing))


@pytest.fixture
def postgres_url(new_postgres_database: Callable[[], str]) -> str:
    """SQLAlchemy URL (psycopg driver) of a database of the test's own, empty."""
    return new_postgres_database()


@pytest.fixture(scope="session")
def s3_cloud() -> Iterator[Cloud]:
    """moto's S3 server behind a gate; `s3_cloud.new_store()` is an empty bucket of the test's own."""
    yield from _cloud("s3")


@pytest.fixture(scope="session")
def gs_cloud() -> Iterator[Cloud]:
    """fake-gcs-server behind a gate."""
    yield from _cloud("gs")


@pytest.fixture(scope="session")
def az_cloud() -> Iterator[Cloud]:
    """azurite behind a gate."""
    yield from _cloud("az")


def _cloud(kind: Kind) -> Iterator[Cloud]:
    from cloud import PARTS, SERVERS, CloudMissing

    try:
        with SERVERS[kind]() as cloud:
            yield cloud
    except CloudMissing as missing:
        require(PARTS[kind], str(missing))


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """Chromium: `with browser.page(url) as page` (see `browser`). Of one module: its event loop would be in the way."""
    from browser import BrowserMissing, chromium

    try:
        with chromium() as found:
            yield found
    except BrowserMissing as missing:
        require("browser", str(missing))


@pytest.fixture(scope="session")
def sample_videos() -> dict[str, Path]:
    """The real sample videos by file name (`bikes.mp4` …), fetched once into the cache folder."""
    from framehouse.errors import SourceUnavailable
    from framehouse.samples import sample_videos

    try:
        return sample_videos(cache_folder() / "samples")
    except SourceUnavailable as error:
        require("samples", error.line())


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory, added_models: Path) -> Iterator[TritonServer]:
    """The embedded Triton server with the repository's own models, ready and self-tested; gRPC at `triton.url`.

    The detector is loaded; the others when asked for: `load_served` does it. `added_models` is its second repository.
    """
    from framehouse.errors import ConfigError
    from framehouse.inference.server import TritonServer
    from framehouse.inference.server_env import ensure_server_env

    try:
        python = ensure_server_env(ROOT)
    except ConfigError as error:
        require("triton", error.line())
    roots = [ROOT / "triton_models", added_models]
    detector = ["detector_network", "detector_nms", "detector"]
    with TritonServer(python, roots, work_dir=tmp_path_factory.mktemp("triton"), models=detector) as server:
        yield server


@pytest.fixture(scope="session")
def added_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of added and pulled models that the `triton` server sees, empty at first."""
    return tmp_path_factory.mktemp("added")


@pytest.fixture(scope="session")
def load_served(triton: TritonServer, added_models: Path) -> Callable[[str], tuple[TritonClient, ModelSpec]]:
    """A function that has the `triton` server load a model by slug or slug/version; gives a client and the spec."""
    from framehouse.inference.repository import load_specs, resolve
    from framehouse.inference.specs import TritonTarget
    from framehouse.inference.triton import connect

    target = TritonTarget(triton.url, shared_memory=True, request_timeout_s=60.0, in_flight=4)

    def load(name: str) -> tuple[TritonClient, ModelSpec]:
        spec = resolve(load_specs([ROOT / "triton_models", added_models]), name)
        client = connect(target)  # anew where a test before has closed them all
        client.ensure_loaded(spec.steps)
        return client, spec

    return load


@pytest.fixture(scope="session")
def traces() -> Iterator[Receiver]:
    """Takes the traces of the stack's processes."""
    from otlp_receiver import receiving

    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, traces: Receiver) -> Iterator[Stack]:
    """The whole local stack, started once in a run by `framehouse up`, with a FRAMEHOUSE_HOME of its own.

    Its processes trace into `traces`. Of the private addresses the API may fetch from 127.0.0.2 alone: a test's web
    server listens there.
    """
    from framehouse.errors import ConfigError
    from framehouse.inference.server_env import check_platform
    from local_stack import running_stack

    try:
        check_platform()
    except ConfigError as error:
        require("stack", error.line())
    web = {"FRAMEHOUSE_SOURCE__PRIVATE_NETWORKS": '["127.0.0.2/32"]', "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url}
    with running_stack(tmp_path_factory.mktemp("stack") / "home", **web) as running:
        yield running
