"""The figures of `/metrics` as a page for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framehouse.cli.output import table_text

if TYPE_CHECKING:
    from framehouse.config import Settings
    from framehouse.jobs.figures import Family

Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def read_figures(settings: Settings) -> dict[str, Family]:
    """Every family by its name; empty before anything was written here, and until `db migrate` after an upgrade.

    Raises:
        ConfigError: the state database cannot be opened.
    """
    from framehouse.errors import MigrationError
    from framehouse.inference.servers import Servers
    from framehouse.jobs.figures import figures
    from framehouse.jobs.submit import connect

    if not settings.state.url and not (settings.state_dir / "state.db").exists():
        return {}
    try:
        state, servers = connect(settings), Servers()
    except MigrationError:
        return {}
    try:
        return {family.name: family for family in figures(settings, state, servers)}
    finally:
        servers.close()
        state.close()


def as_json(found: Mapping[str, Family]) -> dict[str, list[dict[str, Any]]]:
    """Samples by the name of their family, each with labels and value."""
    return {
        name: [
            {"name": sample, "labels": dict(labels), "value": value}
            for (sample, labels), value in family.samples.items()
        ]
        for name, family in found.items()
    }


def page(found: Mapping[str, Family], before: Mapping[str, Family], elapsed_s: float) -> Iterator[str]:
    """Tables of figures.

    Args:
        before: the same figures a while ago, for speeds; empty shows none.
        elapsed_s: how long ago.
    """
    now = _Figures(found)
    yield "jobs:    " + "  ".join(f"{labels['status']} {n:g}" for labels, n in now.rows("framehouse_jobs"))
    owed = now.sum("framehouse_unfinished_planned") - now.sum("framehouse_unfinished_settled")
    oldest_s = now.sum("framehouse_oldest_queued_seconds")
    yield (
        f"waiting: {owed:g} frames x models, {now.sum('framehouse_loads_waiting'):g} loads, "
        f"{now.sum('framehouse_deliveries_pending'):g} webhooks; oldest queued job {oldest_s:.0f} s"
    )
    retries = "  ".join(f"{labels['what']} {n:g}" for labels, n in now.rows("framehouse_retries_total"))
    yield f"retries: {retries or 'none'}"
    yield ""
    yield table_text(["hop", "done", "mean s", "busy s", "failed"], list(_hops(now)))
    if models := list(_models(now, _Figures(before), elapsed_s if before else 0.0)):
        heads = ["model", "frames", "gaps", "infer s", "ms/frame", "load s", *(["frames/s"] if before else [])]
        yield table_text(heads, models)
    if servers := list(_triton(now)):
        yield table_text(["triton", "server", "requests", "failed", "queue ms", "compute ms", "request ms"], servers)
    if errors := [[labels["hop"], labels["code"], n] for labels, n in now.rows("framehouse_errors_total")]:
        yield table_text(["failed hop", "error", "times"], errors)


class _Figures:
    def __init__(self, found: Mapping[str, Family]) -> None:
        self._found = found

    def rows(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Samples of a counter or gauge, or of a histogram's `_sum` or `_count`."""
        family = name.removesuffix("_sum").removesuffix("_count")
        samples: Samples = self._found[family].samples if family in self._found else {}
        return [(dict(labels), value) for (sample, labels), value in samples.items() if sample == name]

    def sum(self, name: str, **labels: str) -> float:
        """Of all samples that have these labels."""
        return sum(value for found, value in self.rows(name) if labels.items() <= found.items())


def _hops(now: _Figures) -> Iterator[Sequence[Any]]:
    hops = {labels["hop"] for labels, _ in now.rows("framehouse_hop_seconds_count")}
    for hop in sorted(hops, key=lambda hop: [*_ORDER, hop].index(hop)):
        done, busy_s = (now.sum(f"framehouse_hop_seconds_{part}", hop=hop) for part in ("count", "sum"))
        yield hop, done, round(busy_s / done, 3), round(busy_s, 1), now.sum("framehouse_errors_total", hop=hop)
    for name, hop in (("framehouse_chunk_seconds", "chunk"), ("framehouse_publish_seconds", "publish")):
        if done := now.sum(f"{name}_count"):
            busy_s = now.sum(f"{name}_sum")
            yield hop, done, round(busy_s / done, 3), round(busy_s, 1), now.sum("framehouse_errors_total", hop=hop)


_TIMES = ("queue", "compute", "request")
_ORDER = ("fetch", "probe", "plan", "infer", "load")


def _models(now: _Figures, before: _Figures, elapsed_s: float) -> Iterator[Sequence[Any]]:
    name = "framehouse_frames_total"
    for model in sorted({labels["model"] for labels, _ in now.rows(name)}):
        n_frames = now.sum(name, model=model, outcome="inferred")
        infer_s = now.sum("framehouse_infer_seconds_total", model=model)
        load_s = now.sum("framehouse_model_load_seconds_total", model=model)
        per_frame_ms = round(1000 * infer_s / n_frames, 2) if n_frames else None
        row = [model, n_frames, now.sum(name, model=model, outcome="gap"), round(infer_s, 1), per_frame_ms]
        row.append(round(load_s, 1))
        if elapsed_s:  # of figures a while ago
            row.append(round((n_frames - before.sum(name, model=model, outcome="inferred")) / elapsed_s, 1))
        yield row


def _triton(now: _Figures) -> Iterator[Sequence[Any]]:
    for labels, n_done in now.rows("framehouse_triton_requests_total"):
        failed = now.sum("framehouse_triton_failures_total", **labels)
        if n_done or failed:
            sums_s = [now.sum(f"framehouse_triton_{what}_seconds_total", **labels) for what in _TIMES]
            times = [round(1000 * sum_s / n_done, 2) if n_done else None for sum_s in sums_s]
            yield [f"{labels['triton_model']}/{labels['version']}", labels["server"], n_done, failed, *times]
    for labels, is_up in now.rows("framehouse_triton_up"):
        if not is_up:
            yield ["(does not answer)", labels["server"], None, None, None, None, None]
