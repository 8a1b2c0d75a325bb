"""Write the Grafana dashboard: docker/observability/grafana/dashboards/framehouse.json. `--check` only compares.

All numbers are those of /metrics of one API, which tells of all processes; `max without (instance, pod)` takes one of
several replicas.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

OUT = Path(__file__).resolve().parents[1] / "docker/observability/grafana/dashboards/framehouse.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24
GIVEN_UP = 'increase(framehouse_chunks_total{outcome="given_up"}[1h])'


def one(metric: str) -> str:
    """A metric of one API replica."""
    return f"max without (instance, pod) ({metric})"


def rate(metric: str, by: str = "", window: str = "$__rate_interval") -> str:
    """Growth a second, summed by some labels."""
    return f"sum{f' by ({by})' if by else ''} ({one(f'rate({metric}[{window}])')})"


def quantile(share: float, metric: str, by: str = "") -> str:
    """A quantile of a histogram, by some labels."""
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', f'le, {by}' if by else 'le')})"


# (row, [(title, unit, kind, [(expression, legend)], what it tells)])
ROWS: list[tuple[str, list[tuple[str, str, str, list[tuple[str, str]], str]]]] = [
    ("Now", [
        ("Jobs", "short", "stat", [(one("framehouse_jobs"), "{{status}}")], "Jobs by status"),
        ("Parts", "short", "stat", [(one("framehouse_part_up"), "{{part}}"),
                                    (one("framehouse_triton_up"), "{{server}}")], "1: ready"),
        ("Room", "bytes", "stat", [(one("framehouse_disk_free_bytes"), "free"),
                                   (one("framehouse_disk_floor_bytes"), "floor")], "Below the floor work pauses"),
        ("Alerts", "short", "stat", [('count by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}")],
         "Firing; each has a section in docs/guide/runbook.md"),
    ]),
    ("Queues", [
        ("Jobs", "short", "timeseries", [(one('framehouse_jobs{status=~"queued|running|paused"}'), "{{status}}")], ""),
        ("Frames x models owed", "short", "timeseries",
         [(f"{one('framehouse_unfinished_planned')} - {one('framehouse_unfinished_settled')}", "owed")],
         "Of jobs whose plan is known"),
        ("Waiting", "s", "timeseries", [(one("framehouse_oldest_queued_seconds"), "oldest queued job"),
                                        (one("framehouse_load_wait_seconds"), "oldest load"),
                                        (one("framehouse_snapshot_age_seconds"), "age of the snapshot")], ""),
        ("Loads and webhooks", "short", "timeseries", [(one("framehouse_loads_waiting"), "loads"),
                                                       (one("framehouse_deliveries_pending"), "webhooks"),
                                                       (one("framehouse_uploads_awaited"), "uploads awaited")], ""),
    ]),
    ("Work", [
        ("Frames inferred a second", "short", "timeseries",
         [(rate('framehouse_frames_total{outcome="inferred"}', "model"), "{{model}}")], ""),
        ("Frames decoded a second", "short", "timeseries", [(rate("framehouse_frames_decoded_total"), "wanted"),
                                                            (rate("framehouse_frames_passed_total"), "gone through")],
         "A decoder must go through the frames between the wanted ones"),
        ("Bytes a second", "Bps", "timeseries", [(rate("framehouse_fetched_bytes_total"), "fetched"),
                                                 (rate("framehouse_parts_bytes_total"), "parts written")], ""),
        ("Busy", "short", "timeseries", [(rate("framehouse_decode_seconds_total"), "decoding"),
                                         (rate("framehouse_infer_seconds_total", "model"), "inferring {{model}}"),
                                         (rate("framehouse_worker_cpu_seconds_total"), "CPU of workers")],
         "Seconds a second: 2 is two workers' worth"),
        ("Hops, 95 %", "s", "timeseries", [(quantile(0.95, "framehouse_hop_seconds", "hop"), "{{hop}}")], ""),
        ("From submission to rows", "s", "timeseries", [(quantile(0.5, "framehouse_job_seconds"), "half"),
                                                        (quantile(0.95, "framehouse_job_seconds"), "95 %")], ""),
        ("Chunks, 95 %", "s", "timeseries", [(quantile(0.95, "framehouse_chunk_seconds"), "chunk")], ""),
        ("Loads", "s", "timeseries", [(quantile(0.95, "framehouse_publish_seconds"), "load and publish, 95 %"),
                                      (rate("framehouse_loads_total", "kind"), "{{kind}} a second")], ""),
    ]),
    ("Trouble", [
        ("Failed hops", "short", "timeseries",
         [(f"sum by (hop, code) ({one('increase(framehouse_errors_total[1h])')})", "{{hop}} {{code}}")], "In an hour"),
        ("Tried again", "short", "timeseries",
         [(f"sum by (what) ({one('increase(framehouse_retries_total[1h])')})", "{{what}}"),
          (f"sum ({one(GIVEN_UP)})", "chunks given up")],
         "In an hour"),
        ("Gaps", "short", "timeseries",
         [(f"sum by (model, reason) ({one('increase(framehouse_gaps_total[1h])')})", "{{model}} {{reason}}")],
         "Frames in an hour"),
        ("Jobs ended", "short", "timeseries",
         [(f"sum by (outcome) ({one('increase(framehouse_jobs_ended_total[1h])')})", "{{outcome}}")], "In an hour"),
        ("Restarts", "short", "timeseries",
         [(f"sum by (part) ({one('increase(framehouse_part_restarts_total[1h])')})", "{{part}}")], "In an hour"),
    ]),
    ("Triton", [
        ("Requests a second", "short", "timeseries",
         [(rate("framehouse_triton_requests_total", "triton_model"), "{{triton_model}}"),
          (rate("framehouse_triton_failures_total", "triton_model"), "{{triton_model}} failed")], ""),
        ("Latency", "s", "timeseries",
         [(f"{rate('framehouse_triton_request_seconds_total', 'triton_model')} / "
           f"{rate('framehouse_triton_requests_total', 'triton_model')}", "{{triton_model}}")], "Mean of a request"),
        ("Waiting for an instance", "s", "timeseries",
         [(f"{rate('framehouse_triton_queue_seconds_total', 'triton_model')} / "
           f"{rate('framehouse_triton_requests_total', 'triton_model')}", "{{triton_model}}")], "Mean of a request"),
        ("Computing", "short", "timeseries",
         [(rate("framehouse_triton_compute_seconds_total", "triton_model"), "{{triton_model}}")], "Seconds a second"),
        ("Requests a batch", "short", "timeseries",
         [(f"{rate('framehouse_triton_requests_total', 'triton_model')} / "
           f"{rate('framehouse_triton_executions_total', 'triton_model')}", "{{triton_model}}")], ""),
        ("Loading models", "s", "timeseries",
         [(f"sum by (model) ({one('increase(framehouse_model_load_seconds_total[1h])')})", "{{model}}")],
         "Seconds that chunks waited in an hour"),
    ]),
    ("API", [
        ("Requests a second", "reqps", "timeseries",
         [(rate("framehouse_api_requests_total", "route, method"), "{{method}} {{route}}")], ""),
        ("Answers that are no success", "reqps", "timeseries",
         [(rate('framehouse_api_requests_total{status=~"[45].."}', "route, status"), "{{status}} {{route}}")], ""),
        ("Answers, 95 %", "s", "timeseries",
         [(quantile(0.95, "framehouse_api_request_seconds", "route"), "{{route}}")], ""),
    ]),
    ("Archive", [
        ("Frames in the ledger", "short", "timeseries",
         [(one("framehouse_frames"), "{{model}} {{status}}")], "Of the published snapshot"),
        ("Leases and log", "short", "timeseries", [(one("framehouse_leases"), "leases"),
                                                   (one("framehouse_load_log"), "load log")], ""),
    ]),
]  # fmt: skip


def panels() -> Iterator[dict[str, Any]]:
    """Rows of panels, laid out four a line for stats and two or three for the others."""
    ids, y = count(1), 0
    for row, found in ROWS:
        yield {"id": next(ids), "type": "row", "title": row, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}  # fmt: skip
        y += 1
        per_line = 4 if len(found) % 4 == 0 else 3 if len(found) % 3 == 0 else 2
        for i, (title, unit, kind, targets, text) in enumerate(found):
            width = WIDTH // per_line
            place = {"x": i % per_line * width, "y": y + i // per_line * 8, "w": width, "h": 8}
            yield panel(next(ids), title, unit, kind, targets, text, place)
        y += 8 * -(-len(found) // per_line)


def panel(
    number: int, title: str, unit: str, kind: str, targets: list[tuple[str, str]], text: str, place: dict[str, int]
) -> dict[str, Any]:
    """One panel."""
    return {
        "id": number, "type": kind, "title": title, "description": text, "datasource": SOURCE, "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
        if kind == "timeseries" else {"textMode": "value_and_name", "reduceOptions": {"calcs": ["lastNotNull"]}},
        "targets": [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend}
                    for i, (expr, legend) in enumerate(targets)],
    }  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The whole of it."""
    return {
        "uid": "framehouse", "title": "Framehouse", "tags": ["framehouse"], "schemaVersion": 41, "version": 1,
        "editable": False, "refresh": "30s", "time": {"from": "now-6h", "to": "now"}, "timezone": "",
        "templating": {"list": []}, "annotations": {"list": []}, "panels": list(panels()),
    }  # fmt: skip


def main() -> None:
    """Write it, or with `--check` say whether it is up to date."""
    made = json.dumps(dashboard(), indent=1) + "\n"
    if "--check" in sys.argv:
        sys.exit(0 if OUT.is_file() and OUT.read_text() == made else 1)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(made)


if __name__ == "__main__":
    main()
