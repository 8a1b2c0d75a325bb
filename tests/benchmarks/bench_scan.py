"""How dear a scan is: 100,000 unchanged places of a folder and of a store's listing, and 10,000 new ones.

`make bench-scan` or `.venv/bin/python tests/benchmarks/bench_scan.py --keys 100000`. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framehouse.catalog.entries import Choice
from framehouse.catalog.scan import ScanReport, scan
from framehouse.results.lake import Lake
from framehouse.state import open_state
from framehouse.state.catalog_entries import Entries
from framehouse.state.catalogs import Catalogs, CatalogWish
from framehouse.storage.base import Source, VideoRef
from framehouse.storage.local import LocalSource


class ListedStore:
    """What a store's listing gives, without the network: objects with entity tags, by uri."""

    uri = "s3://bucket/videos"

    def __init__(self, n: int) -> None:
        self.n = n

    def list(self) -> Iterator[VideoRef]:
        for i in range(self.n):
            yield VideoRef(f"{self.uri}/{i // 1000:04}/{i:07}.mp4", 1000 + i, "2026-01-01T00:00:00+00:00", f"{i:032x}")

    def stat(self) -> VideoRef:
        raise NotImplementedError

    def fetch(self, dest_dir: Path, progress: object = None) -> Any:
        raise NotImplementedError


def folder_of(root: Path, n: int) -> LocalSource:
    """A folder of empty videos, a thousand in each subfolder."""
    for i in range(n):
        folder = root / f"{i // 1000:04}"
        if i % 1000 == 0:
            folder.mkdir(parents=True)
        path = folder / f"{i:07}.mp4"
        path.touch()
        os.utime(path, (1e9, 1e9))
    return LocalSource(root)


def measure(source: Source, entries: Entries, wish: CatalogWish, lake: Lake) -> tuple[ScanReport, dict[str, float]]:
    """One scan: wall and CPU seconds, and by how much the process's peak memory rose."""
    before, cpu, wall = peak_bytes(), time.process_time(), time.perf_counter()
    report = scan(entries, source, lake, Choice(wish, time.time(), 10.0))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    n = max(1, report.n_listed)
    return report, {
        "n": report.n_listed, "wall_s": round(wall, 2), "cpu_s": round(cpu, 2), "keys_per_s": round(n / wall),
        "keys_per_cpu_s": round(n / cpu), "peak_rise_bytes": peak_bytes() - before,
    }  # fmt: skip


def peak_bytes() -> int:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def bench(name: str, source: Source, home: Path) -> dict[str, Any]:
    """First scan (everything new), second scan (everything as before)."""
    state = open_state(f"sqlite:///{home / name}.db")
    wish = CatalogWish(name, source.uri, ("detector",))
    entries = Entries(state.engine, Catalogs(state.engine).add(wish))
    first, new = measure(source, entries, wish, Lake(home / "lake"))
    second, same = measure(source, entries, wish, Lake(home / "lake"))
    assert (first.n_new, first.n_jobs, second.n_same, second.n_jobs) == (new["n"], new["n"], new["n"], 0)
    return {"new": new, "unchanged": same}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    asked = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="bench-scan-"))
    try:
        store = bench("store", ListedStore(asked.keys), home)
        folder = bench("folder", folder_of(home / "videos", asked.keys), home)
        ten = bench("ten", ListedStore(min(10_000, asked.keys)), home)
    finally:
        shutil.rmtree(home)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    about = {"machine": platform.platform(), "cores": os.cpu_count(), "commit": commit}
    print(json.dumps({**about, "store": store, "folder": folder, "10k new": ten["new"]}, indent=1))


if __name__ == "__main__":
    main()
