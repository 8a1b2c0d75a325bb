"""Infer one chunk: what runs inside a Dask worker, from the file to parts in the lake.

One decode feeds every model, each at its own size; requests are in flight while the decoder goes on. What the chunk
already has as loaded is not decoded again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue

import numpy as np
import structlog
from numpy.typing import NDArray

from framehouse.errors import FramehouseError, InferenceTimeout, TritonUnavailable
from framehouse.inference.adapters.base import Adapter
from framehouse.inference.adapters.registry import ADAPTERS
from framehouse.inference.balance import connect_all
from framehouse.inference.specs import ModelSpec, TritonTarget
from framehouse.inference.triton import Answer
from framehouse.results.contract import FrameRows, time_offsets_s
from framehouse.results.kinds import KINDS
from framehouse.results.lake import Lake
from framehouse.results.parts import Part, PartHeader, owed
from framehouse.results.standing import GapPolicy, standing
from framehouse.tracing import span
from framehouse.video.decode import FrameBatch, FrameGap, decode
from framehouse.video.effort import n_passed
from framehouse.video.index import StreamFacts
from framehouse.video.sampling import FrameChunk

log = structlog.get_logger(__name__)

NO_PROGRESS = "decode.no_progress"
"""Reason of the gaps of a chunk whose decoder reads on and on and gives no frame."""
_GRACE_S = 5.0
_CHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class ChunkTask:
    """Everything a worker must know to infer one chunk; picklable.

    Attributes:
        planned: int64 [K], planned frame_offsets inside the chunk, strictly increasing.
        first_pts: pts of the first frame of the video.
        max_frames_per_part: a part is written for every so many settled instants of a model, so that a kill loses few.
        gaps: which gaps of earlier runs are tried again; the others stay as they are.
        stop_at: time (epoch seconds) after which nothing more is fed and what is not settled stays open; 0 never.
        priority: of the job; its requests go before or after others where the server has levels.
        frame_deadline_s: when packets are read for so long and no frame comes, the rest of the chunk is given up.
    """

    job_id: str
    video_id: str
    path: str
    stream: StreamFacts
    chunk: FrameChunk
    planned: NDArray[np.int64]
    first_pts: int
    models: tuple[ModelSpec, ...]
    lake_root: str
    triton: TritonTarget
    max_frames_per_part: int = 256
    gaps: GapPolicy = "every"
    stop_at: float = 0.0
    frame_deadline_s: float = 1800.0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class ModelTally:
    """What one model has of the chunk's planned instants after the run: `n_loaded + n_gaps + n_open` is all of them.

    Attributes:
        n_loaded: with those that earlier parts held.
        n_inferred: loaded in this run.
        gap_reasons: (reason, instants), sorted; those that were tried in this run, and those left alone.
        infer_s: wall seconds in which at least one request of this run to the model was unanswered.
        n_tried: settled in this run, as loaded or as gap.
        n_open: neither, because the run was to stop.
        new_gaps: (reason, instants), sorted; those that were tried in this run alone.
        load_s: seconds until the server had the model loaded.
    """

    model_id: str
    model_digest: str
    n_loaded: int
    n_gaps: int
    n_inferred: int
    gap_reasons: tuple[tuple[str, int], ...]
    infer_s: float
    n_tried: int = 0
    n_open: int = 0
    new_gaps: tuple[tuple[str, int], ...] = ()
    load_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ChunkReceipt:
    """Outcome of one chunk.

    Attributes:
        decode_s: wall seconds spent in the decoder.
        n_decoded: frames that came out of it.
        n_passed: frames that it had to go through for them.
        cpu_s: CPU seconds of the process meanwhile; it has one chunk at a time.
        n_bytes: of parts that were written.
    """

    chunk_id: str
    tallies: tuple[ModelTally, ...]
    decode_s: float
    wall_s: float
    n_decoded: int
    n_passed: int = 0
    cpu_s: float = 0.0
    n_bytes: int = 0


def infer_chunk(
    task: ChunkTask,
    beat: Callable[[], None] = lambda: None,
    check: Callable[[], None] = lambda: None,
    lake: Lake | None = None,
) -> ChunkReceipt:
    """Infer what the chunk owes to each model, and write it as parts.

    A frame that cannot be decoded, or that a model refuses, becomes a gap with its reason; gaps of earlier runs are
    tried again. A model that the server cannot give leaves gaps for all its frames; one that fails for now stops, and
    the others go on. Safe to repeat, also after a kill and while another worker does the same.

    Args:
        beat: called for every packet that is read and every answer of the server.
        check: called there too, and about once a second while nothing comes; raises when the chunk is to be left.
        lake: where parts are; without it the folder that the task names.

    Raises:
        LeaseLost: as `check` raises it; what was finished has been written.
        FramehouseError: retryable ones of the server, after what was finished has been written; any of the file, the
            disk or the configuration. Its fact `second` is where the chunk begins, unless it knows better.
    """
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    check()
    flow = _Flow(task, _ledgers(task, lake), beat, check)
    try:
        flow.run()
    except FramehouseError as error:
        error.facts.setdefault("second", float((task.chunk.start_pts - task.first_pts) * task.stream.time_base))
        raise
    wall_s = time.perf_counter() - began_s
    log.info(
        "chunk inferred", video_id=task.video_id, chunk_id=task.chunk.chunk_id, n_planned=task.planned.size,
        n_decoded=flow.n_decoded, decode_s=round(flow.decode_s, 3), elapsed_s=round(wall_s, 3),
    )  # fmt: skip
    tallies = tuple(ledger.tally() for ledger in flow.ledgers)
    return ChunkReceipt(
        task.chunk.chunk_id, tallies, flow.decode_s, wall_s, flow.n_decoded, flow.n_passed,
        time.process_time() - began_cpu_s, sum(ledger.n_bytes for ledger in flow.ledgers),
    )  # fmt: skip


def give_up_chunk(task: ChunkTask, reason: str, lake: Lake | None = None) -> ChunkReceipt:
    """Write what the chunk still owes as gaps: for a chunk that takes its workers down."""
    ledgers = _ledgers(task, lake)
    for ledger in ledgers:
        for frame_offset in ledger.owed.tolist():
            ledger.add_gap(frame_offset, reason)
        ledger.write()
    return ChunkReceipt(task.chunk.chunk_id, tuple(ledger.tally() for ledger in ledgers), 0.0, 0.0, 0)


def _ledgers(task: ChunkTask, lake: Lake | None) -> list[_Ledger]:
    lake = lake or Lake(Path(task.lake_root))
    return [_Ledger.open(task, spec, lake) for spec in task.models]


@dataclass(frozen=True, slots=True)
class _Pending:
    """Frames that were sent to a model."""

    ledger: _Ledger
    frame_offset: NDArray[np.int64]
    pictures: NDArray[np.uint8]
    future: Future[Answer]


class _NoFrames(Exception):
    """The decoder gets nowhere."""


class _Flow:
    """Decoder to server to ledgers, with at most `most_in_flight` requests per model in between."""

    def __init__(
        self, task: ChunkTask, ledgers: list[_Ledger], beat: Callable[[], None], check: Callable[[], None]
    ) -> None:
        self.ledgers = ledgers
        self._sign_of_life, self._check = beat, check
        self._settled_at = time.monotonic()
        self.decode_s = 0.0
        self.n_decoded = 0
        self.n_passed = 0
        self._task = task
        self._client = connect_all(task.triton)
        self._answered: SimpleQueue[_Pending] = SimpleQueue()

    def run(self) -> None:
        """Settle every instant of every ledger; whatever happens, write what is finished."""
        try:
            self._load_models()
            self._feed()
            while any(ledger.n_pending for ledger in self.ledgers):
                self._settle()
        finally:
            for ledger in self.ledgers:
                ledger.write()
        failures = [ledger.failure for ledger in self.ledgers if ledger.failure is not None]
        if failures:
            raise failures[0]

    def _beat(self) -> None:
        self._sign_of_life()
        self._check()

    def _read(self) -> None:
        """A packet was read; packets alone are no progress.

        Raises:
            _NoFrames: no frame was settled for `frame_deadline_s`.
        """
        self._beat()
        if time.monotonic() - self._settled_at > self._task.frame_deadline_s:
            raise _NoFrames

    def _load_models(self) -> None:
        """Have the server load what it has not; a model that it cannot give has only gaps."""
        for ledger in self.ledgers:
            if not ledger.owed.size:
                continue
            self._beat()
            began_s = time.perf_counter()
            try:
                self._client.ensure_loaded(ledger.spec.steps)
            except InferenceTimeout as error:  # says nothing about this chunk
                ledger.stop(TritonUnavailable(f"the server does not answer: {error.message}"))
            except FramehouseError as error:
                log.warning("model not to be had", model_id=ledger.spec.model_id, code=error.code, cause=error.message)
                ledger.stop(error)
            ledger.load_s = time.perf_counter() - began_s

    def _feed(self) -> None:
        """Send every decoded frame to every model that owes it; one that fails in a way that another try may mend gets
        no more."""
        owing = [ledger for ledger in self.ledgers if ledger.owed.size and ledger.failure is None]
        if not owing or self._is_to_stop():
            return
        try:
            self._feed_all(owing)
        except _NoFrames:
            log.error("decoder reads but gives no frame", chunk_id=self._task.chunk.chunk_id, path=self._task.path)
            for ledger in owing:
                ledger.give_up(NO_PROGRESS)

    def _feed_all(self, owing: list[_Ledger]) -> None:
        with closing(self._decoded(owing)) as items:
            for item in items:
                if self._is_to_stop():
                    return
                self._settled_at = time.monotonic()
                for ledger in owing:
                    if isinstance(item, FrameGap):
                        ledger.add_gap(item.frame_offset, item.reason)
                    else:
                        self._send(ledger, item)
                if all(ledger.failure is not None for ledger in owing):
                    return

    def _is_to_stop(self) -> bool:
        return 0.0 < self._task.stop_at <= time.time()

    def _decoded(self, owing: list[_Ledger]) -> Generator[FrameBatch | FrameGap, None, None]:
        """What some ledger owes, decoded once; counts frames and the time spent in the decoder."""
        task, wanted = self._task, np.unique(np.concatenate([ledger.owed for ledger in owing]))
        self.n_passed = n_passed(task.chunk, wanted)
        framings = list(dict.fromkeys(ledger.spec.framing for ledger in owing))
        batch_size = max(ledger.spec.max_batch for ledger in owing)
        source = Path(task.path)
        items = decode(source, task.stream, task.chunk, wanted, framings, batch_size=batch_size, beat=self._read)
        while True:
            began_s = time.perf_counter()
            item = next(items, None)
            self.decode_s += time.perf_counter() - began_s
            if item is None:
                return
            self.n_decoded += 0 if isinstance(item, FrameGap) else item.frame_offset.size
            yield item

    def _send(self, ledger: _Ledger, batch: FrameBatch) -> None:
        owes = np.isin(batch.frame_offset, ledger.owed)
        pictures = batch.pictures[ledger.spec.framing]
        frame_offset, pictures = batch.frame_offset[owes], pictures if owes.all() else pictures[owes]
        for start in range(0, frame_offset.size, ledger.spec.max_batch):
            while not self._answered.empty() or ledger.n_pending >= self._task.triton.most_in_flight:
                self._settle()
            if ledger.failure is not None:
                return
            piece = slice(start, start + ledger.spec.max_batch)
            self._submit(ledger, frame_offset[piece], pictures[piece])

    def _submit(self, ledger: _Ledger, frame_offset: NDArray[np.int64], pictures: NDArray[np.uint8]) -> None:
        inputs = ledger.adapter.to_inputs(pictures)
        spec, priority = ledger.spec, self._task.priority
        future = self._client.submit(spec.triton_model, inputs, version=spec.triton_version, priority=priority)
        pending = _Pending(ledger, frame_offset, pictures, future)
        ledger.n_pending += 1
        ledger.sent.update(frame_offset.tolist())
        future.add_done_callback(lambda _: self._answered.put(pending))

    def _settle(self) -> None:
        """Take one answer, waiting for it; its request has a deadline, so one comes."""
        deadline_s = time.monotonic() + 2 * self._task.triton.request_timeout_s + _GRACE_S
        while (pending := self._next_answer()) is None:
            self._check()
            if time.monotonic() > deadline_s:
                raise InferenceTimeout("a request was neither answered nor given up")
        self._beat()
        self._settled_at = time.monotonic()
        pending.ledger.n_pending -= 1
        try:
            answer = pending.future.result()
            rows = pending.ledger.rows_of(pending.frame_offset, answer)
        except FramehouseError as error:
            self._refused(pending, error)
        else:
            pending.ledger.add(pending.frame_offset, answer, rows)

    def _next_answer(self) -> _Pending | None:
        """One answer, or None after a second without any."""
        try:
            return self._answered.get(timeout=_CHECK_S)
        except Empty:
            return None

    def _refused(self, pending: _Pending, error: FramehouseError) -> None:
        """Retryable: no more for this model. For good: a gap; a batch is first tried frame by frame."""
        n_frames = pending.frame_offset.size
        if error.retryable:
            pending.ledger.failure = pending.ledger.failure or error
        elif n_frames == 1:
            frame_offset = int(pending.frame_offset[0])
            log.warning("frame refused", frame_offset=frame_offset, code=error.code, cause=error.message)
            pending.ledger.add_gap(frame_offset, error.code)
        else:
            for i in range(n_frames):
                self._submit(pending.ledger, pending.frame_offset[i : i + 1], pending.pictures[i : i + 1])


@dataclass(slots=True)
class _Ledger:
    """What one model owes of the chunk, and what this run has settled of it."""

    task: ChunkTask
    spec: ModelSpec
    adapter: Adapter
    lake: Lake
    owed: NDArray[np.int64]
    settled: dict[int, tuple[str | None, float]] = field(default_factory=dict)
    """frame_offset -> (gap reason or None, infer_s), not yet in a part."""
    rows: list[FrameRows] = field(default_factory=list)
    n_pending: int = 0
    """Requests without an answer."""
    sent: set[int] = field(default_factory=set)
    """Frames that were sent, or became a gap."""
    n_inferred: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    """Reasons of gaps that this run leaves alone."""
    n_bytes: int = 0
    load_s: float = 0.0
    n_owed: int = 0
    """Instants that it owed at the beginning."""
    n_tried: int = 0
    infer_s: float = 0.0
    idle_since_s: float = 0.0
    failure: FramehouseError | None = None
    """Why it gets no more frames in this run: another try may mend it."""

    @classmethod
    def open(cls, task: ChunkTask, spec: ModelSpec, lake: Lake) -> _Ledger:
        """Read the chunk's parts of the model."""
        loaded, _ = lake.settled(task.video_id, spec.digest, task.chunk.chunk_id)
        ledger = cls(task, spec, ADAPTERS[spec.family], lake, owed(task.planned, loaded))
        if task.gaps != "every":
            held = standing(lake.part_paths(task.video_id, spec.digest, task.chunk.chunk_id))
            left = np.intersect1d(held.left_alone(task.gaps), ledger.owed)
            ledger.owed = owed(ledger.owed, left)
            ledger.left.update(held.reasons_of(left))
        ledger.n_owed = ledger.owed.size
        return ledger

    def rows_of(self, frame_offset: NDArray[np.int64], answer: Answer) -> FrameRows:
        """What the model saw in some frames; raises what the adapter raises."""
        return self.adapter.from_outputs(
            answer.outputs, spec=self.spec, frame_offset=frame_offset, source_size=self.task.stream.size
        )

    def add(self, frame_offset: NDArray[np.int64], answer: Answer, rows: FrameRows) -> None:
        """Take the rows of some frames."""
        busy_s = max(0.0, answer.finished_s - max(answer.started_s, self.idle_since_s))
        self.idle_since_s = max(self.idle_since_s, answer.finished_s)
        self.infer_s += busy_s
        self.rows.append(rows)
        self.n_inferred += frame_offset.size
        self.n_tried += frame_offset.size
        self.settled |= dict.fromkeys(frame_offset.tolist(), (None, busy_s / frame_offset.size))
        self._write_if_many()

    def add_gap(self, frame_offset: int, reason: str) -> None:
        """A frame without an answer; nothing when the model does not owe it."""
        if np.isin(frame_offset, self.owed):
            self.reasons[reason] += 1
            self.n_tried += 1
            self.sent.add(frame_offset)
            self.settled[frame_offset] = (reason, 0.0)
            self._write_if_many()

    def give_up(self, reason: str) -> None:
        """Every frame that is still owed, and was not sent, becomes a gap."""
        for frame_offset in np.setdiff1d(self.owed, np.array(sorted(self.sent), np.int64)).tolist():
            self.add_gap(frame_offset, reason)

    def stop(self, error: FramehouseError) -> None:
        """The model is not to be had: for now, or for good, which makes a gap of every frame that it owes."""
        if error.retryable:
            self.failure = error
            return
        for frame_offset in self.owed.tolist():
            self.add_gap(frame_offset, error.code)
        self.write()
        self.owed = self.owed[:0]

    def write(self) -> None:
        """Write what is settled as one part; nothing settled writes nothing."""
        if not self.settled:
            return
        began_s, task, chunk = time.perf_counter(), self.task, self.task.chunk
        frame_offset = np.array(sorted(self.settled), np.int64)
        reasons, infer_s = zip(*(self.settled[offset] for offset in frame_offset.tolist()), strict=True)
        pts = chunk.pts[frame_offset - chunk.first_frame]
        header = PartHeader(
            task.video_id, chunk.chunk_id, self.spec.model_id, self.spec.digest, self.spec.kind, task.job_id
        )
        made = Part(
            header,
            frame_offset=frame_offset,
            pts=pts,
            time_offset_s=time_offsets_s(pts, task.first_pts, task.stream.time_base),
            gap_reason=np.array(reasons, np.object_),
            infer_s=np.array(infer_s, np.float32),
            rows=KINDS[self.spec.kind].concat(self.rows),
        )
        with span("part", task.job_id, model_id=self.spec.model_id, file=made.name, n_frames=frame_offset.size):
            part = self.lake.write_part(made)
        self.n_bytes += part.n_bytes
        self.settled.clear()
        self.rows.clear()
        log.info(
            "part written", video_id=task.video_id, chunk_id=chunk.chunk_id, model_id=self.spec.model_id,
            n_frames=part.n_loaded, n_gaps=part.n_gaps, elapsed_s=round(time.perf_counter() - began_s, 3),
        )  # fmt: skip

    def _write_if_many(self) -> None:
        if len(self.settled) >= self.task.max_frames_per_part:
            self.write()

    def tally(self) -> ModelTally:
        """Counts over the task's planned instants."""
        reasons, n_open = self.reasons + self.left, self.n_owed - self.n_tried
        n_gaps = reasons.total()
        return ModelTally(
            self.spec.model_id, self.spec.digest, self.task.planned.size - n_gaps - n_open, n_gaps, self.n_inferred,
            tuple(sorted(reasons.items())), self.infer_s, self.n_tried, n_open, tuple(sorted(self.reasons.items())),
            self.load_s,
        )  # fmt: skip
