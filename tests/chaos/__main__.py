"""`python -m chaos` from tests/, or `make chaos`: two passes, the comparison, a JSON report and a table of it.

The first pass is undisturbed. The second has the same videos in a stack of its own, while processes are killed. Exit
code 0 means: equal tables, no unexplained gap, no duplicate, every load the same again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaos.run import Pass, run_pass
from chaos.videos import make_videos

N_REPLAYS = 10
"""Replays of every load."""
FPS = "10"
"""Frames sampled per second unless told otherwise; the videos have 10 to 30."""
STALL_S = 45.0
"""How long a chunk may stand still: what the hanging video costs, several times."""


def chaos(
    n_videos: int, kills: int, seed: int, folder: Path, fps: str = FPS, stall_s: float = STALL_S
) -> dict[str, Any]:
    """Run both passes; returns the report, whose `faults` are empty when all is well."""
    began = time.monotonic()
    videos = make_videos(folder / "videos", n_videos)
    patience_s = 300.0 + 5 * n_videos + 30 * kills
    same: dict[str, Any] = {"fps": fps, "stall_s": stall_s, "patience_s": patience_s}
    calm = run_pass(videos, folder / "calm", **same)
    wild = run_pass(videos, folder / "wild", **same, kills=kills, seed=seed, replays=N_REPLAYS)
    return {
        "seed": seed,
        "fps": fps,
        "n_videos": n_videos,
        "n_kills": sum(wild.kills.values()),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "elapsed_s": round(time.monotonic() - began, 1),
        "calm": asdict(calm),
        "wild": asdict(wild),
        "waste_share": _waste(calm, wild),
        "faults": faults(calm, wild, kills),
    }


def _waste(calm: Pass, wild: Pass) -> dict[str, float]:
    """Frames × models computed beyond those that are stored, as a share of them."""
    passes = {"calm": calm, "wild": wild}
    return {name: round(one.n_inferred / max(1, one.counts["n_loaded"]) - 1, 4) for name, one in passes.items()}


def faults(calm: Pass, wild: Pass, kills: int) -> list[str]:
    """What is not as it must be."""
    found = [*calm.problems, *wild.problems]
    differing = sorted(name for name in calm.checksum if calm.checksum[name] != wild.checksum.get(name))
    if differing or calm.checksum.keys() != wild.checksum.keys():
        found.append(f"tables differ: {differing or sorted(calm.checksum.keys() ^ wild.checksum.keys())}")
    for name, one in {"calm": calm, "wild": wild}.items():
        found += [f"{name}: {key} is {one.counts[key]}" for key in ("n_unexplained", "n_duplicates") if one.counts[key]]
        found += [f"{name}: no {key}" for key in ("n_detections", "n_embeddings") if not one.counts[key]]
    if calm.jobs != wild.jobs:
        found.append(f"jobs ended otherwise: {calm.jobs} and {wild.jobs}")
    if sum(wild.kills.values()) < kills:
        found.append(f"only {sum(wild.kills.values())} of {kills} kills fell into the work")
    if wild.replayed_checksums != 1:
        found.append(f"{wild.replayed_checksums} different tables over {N_REPLAYS} replays of every load")
    return found


def table(report: dict[str, Any]) -> str:
    """The report for a person."""
    calm, wild, waste = report["calm"], report["wild"], report["waste_share"]

    def rows(group: str, words: str, keys: list[str] | None = None) -> list[tuple[str, int, int]]:
        named = keys or sorted({*calm[group], *wild[group]})
        return [
            (f"{words} {key.removeprefix('n_')}", calm[group].get(key, 0), wild[group].get(key, 0)) for key in named
        ]

    lines: list[tuple[str, Any, Any]] = [
        ("videos", report["n_videos"], report["n_videos"]),
        ("SIGKILLs", 0, report["n_kills"]),
        ("seconds from submission to the last job", calm["elapsed_s"], wild["elapsed_s"]),
        ("attempts of jobs", calm["attempts"], wild["attempts"]),
        ("requests the store refused (503, 429)", calm["n_refused"], wild["n_refused"]),
        *rows("jobs", "jobs"),
        *rows("counts", "frames × models", ["n_planned", "n_loaded", "n_gaps", "n_unexplained", "n_duplicates"]),
        *rows("gaps", "gaps"),
        ("chunks in quarantine", len(calm["quarantined"]), len(wild["quarantined"])),
        ("frames × models stored twice", calm["n_stored_twice"], wild["n_stored_twice"]),
        ("frames × models computed", calm["n_inferred"], wild["n_inferred"]),
        ("computed beyond what is stored", f"{100 * waste['calm']:.1f} %", f"{100 * waste['wild']:.1f} %"),
    ]
    kills = ", ".join(f"{kind} {n}" for kind, n in sorted(wild["kills"].items()))
    faulty = ["FAULTS", *report["faults"]]
    return "\n".join(
        [
            f"{'':<48}{'calm':>10}{'killed':>10}",
            *(f"{what:<48}{a!s:>10}{b!s:>10}" for what, a, b in lines),
            f"killed: {kills or 'nothing'}",
            f"seed {report['seed']}, {report['fps']} frames a second, {report['elapsed_s']} s, {report['machine']}",
            *(faulty if report["faults"] else ["equal tables, nothing lost, nothing twice"]),
        ]
    )


def main() -> int:
    """Parse, run, write, show."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--fps", default=FPS, help="frames sampled per second; fewer make a long run affordable")
    parser.add_argument("--out", type=Path, default=None, help="JSON report")
    parser.add_argument("--keep", type=Path, default=None, help="folder to work in; kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="framehouse-chaos-", ignore_cleanup_errors=True) as scratch:
        report = chaos(given.videos, given.kills, given.seed, given.keep or Path(scratch), given.fps)
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(report, indent=1, ensure_ascii=False))
    print(table(report))
    return 1 if report["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
