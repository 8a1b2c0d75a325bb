from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framehouse.errors import ContractViolation, MisalignedParts, ResultsError, StoreError
from framehouse.results import files, parts
from framehouse.results.lake import Lake
from framehouse.results.parts import PartHeader, owed, part_paths, read_part, settled, write_part
from framehouse.results.records.boxes import Detections
from lakes import DETECTOR, put_part, rows_of, video_name

CHUNK = "c000000000"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "a lake [1] ü" / "lake")


def folder(lake: Lake) -> Path:
    return lake.parts_dir(video_name(0), DETECTOR)


@pytest.mark.parametrize(
    ("frames", "gaps"),
    [([], {}), ([7], {}), ([7], {7: "decode.failed"}), (range(40), {0: "decode.missing", 39: "decode.failed"})],
    ids=["empty", "one", "only a gap", "many"],
)
def test_what_is_written_is_read(lake: Lake, frames: list[int], gaps: dict[int, str]) -> None:
    ref = put_part(lake, list(frames), gaps=gaps, job_id="j_x")
    part = read_part(Path(ref.path))
    kept = [f for f in frames if f not in gaps]
    assert (ref.n_loaded, ref.n_gaps) == (len(kept), len(gaps))
    assert part.header == PartHeader(video_name(0), CHUNK, "detector/1", DETECTOR, "detections", "j_x")
    assert part.frame_offset.tolist() == list(frames)
    assert part.frame_offset[part.loaded].tolist() == kept
    assert part.gap_reason.tolist() == [gaps.get(f) for f in frames]
    expected = rows_of(video_name(0), DETECTOR, kept)
    for name in ("frame_offset", "class_id", "class_name", "confidence", "xcycwh"):
        np.testing.assert_array_equal(getattr(part.rows, name), getattr(expected, name))


def test_the_same_part_gives_the_same_bytes(tmp_path: Path) -> None:
    refs = [put_part(Lake(tmp_path / name), range(30), gaps={3: "decode.failed"}) for name in ("a", "b")]
    assert Path(refs[0].path).read_bytes() == Path(refs[1].path).read_bytes()
    assert Path(refs[0].path).name == Path(refs[1].path).name


def test_an_existing_name_is_left_alone(lake: Lake) -> None:
    path = Path(put_part(lake, range(10)).path)
    before = path.stat()
    again = put_part(lake, range(10), job_id="j_later")
    assert again.path == str(path)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_gap_that_loads_later_takes_another_name(lake: Lake) -> None:
    gap = put_part(lake, [4], gaps={4: "inference.timeout"})
    loaded = put_part(lake, [4])
    assert gap.path != loaded.path
    assert [a.tolist() for a in settled(folder(lake), CHUNK)] == [[4], []]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pts": np.zeros(1, np.int64)}, "pts has shape"),
        ({"frame_offset": np.array([3, 3])}, "strictly increasing"),
        ({"frame_offset": np.array([4, 3])}, "strictly increasing"),
        ({"gap_reason": np.array([None, "decode.failed"], np.object_)}, "not loaded"),
        ({"gap_reason": np.array(["", None], np.object_)}, "without a reason"),
        ({"rows": rows_of("v", "d", range(60, 90))}, "not loaded"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, np.ndarray], says: str) -> None:
    rows = rows_of("v", "d", range(50))
    frame = int(rows.frame_offset[-1])
    arrays = {
        "frame_offset": np.array([frame - 1, frame]),
        "pts": np.zeros(2, np.int64),
        "time_offset_s": np.zeros(2),
        "gap_reason": np.array([None, None], np.object_),
        "infer_s": np.zeros(2, np.float32),
        "rows": rows.select(np.array([frame])),
    }
    with pytest.raises(ContractViolation, match=says):
        write_part(tmp_path / "p", PartHeader("v", CHUNK, "m/1", "d", "detections"), **{**arrays, **change})
    assert not (tmp_path / "p").exists()


def test_settled_and_owed(lake: Lake) -> None:
    assert [a.tolist() for a in settled(folder(lake), CHUNK)] == [[], []]
    put_part(lake, range(0, 20, 4), gaps={8: "decode.failed", 12: "decode.failed"})
    put_part(lake, [8, 9])
    put_part(lake, [600], chunk_id="c000000600")
    loaded, gaps = settled(folder(lake), CHUNK)
    assert (loaded.tolist(), gaps.tolist()) == ([0, 4, 8, 9, 16], [12])
    assert owed(np.array([0, 2, 8, 12]), loaded).tolist() == [2, 12]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sets(st.integers(0, 40), min_size=1), st.booleans()), max_size=5))
def test_every_instant_is_loaded_if_any_part_loaded_it(pieces: list[tuple[set[int], bool]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        lake = Lake(Path(name))
        for frames, is_gap in pieces:
            put_part(lake, sorted(frames), gaps=dict.fromkeys(frames, "decode.failed") if is_gap else {})
        loaded, gaps = settled(folder(lake), CHUNK)
    held = set().union(*(frames for frames, is_gap in pieces if not is_gap))
    missed = set().union(*(frames for frames, is_gap in pieces if is_gap)) - held
    assert (set(loaded.tolist()), set(gaps.tolist())) == (held, missed)


def test_any_flipped_bit_is_found_or_harmless(lake: Lake) -> None:
    path = Path(put_part(lake, range(25), gaps={2: "decode.failed"}).path)
    whole, before = path.read_bytes(), read_part(path)
    found = 0
    for position in range(0, len(whole), 61):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            part = read_part(path)
        except ResultsError:
            found += 1
        else:
            assert part.header == before.header
            np.testing.assert_array_equal(part.frame_offset, before.frame_offset)
            np.testing.assert_array_equal(part.pts, before.pts)
            np.testing.assert_array_equal(part.rows.xcycwh, before.rows.xcycwh)
            assert part.rows.class_name.tolist() == before.rows.class_name.tolist()
    assert found > len(whole) / 61 * 0.6  # the rest lies in fields of the footer that say nothing about the rows


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"not a parquet file at all"], ids=["zero bytes", "short", "text"])
def test_an_unreadable_part_is_set_aside_and_owed_again(lake: Lake, damage: bytes) -> None:
    good, bad = Path(put_part(lake, [1, 2]).path), Path(put_part(lake, [3, 4]).path)
    bad.write_bytes(damage)
    assert settled(folder(lake), CHUNK)[0].tolist() == [1, 2]
    assert part_paths(folder(lake)) == [good]
    assert bad.with_name(bad.name + ".bad").read_bytes() == damage
    put_part(lake, [3, 4])
    assert settled(folder(lake), CHUNK)[0].tolist() == [1, 2, 3, 4]


def test_a_truncated_part_is_set_aside(lake: Lake) -> None:
    path = Path(put_part(lake, range(9)).path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MisalignedParts, match="cannot be read"):
        read_part(path)


def test_a_part_under_another_name_is_refused(lake: Lake) -> None:
    one, other = Path(put_part(lake, [1]).path), Path(put_part(lake, [2]).path)
    other.unlink()
    one.rename(other)
    with pytest.raises(MisalignedParts, match="instants of its name"):
        read_part(other)


def test_a_part_of_a_later_release_stops_and_stays(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SCHEMA_VERSION", 2)
    path = Path(put_part(lake, [1]).path)
    monkeypatch.undo()
    with pytest.raises(ResultsError) as caught:
        settled(folder(lake), CHUNK)
    assert (caught.value.code, caught.value.hint) == ("results.schema_version", "update Framehouse")
    assert path.exists()


def test_temporary_files_are_ignored_and_swept_when_old(lake: Lake) -> None:
    path = Path(put_part(lake, [1]).path)
    old, young = (path.with_name(f".{path.name}.{word}.tmp") for word in ("old", "young"))
    for leftover in (old, young):
        leftover.write_bytes(b"half a part")
    os.utime(old, (0, 0))
    assert part_paths(folder(lake)) == [path]
    assert settled(folder(lake), CHUNK)[0].tolist() == [1]
    assert files.sweep_temporary(lake.root) == 1
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize("at_byte", [0, 100, 2000])
def test_a_full_disk_is_named_and_leaves_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch, at_byte: int) -> None:
    put_part(lake, [1])
    real_write, written = os.write, 0

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal written
        if written >= at_byte:
            raise OSError(errno.ENOSPC, "No space left on device")
        written += real_write(descriptor, data[: at_byte - written])
        return min(len(data), at_byte)

    monkeypatch.setattr(files.os, "write", write)
    with pytest.raises(StoreError, match="no room left") as caught:
        put_part(lake, range(100))
    monkeypatch.undo()
    assert (caught.value.code, caught.value.retryable) == ("store.disk_full", False)
    assert "free space" in caught.value.hint
    assert [p.name for p in folder(lake).iterdir()] == [Path(put_part(lake, [1]).path).name]


def test_a_failing_disk_does_not_blame_the_part(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(put_part(lake, [1]).path)

    def broken(*_: object, **__: object) -> pa.Table:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(parts.pq, "ParquetFile", broken)
    with pytest.raises(OSError, match="Input/output"):
        settled(folder(lake), CHUNK)
    assert path.exists()


def test_rows_of_another_kind_are_refused(tmp_path: Path) -> None:
    empty = np.empty(0, np.int64)
    with pytest.raises(ContractViolation, match="header says gazes"):
        write_part(
            tmp_path,
            PartHeader("v", CHUNK, "m/1", "d", "gazes"),
            frame_offset=empty,
            pts=empty,
            time_offset_s=np.empty(0),
            gap_reason=np.empty(0, np.object_),
            infer_s=np.empty(0, np.float32),
            rows=Detections.empty(),
        )
