"""`infer_chunk` with a fake server. The same cases run against a real one in integration/test_infer_chunk.py."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunk_cases import (
    SMALL,
    SPEC,
    FakeTriton,
    assert_whole,
    chunk_task,
    gaps,
    loaded,
    numbered_video,
    parts_of,
    use_fake,
)
from framehouse.errors import (
    InferenceError,
    InferenceTimeout,
    LeaseLost,
    StoreError,
    TensorMismatch,
    TritonUnavailable,
)
from framehouse.inference import run
from framehouse.inference.run import ChunkTask, give_up_chunk, infer_chunk
from framehouse.video.decode import FrameGap


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTriton]:
    fakes: list[FakeTriton] = [use_fake(monkeypatch, FakeTriton())]
    yield fakes[0]
    fakes[0].close()


@pytest.fixture
def make_task(media_dir: Path, tmp_path: Path) -> Callable[..., ChunkTask]:
    return lambda *args, **changes: chunk_task(numbered_video(media_dir), tmp_path / "lake", *args, **changes)


def no_decoding(*_: object, **__: object) -> None:
    raise AssertionError("nothing is owed, yet the video was opened")


def test_every_planned_instant_gets_the_rows_of_its_own_frame(
    fake: FakeTriton, make_task: Callable[..., ChunkTask]
) -> None:
    for chunk in (0, 1):
        task = make_task(Fraction(5), chunk=chunk)
        receipt = infer_chunk(task)
        assert_whole(task, receipt)
        assert receipt.n_decoded == receipt.tallies[0].n_inferred == task.planned.size == 5
        assert 0 < receipt.decode_s < receipt.wall_s
        assert 0 < receipt.tallies[0].infer_s < receipt.wall_s
        assert pickle.loads(pickle.dumps(receipt)) == receipt
    assert fake.numbers_seen() == list(range(0, 60, 6))


def test_tasks_travel(fake: FakeTriton, make_task: Callable[..., ChunkTask]) -> None:
    task = pickle.loads(pickle.dumps(make_task(Fraction(5))))
    assert_whole(task, infer_chunk(task))


def test_nothing_owed_opens_nothing(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task()
    first = infer_chunk(task)
    before = [part.header for part in parts_of(task)]
    monkeypatch.setattr(run, "decode", no_decoding)
    again = infer_chunk(task)
    assert_whole(task, again)
    assert (again.n_decoded, again.decode_s, again.tallies[0].n_inferred, again.tallies[0].infer_s) == (0, 0.0, 0, 0.0)
    assert again.tallies[0].n_loaded == first.tallies[0].n_loaded == 30
    assert len(before) == len(parts_of(task))


def test_an_empty_plan_is_fine(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "decode", no_decoding)
    receipt = infer_chunk(make_task(planned=np.empty(0, np.int64)))
    assert (receipt.tallies[0].n_loaded, receipt.tallies[0].n_gaps, receipt.n_decoded) == (0, 0, 0)


def test_a_denser_plan_infers_only_the_new_instants(fake: FakeTriton, make_task: Callable[..., ChunkTask]) -> None:
    infer_chunk(make_task(Fraction(5)))
    fake.seen.clear()
    task = make_task(Fraction(10))
    receipt = infer_chunk(task)
    assert_whole(task, receipt)
    assert fake.numbers_seen() == [3, 9, 15, 21, 27]
    assert (receipt.n_decoded, receipt.tallies[0].n_inferred, receipt.tallies[0].n_loaded) == (5, 5, 10)


def test_a_new_model_infers_only_itself_from_one_decode(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    infer_chunk(make_task(Fraction(5)))
    fake.seen.clear()
    calls: list[Any] = []
    real = run.decode

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return real(*args, **options)

    monkeypatch.setattr(run, "decode", counted)
    task = make_task(Fraction(10), models=(SPEC, SMALL))
    receipt = infer_chunk(task)
    assert_whole(task, receipt)
    assert fake.numbers_seen("numbers") == [3, 9, 15, 21, 27]
    assert fake.numbers_seen("small") == list(range(0, 30, 3))
    assert [tally.n_inferred for tally in receipt.tallies] == [5, 10]
    assert len(calls) == 1 and receipt.n_decoded == 10
    assert calls[0][4] == [SPEC.framing, SMALL.framing]


@pytest.mark.parametrize(("most", "expected"), [(1, [1] * 30), (7, [7, 7, 7, 7, 2]), (30, [30]), (256, [30])])
def test_a_part_for_every_so_many_instants(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], most: int, expected: list[int]
) -> None:
    task = make_task(max_frames_per_part=most)
    assert_whole(task, infer_chunk(task))
    assert sorted((part.frame_offset.size for part in parts_of(task)), reverse=True) == expected


@pytest.mark.parametrize("in_flight", [1, 3])
def test_a_bounded_number_is_in_flight_per_model(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], in_flight: int
) -> None:
    task = make_task(models=(SPEC,))
    task = replace(task, triton=replace(task.triton, in_flight=in_flight))
    assert_whole(task, infer_chunk(task))
    assert 1 <= fake.most_unanswered <= in_flight


def test_a_refused_frame_is_a_gap_and_is_tried_again(fake: FakeTriton, make_task: Callable[..., ChunkTask]) -> None:
    fake.fail = {4: InferenceError("boom"), 9: TensorMismatch("odd")}
    task = make_task()
    receipt = infer_chunk(task)
    assert gaps(task) == {4: "inference.error", 9: "inference.tensor_mismatch"}
    tally = receipt.tallies[0]
    assert (tally.n_loaded, tally.n_gaps, tally.n_inferred) == (28, 2, 28)
    assert tally.gap_reasons == (("inference.error", 1), ("inference.tensor_mismatch", 1))
    del fake.fail[4]
    fake.seen.clear()
    second = infer_chunk(task).tallies[0]
    assert fake.numbers_seen() == [4, 9]
    assert (second.n_loaded, second.n_gaps, second.n_inferred) == (29, 1, 1)
    assert gaps(task) == {9: "inference.tensor_mismatch"}
    fake.fail.clear()
    assert_whole(task, infer_chunk(task))


def test_outputs_that_cannot_be_are_gaps(fake: FakeTriton, make_task: Callable[..., ChunkTask]) -> None:
    fake.spoil = lambda outputs: {**outputs, "scores": outputs["scores"] * 2}
    task = make_task(Fraction(5))
    assert infer_chunk(task).tallies[0].gap_reasons == (("results.contract", 5),)
    assert loaded(task) == []


def test_batches_are_no_larger_than_the_model_takes_and_one_bad_frame_spoils_only_itself(
    fake: FakeTriton, make_task: Callable[..., ChunkTask]
) -> None:
    fake.fail = {10: InferenceError("boom")}
    batched = replace(SPEC, max_batch=4)
    task = make_task(models=(batched, SMALL))
    receipt = infer_chunk(task)
    assert gaps(task, batched) == {10: "inference.error"}
    assert len(loaded(task, batched)) == 29
    assert receipt.tallies[0].n_inferred == 29
    sizes = [len(numbers) for name, numbers in fake.seen if name == "numbers"]
    assert max(sizes) == 4 and sizes.count(1) >= 4
    assert all(len(numbers) == 1 for name, numbers in fake.seen if name == "small")


@pytest.mark.parametrize("error", [TritonUnavailable("down"), InferenceTimeout("late")])
def test_a_retryable_error_keeps_what_is_finished(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], error: InferenceError
) -> None:
    fake.fail = {17: error}
    task = make_task(models=(SPEC, SMALL))
    with pytest.raises(type(error)) as caught:
        infer_chunk(task)
    assert caught.value is error
    kept = loaded(task)
    assert set(range(10)) <= set(kept) and 17 not in kept and max(kept) <= 17 + task.triton.in_flight
    assert gaps(task) == {}
    fake.fail.clear()
    fake.seen.clear()
    receipt = infer_chunk(task)
    assert_whole(task, receipt)
    assert fake.numbers_seen() == sorted(set(range(30)) - set(kept))


def gap_at(*offsets: int) -> Callable[..., Iterator[Any]]:
    """A decoder that loses these frames."""
    real = run.decode

    def decode(path: Any, stream: Any, chunk: Any, wanted: Any, sizes: Any, **options: Any) -> Iterator[Any]:
        lost = np.isin(wanted, offsets)
        for offset in wanted[lost].tolist():
            yield FrameGap(offset, "decode.damaged_reference")
        yield from real(path, stream, chunk, wanted[~lost], sizes, **options)

    return decode


def test_what_does_not_decode_is_a_gap_of_every_model_that_owed_it(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    infer_chunk(make_task(Fraction(5)))  # the first model has 0, 6, 12 … already
    with monkeypatch.context() as damaged:
        damaged.setattr(run, "decode", gap_at(6, 9))
        task = make_task(Fraction(10), models=(SPEC, SMALL))
        receipt = infer_chunk(task)
    assert gaps(task, SPEC) == {9: "decode.damaged_reference"}
    assert gaps(task, SMALL) == {6: "decode.damaged_reference", 9: "decode.damaged_reference"}
    assert [tally.gap_reasons for tally in receipt.tallies] == [
        (("decode.damaged_reference", 1),),
        (("decode.damaged_reference", 2),),
    ]
    assert receipt.n_decoded == 8
    assert_whole(task, infer_chunk(task))


def broken_after(n_items: int, error: BaseException) -> Callable[..., Iterator[Any]]:
    real = run.decode

    def decode(*args: Any, **options: Any) -> Iterator[Any]:
        for i, item in enumerate(real(*args, **options)):
            if i == n_items:
                raise error
            yield item

    return decode


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StoreError("disk full", code="store.disk_full")])
def test_an_interruption_loses_at_most_what_is_in_flight(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    task = make_task()
    with monkeypatch.context() as broken:
        broken.setattr(run, "decode", broken_after(20, error))
        with pytest.raises(type(error)):
            infer_chunk(task)
    assert len(loaded(task)) >= 20 - task.triton.in_flight
    assert_whole(task, infer_chunk(task))


def test_a_full_disk_ends_the_chunk(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise StoreError("disk full", code="store.disk_full")

    task = make_task(max_frames_per_part=4)
    with monkeypatch.context() as no_room:
        no_room.setattr(run.Lake, "write_part", full)
        with pytest.raises(StoreError) as caught:
            infer_chunk(task)
    assert caught.value.code == "store.disk_full"
    assert len(fake.seen) <= 4 + task.triton.in_flight
    assert_whole(task, infer_chunk(task))


def test_a_disk_that_was_full_for_a_moment_makes_no_gap(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = run.Lake.write_part, []

    def full_once(*args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == 1:
            raise StoreError("disk full", code="store.disk_full")
        return real(*args, **options)

    monkeypatch.setattr(run.Lake, "write_part", full_once)
    task = make_task(max_frames_per_part=4)
    with pytest.raises(StoreError):
        infer_chunk(task)
    assert gaps(task) == {} and len(loaded(task)) >= 4
    assert_whole(task, infer_chunk(task))


def test_a_chunk_is_given_up_as_gaps_and_can_be_tried_again(
    fake: FakeTriton, make_task: Callable[..., ChunkTask]
) -> None:
    infer_chunk(make_task(Fraction(5)))
    task = make_task(Fraction(10), models=(SPEC, SMALL))
    receipt = give_up_chunk(task, "worker.killed")
    assert gaps(task, SPEC) == dict.fromkeys([3, 9, 15, 21, 27], "worker.killed")
    assert gaps(task, SMALL) == dict.fromkeys(range(0, 30, 3), "worker.killed")
    assert [(tally.n_loaded, tally.n_gaps, tally.n_inferred) for tally in receipt.tallies] == [(5, 5, 0), (0, 10, 0)]
    assert_whole(task, infer_chunk(task))


def test_it_beats_while_it_works(fake: FakeTriton, make_task: Callable[..., ChunkTask]) -> None:
    beats: list[None] = []
    infer_chunk(make_task(Fraction(5)), lambda: beats.append(None))
    assert len(beats) >= 2 * 5


# ---------------------------------------------------------------- one model of several


def test_models_are_loaded_before_the_video_is_opened_steps_first(
    fake: FakeTriton, make_task: Callable[..., ChunkTask]
) -> None:
    models = (replace(SPEC, steps=("step", "numbers")), replace(SMALL, steps=("small",)))
    infer_chunk(make_task(models=models))
    assert fake.loads == ["step", "numbers", "small"]
    infer_chunk(make_task(models=models))
    assert len(fake.loads) == 3, "nothing is owed, so nothing need be loaded"


def test_a_model_that_cannot_be_loaded_leaves_gaps_that_say_why_and_the_others_go_on(
    fake: FakeTriton, make_task: Callable[..., ChunkTask]
) -> None:
    fake.lost["small"] = InferenceError("no such file", code="inference.model_broken")
    task = make_task(models=(SPEC, replace(SMALL, steps=("small",))))
    receipt = infer_chunk(task)
    assert [tally.n_loaded for tally in receipt.tallies] == [task.planned.size, 0]
    assert receipt.tallies[1].gap_reasons == (("inference.model_broken", task.planned.size),)
    assert loaded(task, SPEC) == task.planned.tolist()
    assert gaps(task, SMALL) == dict.fromkeys(task.planned.tolist(), "inference.model_broken")
    fake.lost.clear()
    assert [tally.n_loaded for tally in infer_chunk(task).tallies] == [task.planned.size] * 2


@pytest.mark.parametrize("when", ["at the start", "midway"])
def test_a_model_that_is_away_for_a_while_stops_alone_and_is_tried_again(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], when: str
) -> None:
    away = TritonUnavailable("away")
    (fake.lost if when == "at the start" else fake.down)["small"] = away
    task = make_task(models=(SPEC, replace(SMALL, steps=("small",))))
    with pytest.raises(TritonUnavailable, match="away"):
        infer_chunk(task)
    assert loaded(task, SPEC) == task.planned.tolist()
    assert (loaded(task, SMALL), gaps(task, SMALL)) == ([], {})
    fake.lost.clear()
    fake.down.clear()
    assert_whole(task, infer_chunk(task))
    assert loaded(task, SMALL) == task.planned.tolist()


def test_all_models_away_closes_the_video_early(fake: FakeTriton, make_task: Callable[..., ChunkTask]) -> None:
    fake.down |= {"small": TritonUnavailable("away"), "numbers": TritonUnavailable("away")}
    with pytest.raises(TritonUnavailable):
        infer_chunk(make_task(models=(SPEC, SMALL)))
    assert fake.seen == []


def test_a_chunk_that_is_to_be_left_keeps_what_it_has(fake: FakeTriton, make_task: Callable[..., ChunkTask]) -> None:
    task, n_checks = make_task(), 0

    def check() -> None:
        nonlocal n_checks
        n_checks += 1
        if n_checks > 40:
            raise LeaseLost("the run no longer holds it")

    with pytest.raises(LeaseLost):
        infer_chunk(task, check=check)
    assert 0 < len(loaded(task)) < task.planned.size
    assert_whole(task, infer_chunk(task))


def test_a_chunk_is_left_also_while_the_server_says_nothing(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_CHECK_S", 0.01)
    monkeypatch.setattr(fake, "submit", lambda *_args, **_more: Future())
    checks: list[int] = []

    def check() -> None:
        checks.append(1)
        if len(checks) > 200:  # more than there are packets
            raise LeaseLost("the run no longer holds it")

    with pytest.raises(LeaseLost):
        infer_chunk(make_task(), check=check)


def test_packets_without_frames_are_no_progress(
    fake: FakeTriton, make_task: Callable[..., ChunkTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads_for_ever(*_args: object, beat: Callable[[], None], **_more: object) -> Iterator[Any]:
        yield next(real(*_args, beat=beat, **_more))  # type: ignore[arg-type]
        while True:
            beat()

    real = run.decode
    monkeypatch.setattr(run, "decode", reads_for_ever)
    task = make_task(frame_deadline_s=0.2)
    receipt = infer_chunk(task)
    assert receipt.tallies[0].n_loaded == 1
    assert receipt.tallies[0].gap_reasons == (("decode.no_progress", task.planned.size - 1),)
    assert set(gaps(task).values()) == {"decode.no_progress"}


def test_a_server_that_does_not_answer_at_all_is_no_fault_of_the_chunk(
    fake: FakeTriton, make_task: Callable[..., ChunkTask]
) -> None:
    fake.lost["numbers"] = InferenceTimeout("numbers: Deadline Exceeded")
    task = make_task(models=(replace(SPEC, steps=("numbers",)),))
    with pytest.raises(TritonUnavailable, match="does not answer"):
        infer_chunk(task)
    assert gaps(task) == {}
