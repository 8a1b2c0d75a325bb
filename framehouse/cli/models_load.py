"""`framehouse models load-test`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from framehouse.inference.load_test import Load


def load_test(
    model: str = typer.Argument(..., metavar="NAME[/VERSION]"),
    concurrency: str = typer.Option("1,2,4,8", "--concurrency", metavar="N,N...", help="requests under way at once"),
    batch: str = typer.Option("1", "--batch", metavar="N,N...", help="pictures in a request"),
    seconds: float = typer.Option(5.0, "--seconds", min=0.1, help="of each setting"),
    as_json: bool = typer.Option(False, "--json", help="machine-readable"),
) -> None:
    """Load the running Triton with pictures of noise; tell throughput, latency, and the batches that it made of them.

    Example: framehouse models load-test detector --concurrency 1,2,4,8 --batch 1,4 --seconds 5
    """
    from framehouse.cli.output import begin, emit_json, emit_text, say
    from framehouse.config import find_endpoints
    from framehouse.errors import ConfigError
    from framehouse.inference.load_test import load_test as run_load
    from framehouse.inference.model_config import find_folders, read_config
    from framehouse.inference.repository import load_specs, resolve
    from framehouse.inference.specs import TritonTarget

    settings = begin()
    spec = resolve(load_specs(settings.model_repositories), model)
    config = read_config(find_folders(list(settings.model_repositories)), spec.triton_model)
    batches, most = _numbers(batch, "--batch"), max(1, int(config.get("max_batch_size", [0])[0]))
    if max(batches) > most:
        raise ConfigError(f"{spec.model_id} takes at most {most} pictures in a request", code="config.load_test")
    lanes, triton = _numbers(concurrency, "--concurrency"), settings.triton
    url = triton.url or find_endpoints(settings).triton_url
    target = TritonTarget(url, triton.shared_memory, triton.request_timeout_s, triton.in_flight)
    found: list[Load] = []
    for n_pictures in batches:
        for n_clients in lanes:
            say(f"{n_clients} at once, {n_pictures} in a request, {seconds:g} s")
            found.append(run_load(target, spec, concurrency=n_clients, batch=n_pictures, seconds=seconds))
    if as_json:
        settled = {"model_id": spec.model_id, "config_name": triton.config_name, "triton_url": url}
        emit_json({**settled, "loads": [_facts(load) for load in found]})
        return
    emit_text(_tables(found))


def _numbers(text: str, option: str) -> list[int]:
    from framehouse.errors import ConfigError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) <= 256 for part in parts):
        raise ConfigError(f"{option} {text!r}: numbers from 1 to 256 by comma", code="config.load_test")
    return [int(part) for part in parts]


def _facts(load: Load) -> dict[str, Any]:
    return {
        "concurrency": load.concurrency,
        "batch": load.batch,
        "seconds": round(load.elapsed_s, 3),
        "n_requests": len(load.latencies_ms),
        "n_failed": load.n_failed,
        "failure": load.failure or None,
        "frames_per_s": round(load.frames_per_s, 2),
        "latency_ms": {f"p{p}": round(load.percentile_ms(p), 2) for p in (50, 95, 99)} if load.latencies_ms else None,
        "steps": {
            name: {
                "n_frames": step.n_frames,
                "n_executions": step.n_executions,
                "n_cache_hits": step.n_cache_hits,
                "queue_ms": round(step.queue_ms, 3),
                "compute_ms": round(step.execution_ms, 3),
                "batches": {str(size): n for size, n in sorted(step.batches.items())},
            }
            for name, step in load.steps.items()
        },
    }


def _tables(loads: list[Load]) -> str:
    """What clients saw, then what the server did: per request in its queue, per execution in its networks."""
    from framehouse.cli.output import table_text

    seen = [
        [
            *(load.concurrency, load.batch, round(load.frames_per_s, 1)),
            *(round(load.percentile_ms(p), 1) if load.latencies_ms else None for p in (50, 95, 99)),
            *(load.n_failed, load.failure),
        ]
        for load in loads
    ]
    done = [
        [
            *(load.concurrency, load.batch, name, step.n_executions, round(step.n_frames / step.n_executions, 2)),
            *(round(step.queue_ms, 2), round(step.execution_ms, 2), step.n_cache_hits),
            " ".join(f"{size}:{n}" for size, n in sorted(step.batches.items())),
        ]
        for load in loads
        for name, step in load.steps.items()
        if step.batches
    ]
    columns = ["at once", "batch", "frames/s", "p50 ms", "p95 ms", "p99 ms", "failed", "failure"]
    if not any(load.failure for load in loads):
        columns, seen = columns[:-1], [row[:-1] for row in seen]
    steps = ["at once", "batch", "step", "runs", "frames/run", "queue ms", "compute ms", "cached", "frames:runs"]
    return table_text(columns, seen) + "\n" + table_text(steps, done)
