"""What `doctor` looks at, each with a way to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from framehouse.config import ROOT, Settings, find_endpoints, require_checkout
from framehouse.errors import ConfigError, FramehouseError
from framehouse.inference.server_env import check_platform, ensure_server_env

_LOW_DISK_BYTES = 5 * 1024**3


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    ok: bool
    found: str
    hint: str = ""


def run_checks(settings: Settings) -> Iterator[Check]:
    """Look at everything, in the order in which a person would mend it."""
    yield _asked("repository", lambda: str(require_checkout("the local stack")))
    yield _asked("home", lambda: _writable(settings))
    yield _disk(settings)
    try:
        yield _parts(settings)
    except FramehouseError as error:  # a bucket that cannot be reached
        yield Check("lake", False, f"{error.code}: {error.message}", error.hint)
    if settings.triton.url:
        yield Check("triton", True, f"remote: {settings.triton.url}")
    else:
        yield _asked("platform", _platform)
        yield _asked("triton environment", lambda: str(ensure_server_env(ROOT)))
    yield _asked("models", lambda: _models(settings))
    yield _asked("stack", lambda: _stack(settings))
    yield _asked("triton answers", lambda: _triton(settings))
    yield _asked("dask answers", lambda: _dask(settings))


def _asked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except FramehouseError as error:
        return Check(name, False, f"{error.code}: {error.message}", error.hint or "see the message")


def _writable(settings: Settings) -> str:
    settings.home.mkdir(parents=True, exist_ok=True)
    probe = settings.home / ".doctor"
    probe.write_text("")
    probe.unlink()
    return str(settings.home)


def _disk(settings: Settings) -> Check:
    room = settings.room
    short = room.shortage()
    free = room.free(settings.home)
    found = f"work is paused: {short}" if short else f"{free / 1e9:.1f} GB free"
    return Check(
        "disk",
        not short and free > _LOW_DISK_BYTES,
        found,
        "framehouse prune --dry-run; or free some space, or move FRAMEHOUSE_HOME",
    )


def _parts(settings: Settings) -> Check:
    """A part that was set aside leaves frames owed that nobody infers again by himself."""
    from framehouse.results.opening import open_lake

    lake = open_lake(*settings.lake_place)
    known = set(lake.paths(lake.root / "parts"))
    aside = sorted(path for path in known if path.suffix == ".bad")
    bad = [path for path in aside if path.with_suffix("") not in known]
    if not bad:
        found = "none set aside" if not aside else f"{len(aside)} set aside and inferred again"
        return Check("parts", True, f"{found}, in {lake.where}" if lake.bucket else found)
    videos = sorted({path.parent.parent.name for path in bad})
    return Check(
        "parts",
        False,
        f"{len(bad)} damaged, set aside, of {', '.join(videos[:3])}{' …' if len(videos) > 3 else ''}",
        f"framehouse jobs retry the jobs of these videos, then remove {lake.name_of(bad[0])}",
    )


def _platform() -> str:
    check_platform()
    return "Linux x86-64, glibc new enough"


def _models(settings: Settings) -> str:
    """A broken added model is told; the others can be used all the same."""
    from framehouse.inference.repository import check, load_specs

    findings = check(settings.model_repositories)
    usable = ", ".join(load_specs(settings.model_repositories))
    if findings:
        first = findings[0]
        more = f" and {len(findings) - 1} more" if len(findings) > 1 else ""
        raise ConfigError(
            f"{first.model}: {first.message}{more}; usable: {usable}",
            code="config.models",
            hint="framehouse models check",
        )
    return usable


def _stack(settings: Settings) -> str:
    found = find_endpoints(settings)
    return f"Prefect at {found.prefect_api_url}, Triton at {found.triton_url}, Dask at {found.dask_address}"


def _triton(settings: Settings) -> str:
    from framehouse.inference.specs import TritonTarget
    from framehouse.inference.triton import connect

    target = TritonTarget(find_endpoints(settings).triton_url, settings.triton.shared_memory, 5.0, 1)
    shared = {one.url: "on" if connect(one).uses_shared_memory() else "off" for one in target.each()}
    return "; ".join(f"{url}, shared memory {switch}" for url, switch in shared.items())


def _dask(settings: Settings) -> str:
    from framehouse.cluster import worker_count

    address = find_endpoints(settings).dask_address
    return f"{address}, {worker_count(address)} workers"
