"""How long work will take, from how long the like of it took: speeds of earlier runs, and how far they were off.

A run's time is taken as `start_s + factor × busy`, where busy is the seconds of decoding and of every model, each by
its own measured speed. Both numbers are fitted to earlier runs, and so is the band: four of five of them lay in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from framehouse.catalog.backlog import Debt
from framehouse.results.lake import Estimate, RunRecord, VideoRecord

PIXEL_S = 1.3e-9
"""Seconds per pixel that the decoder goes through, where nothing was measured: 1080p H.264 on one core, without the
reference-free frames that it skips (the figure behind `make bench`)."""
START_S = 2.5
"""Seconds of a run that neither decodes nor infers, where nothing was measured."""
UNKNOWN_FRAME_S = 0.05
_GUESS_BAND = (0.4, 2.5)
_FEW = 5
_LAST_RUNS = 200


@dataclass(frozen=True, slots=True)
class Speeds:
    """Speeds of this installation.

    Attributes:
        frame_s: seconds of inference per frame, by model digest, then by model_id.
        pixel_s: seconds of decoding per pixel that the decoder goes through.
        start_s: seconds of a run before and after.
        factor: seconds of a run per busy second.
        low: least share of an estimate that four of five runs took; `high`: the most.
        n_runs: runs that were looked at; 0 means that all figures are those of the cards.
        paid_s: (CPU, GPU) seconds per frame, by model digest, then by model_id: decoding and everything else included.
    """

    frame_s: Mapping[str, float]
    pixel_s: float = PIXEL_S
    start_s: float = START_S
    factor: float = 1.0
    low: float = _GUESS_BAND[0]
    high: float = _GUESS_BAND[1]
    n_runs: int = 0
    paid_s: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def of_model(self, model_id: str, model_digest: str) -> float:
        """Seconds per frame of a model."""
        return self.frame_s.get(model_digest, self.frame_s.get(model_id, UNKNOWN_FRAME_S))


def card_speed_s(speed: Mapping[str, object]) -> float | None:
    """Seconds per frame from the `[speed]` of a model card; None where it says none."""
    table = speed.get("server_cpu_ms_per_frame")
    if isinstance(table, list) and table and isinstance(table[0], dict):
        return float(table[0]["ms"]) / 1000
    network = speed.get("network_ms")
    return float(network) / 1000 if isinstance(network, int | float) else None


def measure(
    runs: Sequence[RunRecord], videos: Mapping[str, VideoRecord], cards: Mapping[str, float] | None = None
) -> Speeds:
    """Speeds from the newest runs that inferred something.

    Args:
        runs: oldest first.
        videos: records by video_id.
        cards: seconds per frame by model_id, for models that never ran.
    """
    useful = [run for run in runs if run.worked_s > 0 and any(use.n_inferred for use in run.models)][-_LAST_RUNS:]
    useful = [run for run in useful if run.video_id in videos]
    if not useful:
        return Speeds(dict(cards or {}))
    frame_s = {**(cards or {}), **_model_speeds(useful)}
    passed = sum(_pixels(run, videos) for run in useful)
    pixel_s = sum(run.decode_s for run in useful) / passed if passed else PIXEL_S
    speeds = Speeds(frame_s, pixel_s)
    busy = np.array([_busy_of_run(run, videos, speeds) for run in useful])
    took = np.array([run.worked_s for run in useful])
    start_s, factor = _fit(busy, took)
    low, high = _band(took / (start_s + factor * busy))
    return Speeds(frame_s, pixel_s, start_s, factor, low, high, len(useful), _paid(useful))


def _paid(runs: Sequence[RunRecord]) -> dict[str, tuple[float, float]]:
    sums: dict[str, np.ndarray] = {}
    for run in runs:
        for use in run.models:
            for name in (use.model_id, use.model_digest) if use.n_paid else ():
                sums[name] = sums.get(name, np.zeros(3)) + np.array([use.cpu_s, use.gpu_s, use.n_paid])
    return {name: (float(cpu_s / n), float(gpu_s / n)) for name, (cpu_s, gpu_s, n) in sums.items()}


def _model_speeds(runs: Sequence[RunRecord]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    frames: dict[str, int] = {}
    for run in runs:
        for use in run.models:
            for name in (use.model_id, use.model_digest):
                seconds[name] = seconds.get(name, 0.0) + use.infer_s
                frames[name] = frames.get(name, 0) + use.n_inferred
    return {name: seconds[name] / n for name, n in frames.items() if n}


def _pixels(run: RunRecord, videos: Mapping[str, VideoRecord]) -> float:
    video = videos[run.video_id or ""]
    return float(run.n_passed) * video.width * video.height


def _busy_of_run(run: RunRecord, videos: Mapping[str, VideoRecord], speeds: Speeds) -> float:
    inferring = sum(use.n_inferred * speeds.of_model(use.model_id, use.model_digest) for use in run.models)
    return inferring + _pixels(run, videos) * speeds.pixel_s


def _fit(busy: np.ndarray, took: np.ndarray) -> tuple[float, float]:
    """(start_s, factor): a line through the runs where there are enough that differ, else the usual start."""
    if busy.size >= _FEW and busy.max() > 2 * busy.min() + 1.0:
        scale = START_S + busy  # errors count in proportion to the size of the run
        matrix = np.column_stack([np.ones_like(busy), busy]) / scale[:, None]
        start_s, factor = np.linalg.lstsq(matrix, took / scale, rcond=None)[0]
        if start_s >= 0 and factor > 0:
            middle = float(np.median(took / (start_s + factor * busy)))
            return float(start_s) * middle, float(factor) * middle
    start_s = min(START_S, float(took.min()) / 2)
    return start_s, float(np.median((took - start_s) / np.maximum(busy, 1e-3)))


def _band(ratio: np.ndarray) -> tuple[float, float]:
    """Shares of the estimate between which four of five runs lay; a few runs say little, so the band is wide then."""
    low, high = (float(bound) for bound in np.quantile(ratio, [0.1, 0.9]))
    if ratio.size < _FEW:
        return min(low, 0.5), max(high, 2.0)
    return min(low, 0.9), max(high, 1.1)


def estimate(debt: Debt, speeds: Speeds, *, fetch_bytes: int) -> Estimate:
    """What a job is expected to cost. `fetch_bytes`: what has to be moved here first; its time is not known."""
    seconds = speeds.start_s + speeds.factor * _busy_of_debt(debt, speeds)
    cpu_s, gpu_s = _paid_for_debt(debt, speeds)
    return Estimate(
        n_frames=debt.n_owed,
        seconds=round(seconds, 2),
        low_s=round(seconds * speeds.low, 2),
        high_s=round(seconds * speeds.high, 2),
        fetch_bytes=fetch_bytes,
        read_bytes=debt.read_bytes,
        n_runs=speeds.n_runs,
        cpu_s=round(cpu_s, 2),
        gpu_s=round(gpu_s, 2),
    )


def _paid_for_debt(debt: Debt, speeds: Speeds) -> tuple[float, float]:
    """(CPU, GPU) seconds; a model that never ran here is taken for one that a CPU serves."""
    cpu_s = gpu_s = 0.0
    n_frames = sum(model.n_owed for model in debt.models)
    decode_s = debt.n_passed * debt.video.width * debt.video.height * speeds.pixel_s
    for model in debt.models:
        paid = speeds.paid_s.get(model.model_digest, speeds.paid_s.get(model.model_id))
        if paid is None:
            inferring = model.n_owed * speeds.of_model(model.model_id, model.model_digest)
            cpu_s += inferring + decode_s * model.n_owed / max(1, n_frames)
        else:
            cpu_s, gpu_s = cpu_s + model.n_owed * paid[0], gpu_s + model.n_owed * paid[1]
    return cpu_s, gpu_s


def _busy_of_debt(debt: Debt, speeds: Speeds) -> float:
    inferring = sum(model.n_owed * speeds.of_model(model.model_id, model.model_digest) for model in debt.models)
    return inferring + debt.n_passed * debt.video.width * debt.video.height * speeds.pixel_s


def together(estimates: Sequence[Estimate], speeds: Speeds, slots: int) -> Estimate:
    """All of it: the work adds up, for the machine is shared; of the starts, `slots` pass at once."""
    starts_s = speeds.start_s * max(0, len(estimates) - 1) * (1 - 1 / max(1, slots))
    seconds = sum(one.seconds for one in estimates) - starts_s
    return Estimate(
        n_frames=sum(one.n_frames for one in estimates),
        seconds=round(seconds, 2),
        low_s=round(seconds * speeds.low, 2),
        high_s=round(seconds * speeds.high, 2),
        fetch_bytes=sum(one.fetch_bytes for one in estimates),
        read_bytes=sum(one.read_bytes for one in estimates),
        n_runs=speeds.n_runs,
        cpu_s=round(sum(one.cpu_s for one in estimates), 2),
        gpu_s=round(sum(one.gpu_s for one in estimates), 2),
    )
