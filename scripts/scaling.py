"""Capacity by calculation, and the simulation that supports it: writes the tables of docs/scaling.md.

    python scripts/scaling.py              the tables, from docs/scaling-costs.json and the last simulation
    python scripts/scaling.py --simulate   run the simulations again first (a minute)

The calculation multiplies measured costs by what a workload asks for. It cannot see waiting; the simulation can:
videos arrive by chance and by the hour of the day, chunks queue for workers and for Triton, workers die, stores refuse,
and one loader publishes everything.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import simpy

ROOT = Path(__file__).resolve().parents[1]
COSTS, SIMULATED, PAGE = (
    ROOT / "docs" / "scaling-costs.json",
    ROOT / "docs" / "scaling-simulation.json",
    ROOT / "docs" / "scaling.md",
)
MARKS = {
    name: (f"<!-- {name}: written by scripts/scaling.py -->", f"<!-- end of {name} -->")
    for name in ("costs", "needs", "bottlenecks", "simulation")
}
MODELS = ("detector", "clip/1")
CHUNK_S = 20.0
"""Seconds of video in a chunk (whole groups of pictures, 10 to 30 s)."""
FULL = 0.7
"""Share of its time that a part of the system is planned to work; beyond it, waiting grows faster than the work."""
GPU_FRAMES_PER_S = 800.0
"""Frames x models a second of one data-centre GPU at these model sizes. An assumption, not measured here."""
CONNECTION_BYTES_PER_S = 40e6
"""What one download from an object store gets. An assumption."""


@dataclass(frozen=True, slots=True)
class Workload:
    """So many hours of video in so many days; `daily`: every day anew, else a backlog that is worked off."""

    name: str
    hours: float
    days: float
    daily: bool = False
    video_s: float = 600.0
    infer_fps: str = "5"

    @property
    def hours_per_s(self) -> float:
        """Hours of video in a second of the day."""
        return self.hours / (self.days * 86400.0)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a workload needs, on average over its time; cores are cores busy."""

    frames_per_s: float
    runs_per_s: float
    runs: float
    decode_cores: float
    infer_cores: float
    flow_cores: float
    prefect_cores: float
    loader_cores: float
    scheduler_cores: float
    read_bytes_per_s: float
    part_bytes: float
    database_bytes: float

    @property
    def worker_cores(self) -> int:
        """Cores to buy for decoding and flow runs."""
        return math.ceil((self.decode_cores + self.flow_cores) / FULL)

    @property
    def triton_cores(self) -> int:
        """Cores to buy where inference has no GPU."""
        return math.ceil(self.infer_cores / FULL)

    @property
    def gpus(self) -> int:
        """GPUs to buy instead of them, as assumed."""
        return math.ceil(self.frames_per_s * len(MODELS) / GPU_FRAMES_PER_S / FULL)

    @property
    def single(self) -> dict[str, float]:
        """What exists once -> share of its time that it works."""
        return {
            "Prefect server (one process)": self.prefect_cores,
            "loader (one process)": self.loader_cores,
            "Dask scheduler (one process)": self.scheduler_cores,
        }


def workloads(costs: dict[str, Any]) -> list[Workload]:
    """The sizes of the page: 1 TB, 100 TB, and 10,000 hours every day."""
    hours_per_tb = 1e12 / costs["video_bytes_per_hour"]
    return [
        Workload("1 TB in a week", hours_per_tb, 7),
        Workload("100 TB in 30 days", 100 * hours_per_tb, 30),
        Workload("10,000 hours a day", 10_000, 1, daily=True),
        Workload("the same at 1 frame/s", 10_000, 1, daily=True, infer_fps="1"),
        Workload("the same in clips of 60 s", 10_000, 1, daily=True, video_s=60.0),
    ]


def needs(load: Workload, costs: dict[str, Any]) -> Needs:
    """Measured costs times what is asked for."""
    job, fps = costs["job_cpu_s"], float(load.infer_fps)
    frames_per_s = load.hours_per_s * 3600 * fps
    runs_per_s = load.hours_per_s * 3600 / load.video_s
    n_frames = load.hours * 3600 * fps
    per_frame = sum(costs["infer_cpu_s_per_frame"][model] for model in MODELS)
    loaded = costs["load_cpu_s_per_million_frames"] / 1e6 * len(MODELS)
    return Needs(
        frames_per_s=frames_per_s,
        runs_per_s=runs_per_s,
        runs=load.hours * 3600 / load.video_s,
        decode_cores=load.hours_per_s * costs["decode_cpu_s_per_hour"][load.infer_fps],
        infer_cores=frames_per_s * per_frame,
        flow_cores=runs_per_s * job["runner"],
        prefect_cores=runs_per_s * job["prefect"],
        loader_cores=2 * frames_per_s * loaded
        + runs_per_s * job["loader"],  # two files take turns: all is loaded twice
        scheduler_cores=runs_per_s * job["dask-scheduler"] * max(1.0, load.video_s / CHUNK_S),
        read_bytes_per_s=load.hours_per_s * costs["video_bytes_per_hour"],
        part_bytes=n_frames * sum(costs["part_bytes_per_frame"][model] for model in MODELS),
        database_bytes=n_frames * costs["database_bytes_per_frame"] * len(MODELS) * 2,
    )


# ── simulation ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Plant:
    """What there is to work with, and how it fails."""

    workers: int
    triton_slots: int
    triton_frame_s: float
    run_slots: int
    worker_mtbf_s: float = 12 * 3600.0
    worker_restart_s: float = 6.0
    poison_share: float = 2e-4
    refuse_share: float = 0.02
    peak: float = 1.6
    """Rate of the busiest hour over the mean, where videos arrive all day."""


@dataclass(slots=True)
class Seen:
    """What a simulation saw."""

    n_arrived: int = 0
    n_done: int = 0
    n_chunks: int = 0
    n_lost: int = 0
    n_quarantined: int = 0
    n_refused: int = 0
    latency_s: list[float] = field(default_factory=list)
    busy_s: dict[str, float] = field(default_factory=dict)
    longest_queue: dict[str, int] = field(default_factory=dict)


class Simulation:
    """One workload through one plant, for a while; then what has arrived is finished."""

    def __init__(self, load: Workload, costs: dict[str, Any], plant: Plant, seed: int) -> None:
        self.load, self.costs, self.plant, self.rng = load, costs, plant, random.Random(seed)
        self.env = simpy.Environment()
        self.seen = Seen()
        self.at = {
            "workers": simpy.Resource(self.env, plant.workers),
            "triton": simpy.Resource(self.env, plant.triton_slots),
            "runs": simpy.Resource(self.env, plant.run_slots),
            "prefect": simpy.Resource(self.env, 1),
            "scheduler": simpy.Resource(self.env, 1),
        }
        self.waiting_rows: list[tuple[float, float]] = []
        """(arrived, frames x models) of jobs whose rows wait for the loader."""
        self.all_arrived = False

    def run(self, duration_s: float) -> Seen:
        """Let videos arrive for so long, and finish them."""
        self.env.process(self._arrivals(duration_s))
        self.env.run(self.env.process(self._loader()))
        self.seen.busy_s = {key: round(value, 3) for key, value in self.seen.busy_s.items()}
        return self.seen

    def _arrivals(self, duration_s: float) -> Iterator[Any]:
        mean_s = self.load.video_s / (self.load.hours_per_s * 3600)
        while self.env.now < duration_s:
            wave = (
                1 + (self.plant.peak - 1) * math.sin(2 * math.pi * self.env.now / duration_s) if self.load.daily else 1
            )
            yield self.env.timeout(self.rng.expovariate(1.0) * mean_s / wave)
            self.seen.n_arrived += 1
            self.env.process(self._video())
        self.all_arrived = True

    def _use(self, name: str, seconds: float) -> Iterator[Any]:
        resource = self.at[name]
        with resource.request() as request:
            self.seen.longest_queue[name] = max(self.seen.longest_queue.get(name, 0), len(resource.queue))
            yield request
            yield self.env.timeout(seconds)
            self._worked(name, seconds)

    def _worked(self, name: str, seconds: float) -> None:
        self.seen.busy_s[name] = self.seen.busy_s.get(name, 0.0) + seconds

    def _video(self) -> Iterator[Any]:
        arrived, job = self.env.now, self.costs["job_cpu_s"]
        length_s = min(self.rng.lognormvariate(math.log(self.load.video_s) - 0.32, 0.8), 20 * self.load.video_s)
        yield from self._use("prefect", 0.6 * job["prefect"])
        with self.at["runs"].request() as slot:
            self.seen.longest_queue["runs"] = max(self.seen.longest_queue.get("runs", 0), len(self.at["runs"].queue))
            yield slot
            began = self.env.now
            yield from self._fetch(length_s)
            yield self.env.timeout(job["runner"])
            n_chunks = max(1, round(length_s / CHUNK_S))
            chunks = [self.env.process(self._chunk(length_s / n_chunks)) for _ in range(n_chunks)]
            yield simpy.AllOf(self.env, chunks)
            self._worked("runs", self.env.now - began)
        yield from self._use("prefect", 0.4 * job["prefect"])
        self.waiting_rows.append((arrived, length_s * float(self.load.infer_fps) * len(MODELS)))

    def _fetch(self, length_s: float) -> Iterator[Any]:
        wait_s = 1.0
        while self.rng.random() < self.plant.refuse_share:  # back-off, as storage/backoff.py
            self.seen.n_refused += 1
            yield self.env.timeout(wait_s * self.rng.uniform(1.0, 1.5))
            wait_s = min(2 * wait_s, 30.0)
        yield self.env.timeout(length_s * self.costs["video_bytes_per_hour"] / 3600 / CONNECTION_BYTES_PER_S)

    def _chunk(self, chunk_s: float) -> Iterator[Any]:
        """Decode and inference overlap; a death costs the chunk as far as it was, and a poisoned one two deaths."""
        deaths = 2 if self.rng.random() < self.plant.poison_share else 0
        self.seen.n_quarantined += deaths // 2
        decode_s = chunk_s / 3600 * self.costs["decode_cpu_s_per_hour"][self.load.infer_fps]
        infer_s = chunk_s * float(self.load.infer_fps) * len(MODELS) * self.plant.triton_frame_s
        while True:
            yield from self._use("scheduler", self.costs["job_cpu_s"]["dask-scheduler"])
            workers = self.at["workers"]
            with workers.request() as request:
                self.seen.longest_queue["workers"] = max(self.seen.longest_queue.get("workers", 0), len(workers.queue))
                yield request
                began = self.env.now
                dies = deaths > 0 or self.rng.random() < 1 - math.exp(-(decode_s + infer_s) / self.plant.worker_mtbf_s)
                share = self.rng.random() if dies else 1.0
                infer = self.env.process(self._use("triton", share * infer_s))
                yield self.env.timeout(share * decode_s) & infer
                self._worked("workers", self.env.now - began)
                if dies:
                    yield self.env.timeout(self.plant.worker_restart_s)
            if not dies:
                self.seen.n_chunks += 1
                return
            self.seen.n_lost += 1
            deaths -= 1
            if deaths == 0:
                return  # twice dead alone: quarantined, its frames are gaps

    def _loader(self) -> Iterator[Any]:
        """Every two seconds, or as soon as it is free: everything that waits, in one publish."""
        while not self.all_arrived or self.seen.n_done < self.seen.n_arrived:
            yield self.env.timeout(2.0)
            taken, self.waiting_rows = self.waiting_rows, []
            if not taken:
                continue
            n = sum(frames for _, frames in taken)
            busy_s = 2 * n * self.costs["load_cpu_s_per_million_frames"] / 1e6
            busy_s += len(taken) * self.costs["job_cpu_s"]["loader"]
            yield self.env.timeout(busy_s)
            self._worked("loader", busy_s)
            self.seen.n_done += len(taken)
            self.seen.latency_s += [self.env.now - arrived for arrived, _ in taken]


def plant_for(need: Needs, load: Workload) -> Plant:
    """What the calculation would buy, in GPUs."""
    run_slots = math.ceil(need.runs_per_s * (load.video_s / 8 + 30) / FULL)  # Little: runs in the system
    return Plant(max(2, need.worker_cores), need.gpus, 1 / GPU_FRAMES_PER_S, max(4, run_slots))


def simulate(load: Workload, costs: dict[str, Any], *, hours: float, seed: int = 1) -> dict[str, Any]:
    """A row of the page's last table."""
    plant = plant_for(needs(load, costs), load)
    simulation = Simulation(load, costs, plant, seed)
    seen = simulation.run(hours * 3600)
    lasted_s, ordered = simulation.env.now, sorted(seen.latency_s)
    sizes = {"workers": plant.workers, "triton": plant.triton_slots, "runs": plant.run_slots}
    return {
        "workload": load.name, "hours": hours, "seed": seed, "plant": asdict(plant),
        "busy": {name: round(busy / lasted_s / sizes.get(name, 1), 3) for name, busy in sorted(seen.busy_s.items())},
        "n_videos": seen.n_arrived, "n_done": seen.n_done, "n_chunks": seen.n_chunks, "n_lost": seen.n_lost,
        "n_quarantined": seen.n_quarantined, "n_refused": seen.n_refused,
        "p50_s": round(ordered[len(ordered) // 2], 1), "p95_s": round(ordered[int(len(ordered) * 0.95)], 1),
        "longest_queue": seen.longest_queue,
    }  # fmt: skip


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────────────────


def tables(document: dict[str, Any], simulated: list[dict[str, Any]]) -> dict[str, str]:
    """Name of the mark -> its table."""
    costs = document["costs"]
    found = [(load, needs(load, costs)) for load in workloads(costs)]
    return {
        "costs": _costs_table(document),
        "needs": _needs_table(found),
        "bottlenecks": _bottleneck_table(found),
        "simulation": _simulation_table(simulated),
    }


def _costs_table(document: dict[str, Any]) -> str:
    costs, machine = document["costs"], document["machine"]
    job = costs["job_cpu_s"]
    lines = [
        ["decode and scale an hour of 1080p30 at 1 frame/s", f"{costs['decode_cpu_s_per_hour']['1']:.0f} CPU-s"],
        ["the same at 5 frames/s", f"{costs['decode_cpu_s_per_hour']['5']:.0f} CPU-s"],
        *([f"`{model}` on a frame, in Triton, on CPU", f"{1e3 * cost:.1f} CPU-ms"]
          for model, cost in costs["infer_cpu_s_per_frame"].items()),
        *([f"a job, in {name}", f"{cost:.2f} CPU-s"] for name, cost in sorted(job.items())),
        ["load a million frames of one model, once", f"{costs['load_cpu_s_per_million_frames']:.0f} CPU-s"],
        *([f"part of `{model}`, a frame", f"{n:.0f} bytes"] for model, n in costs["part_bytes_per_frame"].items()),
        ["database, a frame and model with 2 boxes, one file", f"{costs['database_bytes_per_frame']:.0f} bytes"],
        ["an hour of such video", f"{costs['video_bytes_per_hour'] / 1e9:.2f} GB"],
    ]  # fmt: skip
    when = f"Measured {document['at']} on {machine['cores']} cores ({machine['cpu']}), commit {document['commit']}.\n\n"
    return when + table(["what", "costs"], lines)


def _needs_table(found: list[tuple[Workload, Needs]]) -> str:
    head = ["", *(load.name for load, _ in found)]
    rows = {
        "hours of video": [f"{load.hours:,.0f}" for load, _ in found],
        "frames × models a second": [f"{need.frames_per_s * len(MODELS):,.0f}" for _, need in found],
        "Prefect runs": [f"{need.runs:,.0f}" + (" a day" if load.daily else "") for load, need in found],
        "cores that decode and run flows": [f"{need.worker_cores}" for _, need in found],
        "cores for Triton, without GPU": [f"{need.triton_cores}" for _, need in found],
        "Triton replicas of 8 such cores": [f"{math.ceil(need.triton_cores / 8)}" for _, need in found],
        "or GPUs (assumed 800 frames/s each)": [f"{need.gpus}" for _, need in found],
        "reading from the store": [f"{need.read_bytes_per_s / 1e6:,.0f} MB/s" for _, need in found],
        "parts in the lake": [size(need.part_bytes, load) for load, need in found],
        "database, both files": [size(need.database_bytes, load) for load, need in found],
    }
    return table(head, [[name, *cells] for name, cells in rows.items()])


def size(n_bytes: float, load: Workload) -> str:
    """Bytes for people; by the day where the workload is."""
    text = f"{n_bytes / 1e9:,.1f} GB" if n_bytes < 1e12 else f"{n_bytes / 1e12:,.1f} TB"
    return text + (" a day" if load.daily else "")


def _bottleneck_table(found: list[tuple[Workload, Needs]]) -> str:
    lines = []
    for load, need in found:
        name, share = max(need.single.items(), key=lambda item: item[1])
        shares = [f"{100 * value:.1f} %" for value in need.single.values()]
        verdict = name if share > FULL else "none of these; cores for inference"
        lines.append([load.name, *shares, verdict, f"{FULL / share:,.1f} x"])
    head = ["workload", "Prefect server", "loader", "Dask scheduler", "first bottleneck", f"room to {FULL:.0%}"]
    return table(head, lines)


def _simulation_table(simulated: list[dict[str, Any]]) -> str:
    lines = [
        [
            *(row["workload"], f"{row['hours']:g} h", f"{row['n_videos']:,}", f"{row['n_done']:,}"),
            *(f"{row['plant']['workers']}", f"{row['plant']['triton_slots']}"),
            *(
                f"{100 * row['busy'].get(name, 0):.0f} %"
                for name in ("workers", "triton", "prefect", "scheduler", "loader")
            ),
            *(f"{row['p50_s']:,.0f} s", f"{row['p95_s']:,.0f} s"),
            f"{row['n_lost']} of {row['n_chunks']:,}",
        ]
        for row in simulated
    ]
    head = ["workload", "simulated", "videos", "done", "workers", "GPUs", "workers busy", "GPUs busy", "Prefect busy",
            "scheduler busy", "loader busy", "p50", "p95", "chunks done again"]  # fmt: skip
    return table(head, lines)


def table(columns: list[str], lines: list[list[str]]) -> str:
    """A table in Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [columns, ["---"] * len(columns), *lines])


def page(text: str, found: dict[str, str]) -> str:
    """The page with its tables as they should be."""
    for name, (start, end) in MARKS.items():
        before, rest = text.split(start)
        _, after = rest.split(end)
        text = f"{before}{start}\n\n{found[name]}\n{end}{after}"
    return text


def main() -> int:
    """Simulate when asked to; write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulate", action="store_true")
    given = parser.parse_args()
    document = json.loads(COSTS.read_text())
    if given.simulate:
        costs = document["costs"]
        hours = {"1 TB in a week": 48.0, "100 TB in 30 days": 6.0}
        rows = [simulate(load, costs, hours=hours.get(load.name, 2.0)) for load in workloads(costs)]
        SIMULATED.write_text(json.dumps(rows, indent=1) + "\n")
    PAGE.write_text(page(PAGE.read_text(), tables(document, json.loads(SIMULATED.read_text()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
