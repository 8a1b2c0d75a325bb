"""What the first bytes of a coded picture say."""

from __future__ import annotations

import pytest

from framehouse.video import keys

START = b"\0\0\0\1"
RECOVERY_NOW = b"\x06\x06\x01\xc4\x80"  # SEI, recovery point, 1 byte: cnt 0, exact
RECOVERY_LATER = b"\x06\x06\x02\x0a\x40\x80"  # cnt 19
USER_DATA = b"\x06\x05\x03abc\x80"


def avcc(*units: bytes) -> memoryview:
    return memoryview(b"".join(len(u).to_bytes(4, "big") + u for u in units))


def annex_b(*units: bytes) -> memoryview:
    return memoryview(b"".join(START + u for u in units))


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ([b"\x65\x88\x84"], True),  # IDR
        ([b"\x67\x64", b"\x68\xee", b"\x65\x88"], True),
        ([b"\x41\x9a\x24"], False),  # P
        ([RECOVERY_NOW, b"\x41\x9a"], True),  # open group
        ([USER_DATA, RECOVERY_NOW, b"\x41\x9a"], True),
        ([RECOVERY_LATER, b"\x41\x9a"], False),  # gradual refresh
        ([], False),
        ([b""], False),
    ],
)
def test_where_h264_may_start(units: list[bytes], expected: bool) -> None:
    assert keys.can_start_at(avcc(*units), "h264", 4) is expected
    assert keys.can_start_at(annex_b(*units), "h264", 0) is expected


@pytest.mark.parametrize(("kind", "expected"), [(19, True), (21, True), (16, True), (1, False), (32, False)])
def test_where_hevc_may_start(kind: int, expected: bool) -> None:
    assert keys.can_start_at(annex_b(bytes([kind << 1, 1, 0])), "hevc", 0) is expected


def test_other_codecs_are_believed() -> None:
    assert keys.can_start_at(memoryview(b"any"), "vp9", 0)


@pytest.mark.parametrize(
    ("codec", "packet", "expected"),
    [
        ("h264", START + b"\x01\x9e", True),  # nal_ref_idc 0
        ("h264", START + b"\x41\x9e", False),
        ("h264", START + b"\x09\xf0" + START + b"\x01\x9e", True),
        ("h264", b"", False),
        ("hevc", START + bytes([0 << 1, 1]), True),  # TRAIL_N
        ("hevc", START + bytes([1 << 1, 1]), False),
        ("mpeg2video", b"\0\0\1\0\x00\x1f\xff", True),  # picture_coding_type 3
        ("mpeg2video", b"\0\0\1\0\x00\x17\xff", False),
        ("mpeg4", b"\0\0\1\xb6\x90\x00", True),
        ("mpeg4", b"\0\0\1\xb6\x50\x00", False),
        ("mpeg4", b"\0\0\1\xb6\x90\x00\0\0\1\xb6\x50", False),  # two pictures in a packet
        ("vp9", b"\x82", False),
    ],
)
def test_pictures_that_none_refers_to(codec: str, packet: bytes, expected: bool) -> None:
    assert keys.is_unreferenced(memoryview(packet), codec, 0) is expected


@pytest.mark.parametrize(
    ("codec", "extradata", "expected"),
    [
        ("h264", None, True),
        ("hevc", None, False),  # unknown is no
        ("hevc", START + b"\x42\x01\x01\x01", True),
        ("hevc", START + b"\x42\x01\x03\x01", False),
        ("hevc", b"\x01" + bytes(20) + b"\x0f", True),
        ("hevc", b"\x01" + bytes(20) + b"\x17", False),
    ],
)
def test_temporal_layers(codec: str, extradata: bytes | None, expected: bool) -> None:
    assert keys.has_one_layer(codec, extradata) is expected


@pytest.mark.parametrize(("extradata", "expected"), [(None, 0), (START, 0), (b"\x01\x64\x00\x1f\xff\xe1", 4)])
def test_length_or_start_code(extradata: bytes | None, expected: int) -> None:
    assert keys.unit_length_size("h264", extradata) == expected


def test_vp8_hidden_frames_are_not_shown() -> None:
    assert keys.is_shown(memoryview(b"\x10\x02"), "vp8")
    assert not keys.is_shown(memoryview(b"\x01\x02"), "vp8")
    assert keys.is_shown(memoryview(b"\x01\x02"), "vp9")


def test_a_run_of_zeros_inside_a_packet_is_a_hole() -> None:
    assert keys.has_hole(memoryview(b"\x65ab" + bytes(64) + b"cd"), "h264")
    assert not keys.has_hole(memoryview(b"\x65ab" + bytes(10) + b"cd"), "h264")
    assert not keys.has_hole(memoryview(b"\x65ab" + bytes(900)), "h264")  # padding at the end is allowed
    assert not keys.has_hole(memoryview(b"ab" + bytes(64) + b"cd"), "rawvideo")
