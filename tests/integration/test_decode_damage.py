"""Damage is never silence: each wanted frame is a right picture or a gap with a reason, and the rest is saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import media
from framehouse.errors import MediaError
from framehouse.video.decode import FrameGap, decode
from framehouse.video.framing import stretched
from framehouse.video.probe import probe
from framehouse.video.salvage import DAMAGED, DAMAGED_REFERENCE, MISSING
from framehouse.video.sampling import chunks


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> media.Shelf:
    return media.Shelf(tmp_path_factory.mktemp("videos"))


def everything(path: Path, *, every: int = 1, target_s: float = 20.0) -> dict[int, media.Picture | str]:
    """pts -> picture or the reason of a gap, for every n-th frame; each exactly once and in order."""
    index = probe(path)
    found: dict[int, media.Picture | str] = {}
    for chunk in chunks(index, target_s=target_s):
        wanted = np.arange(chunk.first_frame, chunk.first_frame + chunk.n_frames, every)
        offsets: list[int] = []
        for result in decode(path, index.stream, chunk, wanted, [stretched(media.SIZE)], batch_size=3):
            if isinstance(result, FrameGap):
                offsets.append(result.frame_offset)
                found[int(index.pts[result.frame_offset])] = result.reason
            else:
                offsets += result.frame_offset.tolist()
                found.update(zip(result.pts.tolist(), result.pictures[stretched(media.SIZE)], strict=True))
        assert offsets == wanted.tolist()
    return found


def gaps(found: dict[int, media.Picture | str]) -> list[str]:
    return [result for result in found.values() if isinstance(result, str)]


def assert_no_wrong_picture(found: dict[int, media.Picture | str], sound: dict[int, media.Picture | str]) -> None:
    for pts, result in found.items():
        assert isinstance(result, str) or np.array_equal(result, sound[pts]), pts


@pytest.mark.parametrize("every", [1, 4])
def test_damage_to_a_reference_ends_at_the_next_key_frame(shelf: media.Shelf, every: int) -> None:
    path = shelf.get("bframes.mp4")  # key frames at 0 and 30
    sound = everything(path, every=every)
    found = everything(media.damaged_packet(path, 9), every=every)  # a P frame of the first group
    assert_no_wrong_picture(found, sound)
    numbers = [media.read_frame_number(p) for p in found.values() if not isinstance(p, str)]
    assert set(range(0, 8, every)) <= set(numbers)  # stored before the damage
    assert set(range(32 - 32 % every, 60, every)) <= set(numbers) | {30, 31}  # after the next key frame
    assert gaps(found)
    assert set(gaps(found)) <= {MISSING, DAMAGED, DAMAGED_REFERENCE}
    assert DAMAGED_REFERENCE in gaps(found)


def test_damage_to_a_frame_that_none_refers_to_costs_that_frame(shelf: media.Shelf) -> None:
    path = shelf.get("bframes.mp4")
    index = probe(path)
    sound = everything(path)
    for offset in (1, 3, 33):  # the outer B frames of a pyramid
        found = everything(media.damaged_packet(path, int(index.packet[offset])))
        del found[int(index.pts[offset])]  # itself a gap, or wrong where FFmpeg sees nothing wrong
        assert_no_wrong_picture(found, sound)
        assert not gaps(found), offset


def test_frames_beyond_the_end_are_gaps(shelf: media.Shelf) -> None:
    path = shelf.get("dated.mp4")
    sound = everything(path)
    found = everything(media.damaged(path, "cut_data"), target_s=0.4)
    assert_no_wrong_picture(found, sound)
    assert 20 < len(gaps(found)) < 40
    assert [isinstance(result, str) for result in found.values()] == sorted(isinstance(r, str) for r in found.values())


@pytest.mark.parametrize("name", ["bframes.mp4", "sound.mkv", "bframes.ts", "open_gop.mp4"])
def test_bytes_that_were_never_written_are_seen(shelf: media.Shelf, name: str) -> None:
    path = shelf.get(name)
    sound = everything(path)
    found = everything(media.damaged(path, "hole"))
    assert_no_wrong_picture(found, sound)
    assert len(gaps(found)) < 45
    assert len(found) < 60 or gaps(found)


def test_bytes_lost_from_a_transport_stream_are_seen(shelf: media.Shelf) -> None:
    path = shelf.get("bframes.ts")
    sound = everything(path)
    found = everything(media.damaged(path, "lost"))
    assert_no_wrong_picture(found, sound)
    assert gaps(found)


def test_any_damage_gives_each_frame_once(shelf: media.Shelf) -> None:
    """Flipped bytes anywhere: no hang, no crash, no foreign error, no frame left out or given twice."""
    rng = np.random.default_rng(5)
    n_gaps = n_pictures = 0
    for name in ("open_gop.mp4", "bframes.avi", "raw.h264", "open_gop.ts", "hevc.mp4", "mpeg4.avi", "vp9.webm"):
        whole = shelf.get(name).read_bytes()
        for every in (1, 7):
            data = bytearray(whole)
            for at in rng.integers(len(data) // 8, len(data), 6).tolist():
                data[at] ^= 1 << int(rng.integers(8))
            path = shelf.folder / f"flipped_{name}"
            path.write_bytes(data)
            try:
                found = everything(path, every=every, target_s=0.5)
            except MediaError as error:  # the index itself was hit
                assert error.code.startswith("media.")
                continue
            n_gaps += len(gaps(found))
            n_pictures += len(found) - len(gaps(found))
    assert n_gaps > 20
    assert n_pictures > 100


def test_a_file_that_shrank_after_the_probe_gives_gaps(shelf: media.Shelf) -> None:
    path = shelf.get("dated.mp4")
    index = probe(path)
    cut = media.damaged(path, "cut_data", name="shrunk.mp4")
    (chunk,) = chunks(index)
    results = list(decode(cut, index.stream, chunk, np.arange(60), [stretched(media.SIZE)]))
    assert sum(isinstance(r, FrameGap) for r in results) > 20
    assert len(results) == 60


def test_a_missing_key_frame_costs_its_group(shelf: media.Shelf) -> None:
    """The file was exchanged for another one behind our back: its key frames lie elsewhere."""
    index = probe(shelf.get("cfr.mp4"))
    last = chunks(index, target_s=0.4)[-1]
    other = shelf.get("two_frames.mp4")
    results = list(decode(other, index.stream, last, np.array([45, 50]), [stretched(media.SIZE)]))
    assert [(r.frame_offset, r.reason) for r in results if isinstance(r, FrameGap)] == [(45, MISSING), (50, MISSING)]
