"""Which gaps a chunk tries again, and where it stops: counted in pictures that the server was given."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from chunk_cases import SMALL, SPEC, FakeTriton, assert_whole, chunk_task, gaps, numbered_video, use_fake
from framehouse.errors import InferenceError
from framehouse.inference.run import ChunkTask, give_up_chunk, infer_chunk
from framehouse.results.standing import GapPolicy
from media import damaged_packet


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., FakeTriton]]:
    made: list[FakeTriton] = []

    def start(*failing: int) -> FakeTriton:
        made.append(use_fake(monkeypatch, FakeTriton(fail={number: InferenceError("no") for number in failing})))
        return made[-1]

    yield start
    for fake in made:
        fake.close()


@pytest.fixture
def make_task(media_dir: Path, tmp_path: Path) -> Callable[..., ChunkTask]:
    return lambda *args, **changes: chunk_task(numbered_video(media_dir), tmp_path / "lake", *args, **changes)


@pytest.mark.parametrize(
    ("policy", "tried"), [("every", [4, 9]), ("all", [4, 9]), ("model", [4, 9]), ("none", [])]
)  # fmt: skip
def test_a_models_gaps_are_tried_alone(
    serve: Callable[..., FakeTriton], make_task: Callable[..., ChunkTask], policy: GapPolicy, tried: list[int]
) -> None:
    serve(4, 9)
    infer_chunk(make_task())
    assert gaps(make_task()) == {4: "inference.error", 9: "inference.error"}
    mended = serve()
    receipt = infer_chunk(make_task(gaps=policy))
    assert mended.numbers_seen() == tried
    (tally,) = receipt.tallies
    assert (tally.n_loaded, tally.n_gaps, tally.n_inferred, tally.n_tried) == (
        28 + len(tried), 2 - len(tried), len(tried), len(tried),
    )  # fmt: skip
    assert dict(tally.gap_reasons) == ({} if tried else {"inference.error": 2})
    assert receipt.n_passed == (10 if tried else 0), "only the group with the gaps is decoded, and to the last of them"


def test_quarantine_is_left_unless_asked_for(
    serve: Callable[..., FakeTriton], make_task: Callable[..., ChunkTask]
) -> None:
    fake = serve()
    task = make_task(Fraction(5))
    give_up_chunk(task, "decode.quarantined")
    for policy in ("all", "model", "none"):
        tally = infer_chunk(make_task(Fraction(5), gaps=policy)).tallies[0]
        assert (tally.n_loaded, tally.n_gaps, tally.n_tried) == (0, 5, 0)
    assert fake.numbers_seen() == []
    assert_whole(task, infer_chunk(make_task(Fraction(5), gaps="every")))
    assert fake.numbers_seen() == [0, 6, 12, 18, 24]


def test_a_time_that_is_over_leaves_the_rest_open(
    serve: Callable[..., FakeTriton], make_task: Callable[..., ChunkTask]
) -> None:
    fake = serve()
    receipt = infer_chunk(make_task(stop_at=time.time() - 1, models=(SPEC, SMALL)))
    assert [(t.n_loaded, t.n_gaps, t.n_open, t.n_tried) for t in receipt.tallies] == [(0, 0, 30, 0)] * 2
    assert (fake.seen, receipt.n_decoded) == ([], 0)


def test_a_time_that_ends_within_the_chunk_keeps_what_is_done(
    serve: Callable[..., FakeTriton], make_task: Callable[..., ChunkTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    moments = iter(range(1000, 2000))
    monkeypatch.setattr("framehouse.inference.run.time.time", lambda: float(next(moments)))
    task = make_task(stop_at=1008.0)
    (tally,) = infer_chunk(task).tallies
    assert 0 < tally.n_loaded < 30
    assert (tally.n_loaded + tally.n_open, tally.n_tried, tally.n_gaps) == (30, tally.n_loaded, 0)
    monkeypatch.undo()


def test_less_of_a_plan_is_less_work(serve: Callable[..., FakeTriton], make_task: Callable[..., ChunkTask]) -> None:
    fake = serve()
    infer_chunk(make_task(planned=np.array([3, 5], np.int64)))
    assert fake.numbers_seen() == [3, 5]


def test_a_damaged_interval_is_tried_alone_and_costs_its_group(
    serve: Callable[..., FakeTriton], media_dir: Path, tmp_path: Path
) -> None:
    fake = serve()
    hurt = damaged_packet(numbered_video(media_dir), 20, "hurt numbers.mp4")  # in the second group of 15
    first = infer_chunk(chunk_task(hurt, tmp_path))
    lost = sorted(gaps(chunk_task(hurt, tmp_path)))
    assert lost
    assert set(lost) <= set(range(15, 30))
    assert first.tallies[0].n_loaded == 30 - len(lost)
    fake.seen.clear()
    again = infer_chunk(chunk_task(hurt, tmp_path, gaps="all"))
    assert (fake.seen, again.n_passed <= 15) == ([], True), "no frame of another group, and none that is loaded"
    assert again.tallies[0].n_tried == len(lost)
    left = infer_chunk(chunk_task(hurt, tmp_path, gaps="model"))
    assert (left.n_passed, left.tallies[0].n_tried, left.tallies[0].n_gaps) == (0, 0, len(lost))
