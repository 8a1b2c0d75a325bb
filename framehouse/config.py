"""Settings: every value a person may set, read once at the edge (tasks, flows, api, cli, jobs, stack).

The core takes values, not settings. Environment names are `FRAMEHOUSE_<GROUP>__<FIELD>`, for example
`FRAMEHOUSE_TRITON__URL=10.0.0.5:8001`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from framehouse.backups import Backups
from framehouse.errors import ConfigError, EngineUnavailable
from framehouse.repositories import Repositories
from framehouse.room import Room

ROOT = Path(__file__).resolve().parent.parent
"""The checkout when Framehouse runs from one; `site-packages` for the bare wheel."""


class TritonSettings(BaseModel):
    """Where inference happens."""

    url: str = Field(
        default="", description="host:port of Triton gRPC endpoints, by comma; empty starts the embedded server"
    )
    model_repository: Path | None = Field(default=None, description="model repository folder; default triton_models/")
    config_name: str = Field(
        default="",
        pattern=r"^[\w.-]*$",
        description="Triton's --model-config-name: models run with their configs/NAME.pbtxt; empty: config.pbtxt",
    )
    cache_bytes: int = Field(
        default=0, ge=0, description="response cache of the embedded server; used by cpu-batched's text models; 0: none"
    )
    executions: int = Field(
        default=0, ge=0, description="networks of cpu-batched that the embedded server runs at once; 0: no limit"
    )
    preload: str = Field(default="detector", description="models loaded at start, by comma; others when first used")
    request_timeout_s: float = Field(default=60.0, gt=0, description="deadline of one inference request")
    shared_memory: bool = Field(
        default=True, description="use system shared memory when a handshake shows that it works"
    )
    in_flight: int = Field(default=4, ge=1, le=64, description="requests in flight per worker, model and Triton")


class DaskSettings(BaseModel):
    """Where decoding happens."""

    scheduler_address: str = Field(default="", description="tcp://host:port; empty starts a local one")
    n_workers: int = Field(default=0, ge=0, description="local workers; 0 takes one per core")
    window: int = Field(default=0, ge=0, description="chunks in flight per video; 0 takes twice the workers")
    worker_memory_bytes: int = Field(default=2 * 1024**3, description="memory limit of one local worker")


class PrefectSettings(BaseModel):
    """Who orchestrates."""

    api_url: str = Field(default="", description="http://host:port/api of a Prefect server; empty starts a local one")
    max_waiting_runs: int = Field(default=32, ge=1, description="runs created ahead of the ones that work")
    work_pool: str = Field(default="framehouse", description="process work pool whose runs our runner takes")
    crashed_after_s: float = Field(
        default=600.0, ge=90, description="our own server calls a run crashed that was silent for so long"
    )
    run_slots: int = Field(default=4, ge=0, description="flow runs at once; 0 leaves all runs to `prefect worker`")
    side_slots: int = Field(default=2, ge=1, description="runs of other flows than videos at once, beside run_slots")


class StateSettings(BaseModel):
    """Live state."""

    url: str = Field(
        default="", description="SQLAlchemy URL of the state database; empty takes SQLite under FRAMEHOUSE_HOME"
    )
    lease_s: float = Field(default=20.0, gt=1, description="how long a silent run keeps its job")
    backup_first: bool = Field(
        default=True,
        description="before an upgrade changes tables, copy the databases to FRAMEHOUSE_HOME/backups",
    )


class StoreSettings(BaseModel):
    """DuckDB."""

    publish_interval_s: float = Field(default=2.0, gt=0, description="at most one snapshot in this many seconds")
    query_timeout_s: float = Field(default=30.0, gt=0, description="limit of one read-only query")
    query_memory: str = Field(default="2GB", description="DuckDB memory limit of a reader")


class LakeSettings(BaseModel):
    """Parts, plans and run records."""

    url: str = Field(
        default="",
        description="s3://, gs:// or az:// address of a lake that several hosts share; empty: FRAMEHOUSE_HOME/lake",
    )


class JobSettings(BaseModel):
    """Defaults of a job."""

    confidence: float = Field(default=0.4, ge=0, le=1, description="threshold that views and results apply")
    max_gap_share: float = Field(
        default=0.05, ge=0, le=1, description="a video fails above this share of gaps in any model"
    )
    max_attempts: int = Field(default=8, ge=1, description="attempts without progress before a job is given up")
    stall_s: float = Field(
        default=180.0, gt=0, description="a chunk without a packet read or an answer for so long has its process ended"
    )
    frame_deadline_s: float = Field(
        default=1800.0, gt=0, description="a chunk that reads packets but settles no frame for so long is given up"
    )


class SourceSettings(BaseModel):
    """Untrusted media and URLs."""

    allow_private_hosts: bool = Field(default=True, description="the command line may fetch from private addresses")
    max_bytes: int = Field(default=200 * 1024**3, description="largest file that is fetched")
    max_pixels: int = Field(default=8192 * 8192, description="largest picture that is decoded")
    stall_timeout_s: float = Field(default=30.0, gt=0, description="give a download up when no byte came for so long")
    max_redirects: int = Field(default=5, ge=0, description="redirects followed")
    total_timeout_s: float = Field(
        default=6 * 3600.0, gt=0, description="longest download of a URL that came over HTTP; others have no limit"
    )
    private_networks: list[str] = Field(
        default=[], description="networks (CIDR) that the API may reach although they are private"
    )
    blocks: dict[str, str] = Field(
        default={}, description="stores and the Prefect blocks that open them, as {'s3://bucket': 's3-bucket/name'}"
    )
    stores: list[str] = Field(
        default=[], description="more stores that the API may read from, opened by their SDK's own credentials"
    )


class CatalogSettings(BaseModel):
    """Places that are watched for videos."""

    settle_s: float = Field(
        default=10.0, ge=0, description="a file changed so short a time ago is left to the next scan: it may be half"
    )


class ModelSettings(BaseModel):
    """Models that do not ship: added or pulled."""

    mirror: str = Field(
        default="",
        description="folder or base URL that `models pull` takes all files from, as <name>/<file>; for closed networks",
    )
    max_bytes: int = Field(default=2 * 1024**3, gt=0, description="largest file that `models add` takes")


class ApiSettings(BaseModel):
    """The HTTP server."""

    host: str = Field(default="127.0.0.1", description="address to listen on; beyond loopback, keys are needed")
    port: int = Field(default=8800, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    public_url: str = Field(default="", description="http(s)://host[:port] under which clients reach it, if another")
    workspace: str = Field(default="local", description="workspace of a local install without keys")
    max_upload_bytes: int = Field(default=200 * 1024**3, gt=0, description="largest upload of a caller without a key")
    max_waiting_jobs: int = Field(default=10_000, gt=0, description="unfinished jobs of a caller without a key")
    upload_ttl_s: int = Field(default=24 * 3600, gt=0, description="life of a signed upload URL")
    result_ttl_s: int = Field(default=7 * 24 * 3600, gt=0, description="life of a signed result URL")
    upload_wait_s: float = Field(default=900.0, gt=0, description="a job waits so long for its upload to arrive")
    max_queries: int = Field(default=4, ge=1, le=32, description="SQL queries and searches at once; more are refused")
    cors_origins: list[str] = Field(
        default=[], description="pages of other sites (scheme://host[:port]) whose scripts may ask; none by default"
    )

    @property
    def is_loopback(self) -> bool:
        """Whether the server is reached from this machine alone."""
        return self.host in ("127.0.0.1", "::1", "localhost")


class KeepSettings(BaseModel):
    """How long what is written is kept, and how much of the disk stays free."""

    uploads_days: float = Field(default=7.0, ge=0, description="an upload is kept so long after its last job ended")
    fetched_days: float = Field(default=30.0, ge=0, description="a fetched video is kept so long after its last use")
    fetched_bytes: int = Field(
        default=100 * 1024**3, ge=0, description="fetched videos take at most so much; the least recently used go first"
    )
    media_days: float = Field(
        default=30.0, ge=0, description="stills and playable copies of a video are kept so long after their last use"
    )
    media_bytes: int = Field(
        default=20 * 1024**3, ge=0, description="they take at most so much; the least recently used videos' go first"
    )
    results_days: float = Field(default=7.0, ge=0, description="a results file is kept so long after it was asked for")
    videos_days: float = Field(
        default=0.0,
        ge=0,
        description="what was learned of a video goes so long after its last job; 0 keeps it for ever",
    )
    bad_parts_days: float = Field(default=30.0, ge=0, description="damaged parts that were set aside are kept so long")
    logs_days: float = Field(default=14.0, ge=0, description="logs are kept so long after their last line")
    log_bytes: int = Field(default=64 * 1024**2, ge=4096, description="of a larger log only the last quarter is kept")
    deliveries_days: float = Field(
        default=30.0, ge=8, description="the log of webhook deliveries is kept so long; they are looked back for 7 days"
    )
    leftovers_s: float = Field(
        default=3600.0, ge=60, description="what an interrupted write left is removed when so old"
    )
    backups: int = Field(
        default=5, ge=1, description="of each kind of backup in FRAMEHOUSE_HOME/backups so many stay, the newest"
    )
    compact_parts: int = Field(
        default=4, ge=2, description="parts of one chunk, model and job are merged when there are so many"
    )
    floor_bytes: int = Field(
        default=2 * 1024**3, ge=0, description="with less free on the disk of FRAMEHOUSE_HOME work pauses; 0 never does"
    )
    floor_wait_s: float = Field(default=600.0, ge=0, description="a download waits so long for room before it gives up")


class CostSettings(BaseModel):
    """What work costs: the prices of the view `costs`."""

    cpu_hour: float = Field(default=0.0, ge=0, description="price of 3600 CPU seconds")
    gpu_hour: float = Field(default=0.0, ge=0, description="price of 3600 seconds of inference on a GPU")
    fetched_gb: float = Field(default=0.0, ge=0, description="price of 10^9 bytes fetched")
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$", description="of these prices, by its three letters")

    @property
    def prices(self) -> str:
        """As the table `settings` of the store has them."""
        return f"{self.cpu_hour!r} {self.gpu_hour!r} {self.fetched_gb!r} {self.currency}"


class StackSettings(BaseModel):
    """What `framehouse up` starts on this host."""

    parts: str = Field(
        default="",
        description="prefect, triton, dask-scheduler, dask-workers, loader, runner, api, by comma: only these; "
        "empty: all that the settings do not place elsewhere",
    )
    host: str = Field(
        default="127.0.0.1", description="address on which Prefect, Triton and Dask of this host can be reached"
    )


class Settings(BaseSettings):
    """All settings, with their groups."""

    model_config = SettingsConfigDict(env_prefix="FRAMEHOUSE_", env_nested_delimiter="__", extra="ignore")

    home: Path = Field(default=Path(), description="everything that is written; default .framehouse/")
    triton: TritonSettings = Field(default_factory=TritonSettings)
    dask: DaskSettings = Field(default_factory=DaskSettings)
    prefect: PrefectSettings = Field(default_factory=PrefectSettings)
    state: StateSettings = Field(default_factory=StateSettings)
    store: StoreSettings = Field(default_factory=StoreSettings)
    lake: LakeSettings = Field(default_factory=LakeSettings)
    jobs: JobSettings = Field(default_factory=JobSettings)
    source: SourceSettings = Field(default_factory=SourceSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    models: ModelSettings = Field(default_factory=ModelSettings)
    catalog: CatalogSettings = Field(default_factory=CatalogSettings)
    keep: KeepSettings = Field(default_factory=KeepSettings)
    costs: CostSettings = Field(default_factory=CostSettings)
    stack: StackSettings = Field(default_factory=StackSettings)

    @property
    def store_dir(self) -> Path:
        """DuckDB and its published snapshots."""
        return self.home / "store"

    @property
    def lake_dir(self) -> Path:
        """Parts, plans and run records: the truth, where it does not lie in a bucket."""
        return self.home / "lake"

    @property
    def lake_place(self) -> tuple[str, Path]:
        """The folder or address of the lake, and where copies of a bucket's parts are kept: for `open_lake`."""
        return self.lake.url or str(self.lake_dir), self.home / "cache" / "lake"

    @property
    def state_dir(self) -> Path:
        """The state database, and what the local stack tells about itself."""
        return self.home / "state"

    @property
    def backups(self) -> Backups:
        """Where copies of the databases go."""
        return Backups(self.home / "backups", self.state.backup_first)

    @property
    def log_dir(self) -> Path:
        """Logs of the local stack."""
        return self.home / "logs"

    @property
    def fetch_dir(self) -> Path:
        """Downloaded videos."""
        return self.home / "uploads" / "fetched"

    @property
    def upload_dir(self) -> Path:
        """Uploaded videos, a folder each."""
        return self.home / "uploads"

    @property
    def result_dir(self) -> Path:
        """Results files of the HTTP server; each is made again when it is asked for."""
        return self.home / "results"

    @property
    def media_dir(self) -> Path:
        """Stills and playable copies, a folder for each video; each is made again when it is asked for."""
        return self.home / "cache" / "media"

    @property
    def room(self) -> Room:
        """The disk floor."""
        return Room(self.home, self.keep.floor_bytes)

    @property
    def triton_dir(self) -> Path:
        """The embedded server's backends and log."""
        return self.home / "triton"

    @property
    def state_url(self) -> str:
        """SQLAlchemy URL of the state database."""
        return self.state.url or f"sqlite:///{self.state_dir / 'state.db'}"

    @property
    def model_repository(self) -> Path:
        """The Triton model repository of this installation."""
        return self.triton.model_repository or ROOT / "triton_models"

    @property
    def added_models_dir(self) -> Path:
        """Models that were added or pulled here: a second model repository."""
        return self.home / "models"

    @property
    def model_repositories(self) -> Repositories:
        """Every model repository, the shipped one first."""
        return Repositories.of(self.model_repository, self.added_models_dir, config_name=self.triton.config_name)


def default_home() -> Path:
    """`.framehouse/` beside pyproject.toml in a checkout, else in the current folder."""
    return (ROOT if (ROOT / "pyproject.toml").exists() else Path.cwd()) / ".framehouse"


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the environment once; make `home` absolute and hand it to every child through the environment.

    Raises:
        ConfigError: a value that does not fit its field.
    """
    try:
        settings = Settings()
    except ValueError as error:
        first = error.errors()[0] if hasattr(error, "errors") else {"loc": (), "msg": str(error)}
        where = "FRAMEHOUSE_" + "__".join(str(part).upper() for part in first["loc"])
        raise ConfigError(f"{where}: {first['msg']}", code="config.setting") from error
    home = settings.home if settings.home != Path() else default_home()
    settings.home = home.expanduser().absolute()
    dask_address = os.environ.get("DASK_SCHEDULER_ADDRESS", "")
    if dask_address and not settings.dask.scheduler_address:
        settings.dask.scheduler_address = dask_address
    os.environ["FRAMEHOUSE_HOME"] = str(settings.home)
    return settings


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the running parts: from the settings, else from what the local stack wrote down."""

    prefect_api_url: str
    triton_url: str
    dask_address: str


def find_endpoints(settings: Settings) -> Endpoints:
    """Where Prefect, Triton and Dask answer.

    Raises:
        EngineUnavailable: one of them is neither in the settings nor part of a running local stack.
    """
    local = read_stack_file(settings).get("endpoints", {})
    found = Endpoints(
        settings.prefect.api_url or local.get("prefect_api_url", ""),
        settings.triton.url or local.get("triton_url", ""),
        settings.dask.scheduler_address or local.get("dask_address", ""),
    )
    if not (found.prefect_api_url and found.triton_url and found.dask_address):
        raise EngineUnavailable("the local stack is not running")
    return found


def read_stack_file(settings: Settings) -> dict[str, Any]:
    """What the local stack wrote about itself; empty when it does not run or is just writing."""
    try:
        found: dict[str, Any] = json.loads(stack_file(settings).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def stack_file(settings: Settings) -> Path:
    """The file in which the local stack tells its addresses, processes and readiness."""
    return settings.state_dir / "stack.json"


def require_checkout(what: str) -> Path:
    """The checkout's root, which holds flows, tasks and models.

    Raises:
        ConfigError: running from the bare wheel.
    """
    if not (ROOT / "flows").is_dir() or not (ROOT / "triton_models").is_dir():
        raise ConfigError(
            f"{what} needs the repository: the wheel alone is command line, client and core",
            code="config.bare_wheel",
            hint="clone the repository, then: pip install -e .",
        )
    return ROOT
