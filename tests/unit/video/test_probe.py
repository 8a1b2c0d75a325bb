"""The index of a file: what is a frame, when it is shown, which way is up, and what is refused with which code."""

from __future__ import annotations

import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import media
from framehouse.errors import FramehouseError, MediaError, SourceNotFound
from framehouse.video.container import sniff
from framehouse.video.probe import probe


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> media.Shelf:
    return media.Shelf(tmp_path_factory.mktemp("videos"))


# --- sound files ---


@pytest.mark.parametrize("name", media.RECIPES)
def test_as_many_frames_as_a_full_decode_gives(shelf: media.Shelf, name: str) -> None:
    path = shelf.get(name)
    index = probe(path)
    assert index.n_frames == len(media.every_picture(path, media.SIZE))
    assert np.all(np.diff(index.pts) > 0)
    assert sorted(index.packet.tolist()) == sorted(set(index.packet.tolist()))
    assert index.damage == ()


@pytest.mark.parametrize(
    ("name", "container", "codec", "timing"),
    [
        ("cfr.mp4", "mp4", "h264", "exact"),
        ("prores.mov", "mov", "prores", "exact"),
        ("vfr.mkv", "matroska", "h264", "exact"),
        ("vp9.webm", "webm", "vp9", "exact"),
        ("av1.mp4", "mp4", "av1", "exact"),
        ("bframes.ts", "mpegts", "h264", "exact"),
        ("plain.flv", "flv", "h264", "exact"),
        ("bframes.avi", "avi", "h264", "nominal"),
        ("mpeg4.avi", "avi", "mpeg4", "nominal"),
        ("raw.h264", "h264", "h264", "nominal"),
        ("raw.hevc", "hevc", "hevc", "nominal"),
    ],
)
def test_facts(shelf: media.Shelf, name: str, container: str, codec: str, timing: str) -> None:
    stream = probe(shelf.get(name)).stream
    assert (stream.container, stream.codec, stream.timing) == (container, codec, timing)


@pytest.mark.parametrize("name", ["vfr.mp4", "vfr.mkv"])
def test_variable_times_are_the_ones_written(shelf: media.Shelf, name: str) -> None:
    index = probe(shelf.get(name))
    seconds = [float((p - index.pts[0]) * index.stream.time_base) for p in index.pts.tolist()]
    assert seconds == [pts / 1000 for pts in media.vfr_pts()]


def test_rate_is_measured_not_nominal(shelf: media.Shelf) -> None:
    assert probe(shelf.get("ntsc.mp4")).rate == Fraction(30000, 1001)
    assert probe(shelf.get("vfr.mp4")).rate == Fraction(59000, media.vfr_pts()[-1])


def test_nominal_times_count_frames(shelf: media.Shelf) -> None:
    index = probe(shelf.get("bframes.avi"))
    assert index.pts.tolist() == list(range(60))
    assert index.stream.time_base == Fraction(1, 30)


@pytest.mark.parametrize(
    ("name", "turn_deg"), [("cfr.mp4", 0), ("turned_90.mp4", 90), ("turned_180.mp4", 180), ("turned_270.mp4", 270)]
)
def test_rotation_is_clockwise_and_size_is_upright(shelf: media.Shelf, name: str, turn_deg: int) -> None:
    stream = probe(shelf.get(name)).stream
    assert stream.rotation_deg == turn_deg
    assert stream.size == media.SIZE


def test_the_made_videos_are_turned_as_phones_turn_them(shelf: media.Shelf) -> None:
    """A phone held upright writes a matrix that sends x down and y left (ISO 14496-12, 8.3.2): 90 degrees clockwise."""
    data = shelf.get("turned_90.mp4").read_bytes()
    matrix = data[data.index(b"tkhd") + 44 :][:20]
    assert [int.from_bytes(matrix[i : i + 4], "big", signed=True) >> 16 for i in (0, 4, 12, 16)] == [0, 1, -1, 0]


def test_key_frames_that_a_decoder_cannot_start_at_are_none(shelf: media.Shelf) -> None:
    assert np.flatnonzero(probe(shelf.get("intra_refresh.mp4")).is_key).tolist() == [0]
    assert np.flatnonzero(probe(shelf.get("open_gop.mp4")).is_key).tolist() == [0, 16, 32, 48]


def test_an_edit_list_hides_frames(shelf: media.Shelf) -> None:
    index = probe(media.with_edit(shelf.get("bframes.mp4"), skipped_s=0.5, kept_s=1.0))
    assert index.n_frames == 30
    assert np.flatnonzero(index.is_key).tolist() == [15]  # the first frames hang on a hidden key frame


def test_frames_before_time_zero_are_hidden(shelf: media.Shelf) -> None:
    index = probe(shelf.get("negative_start.mp4"))
    assert (index.n_frames, int(index.pts[0])) == (47, 0)


def test_a_stream_that_begins_in_the_middle_begins_at_its_first_key_frame(shelf: media.Shelf) -> None:
    index = probe(media.without_start(shelf.get("open_gop.ts"), 0.2, "no_start.ts"))
    assert index.is_key[0]
    assert 20 < index.n_frames < 60


def test_a_clock_that_is_set_back_gives_nominal_times(shelf: media.Shelf) -> None:
    index = probe(media.backward_clock(shelf.folder))
    assert (index.stream.timing, index.n_frames, index.rate) == ("nominal", 60, 30)


def test_date_of_recording(shelf: media.Shelf) -> None:
    assert probe(shelf.get("dated.mp4")).recorded_at == "2024-05-06T07:08:09+00:00"
    assert probe(shelf.get("cfr.mp4")).recorded_at is None


def test_an_index_travels(shelf: media.Shelf) -> None:
    index = probe(shelf.get("cfr.mp4"))
    again = pickle.loads(pickle.dumps(index))
    assert again.stream == index.stream
    assert again.pts.tolist() == index.pts.tolist()


def test_names_with_spaces_colons_and_percent_signs(shelf: media.Shelf) -> None:
    path = shelf.folder / "concat:a b%20c é.mp4"
    path.write_bytes(shelf.get("cfr.mp4").read_bytes())
    assert probe(path).n_frames == 60


# --- what is refused ---


def code_of(path: Path) -> str:
    with pytest.raises(FramehouseError) as caught:
        probe(path)
    assert "\n" not in caught.value.line()
    return caught.value.code


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound):
        probe(tmp_path / "none.mp4")
    assert code_of(tmp_path) == "media.unreadable"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("empty", "media.empty_file"),
        ("text", "media.unreadable"),
        ("ffconcat", "media.unreadable"),
        ("playlist", "media.unreadable"),
        ("picture", "media.unreadable"),
    ],
)
def test_what_is_no_video_is_refused_whatever_its_name(tmp_path: Path, kind: str, code: str) -> None:
    assert code_of(media.no_video(tmp_path, kind)) == code


def test_sound_alone(tmp_path: Path) -> None:
    assert code_of(media.sound_only(tmp_path)) == "media.no_video_stream"
    (tmp_path / "song.mp3").write_bytes(b"ID3\x04" + bytes(100))
    assert code_of(tmp_path / "song.mp3") == "media.no_video_stream"


def test_no_frames(tmp_path: Path) -> None:
    assert code_of(media.no_frames(tmp_path)) == "media.no_video_stream"


def test_an_mp4_without_its_index_is_truncated(shelf: media.Shelf) -> None:
    assert code_of(media.damaged(shelf.get("cfr.mp4"), "cut_index")) == "media.truncated"


def test_too_many_pixels_are_refused_before_decoding(shelf: media.Shelf) -> None:
    with pytest.raises(MediaError, match="128 x 96") as caught:
        probe(shelf.get("cfr.mp4"), max_pixels=128 * 95)
    assert caught.value.code == "media.too_many_pixels"
    assert probe(shelf.get("cfr.mp4"), max_pixels=128 * 96).n_frames == 60


def test_noise_behind_a_true_signature(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, 5000, np.uint8).tobytes()
    for name, head in {
        "a.mkv": b"\x1a\x45\xdf\xa3",
        "a.avi": b"RIFF\xff\xff\0\0AVI ",
        "a.h264": b"\0\0\0\1\x67",
        "a.flv": b"FLV\x01\x05",
        "a.mpg": b"\0\0\1\xba",
    }.items():
        (tmp_path / name).write_bytes(head + noise)
        assert code_of(tmp_path / name) in {"media.unreadable", "media.no_video_stream"}


# --- damaged, but not refused ---


def test_a_cut_mp4_keeps_the_frames_that_its_index_lists(shelf: media.Shelf) -> None:
    index = probe(media.damaged(shelf.get("dated.mp4"), "cut_data"))
    assert index.n_frames == 60
    assert len(index.damage) == 2
    assert "bytes short" in index.damage[0]
    assert "of 60 frames lie beyond the end" in index.damage[1]


@pytest.mark.parametrize("how", ["hole", "lost", "cut_data"])
def test_lost_frames_of_a_matroska_file_are_told(shelf: media.Shelf, how: str) -> None:
    index = probe(media.damaged(shelf.get("sound.mkv"), how))
    assert 0 < index.n_frames < 60
    assert any("the frames end at" in line for line in index.damage)


def test_a_hole_between_clusters_is_told(shelf: media.Shelf) -> None:
    recipe = replace(media.RECIPES["sound.mkv"], name="clusters.mkv", container_options={"cluster_time_limit": "300"})
    index = probe(media.damaged(media.write(shelf.folder, recipe), "hole"))
    assert 30 < index.n_frames < 60
    assert any("hold no packets" in line for line in index.damage), index.damage


def test_any_bytes_end_in_an_index_or_a_named_error(shelf: media.Shelf) -> None:
    """No hang, no crash, no foreign error, whatever is wrong with the bytes."""
    rng = np.random.default_rng(11)
    n_read = 0
    for name in ("cfr.mp4", "sound.mkv", "bframes.ts", "mpeg4.avi", "raw.h264", "plain.flv"):
        whole = shelf.get(name).read_bytes()
        for _ in range(12):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), 20).tolist():
                data[at] = int(rng.integers(256))
            path = shelf.folder / f"fuzzed_{name}"
            path.write_bytes(data[: int(rng.integers(len(data) // 2, len(data)))])
            try:
                n_read += probe(path).n_frames > 0
            except MediaError as error:
                assert error.code.startswith("media.")
    assert n_read > 20


# --- signatures ---


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", None),
        (b"\0" * 64, None),
        (b"\0\0\0\x18ftypisom", "mp4"),
        (b"\0\0\0\x14ftypqt  ", "mov"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", "webm"),
        (b"\x1a\x45\xdf\xa3\x9f", "matroska"),
        (b"RIFF\0\0\0\0AVI LIST", "avi"),
        (b"RIFF\0\0\0\0WAVEfmt ", None),
        ((b"\x47" + bytes(187)) * 4, "mpegts"),
        (b"\0\0\0\0" + (b"\x47" + bytes(191)) * 4, "mpegts"),
        (b"\0\0\0\1\x67\x64", "h264"),
        (b"\0\0\1\x09\xf0", "h264"),
        (b"\0\0\0\1\x40\x01", "hevc"),
        (b"\0\0\1\xba", "mpeg"),
        (b"ffconcat version 1.0\n", None),
        (b"#EXTM3U\n", None),
        (b"\xff\xd8\xff\xe0", None),
    ],
)
def test_sniff(head: bytes, expected: str | None) -> None:
    assert sniff(head) == expected
