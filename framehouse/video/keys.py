"""Reading just enough of a coded picture to know what depends on it.

Containers say "key frame" of pictures that a decoder cannot start at (H.264 with gradual refresh, wrong sync tables),
and nothing of which pictures no other one needs. Both are written in the first bytes of each coded picture.
"""

from __future__ import annotations

from collections.abc import Iterator

_SCAN_BYTES = 4096  # parameter sets and SEI in front of the first slice fit in this
_H264_SLICES = frozenset({1, 2, 3, 4, 5})
_H264_IDR, _H264_SEI = 5, 6
_HEVC_IRAP = range(16, 24)
_HEVC_UNREFERENCED = frozenset(range(0, 16, 2))
_SEI_RECOVERY_POINT = 6
_MPEG_B = 3
_MPEG_PICTURES = {"mpeg1video": b"\0\0\1\0", "mpeg2video": b"\0\0\1\0", "mpeg4": b"\0\0\1\xb6"}
_HOLE = bytes(64)


def unit_length_size(codec: str, extradata: bytes | None) -> int:
    """Bytes of the length in front of each NAL unit; 0 when units are parted by start codes.

    mp4 and Matroska keep H.264 and HEVC in the length form and say so by an extradata that begins with 1.
    """
    if not extradata or extradata[0] != 1:
        return 0
    at = {"h264": 4, "hevc": 21}.get(codec)
    return (extradata[at] & 3) + 1 if at is not None and len(extradata) > at else 0


def nal_units(packet: memoryview, length_size: int) -> Iterator[memoryview]:
    """The NAL units near the start of a packet, without start code or length, up to and including the first slices."""
    return _by_length(packet, length_size) if length_size else _by_start_code(bytes(packet[:_SCAN_BYTES]))


def _by_length(packet: memoryview, length_size: int) -> Iterator[memoryview]:
    at = 0
    while at + length_size < len(packet):
        length = int.from_bytes(packet[at : at + length_size], "big")
        yield packet[at + length_size : at + length_size + length]
        at += length_size + max(length, 1)


def _by_start_code(data: bytes) -> Iterator[memoryview]:
    at = data.find(b"\0\0\1")
    while at >= 0:
        following = data.find(b"\0\0\1", at + 3)
        yield memoryview(data)[at + 3 : following if following >= 0 else None]
        at = following


def can_start_at(packet: memoryview, codec: str, length_size: int) -> bool:
    """Whether decoding may begin at a packet that its container calls a key frame.

    True for codecs other than H.264 and HEVC (their containers are believed). For H.264: an IDR picture, or a recovery
    point that is reached at once; for HEVC: an IRAP picture.
    """
    if codec == "h264":
        return _h264_can_start(packet, length_size)
    if codec == "hevc":
        return any(_hevc_kind(u) in _HEVC_IRAP for u in nal_units(packet, length_size) if len(u))
    return True


def _h264_can_start(packet: memoryview, length_size: int) -> bool:
    for unit in nal_units(packet, length_size):
        kind = unit[0] & 31 if len(unit) else 0
        if kind == _H264_SEI and _frames_to_recovery(bytes(unit[1:])) == 0:
            return True
        if kind in _H264_SLICES:
            return kind == _H264_IDR
    return False


def _frames_to_recovery(sei: bytes) -> int | None:
    """recovery_frame_cnt of the recovery point message in an SEI unit; None when it holds none (H.264 D.1.8)."""
    payload = sei.replace(b"\0\0\3", b"\0\0")
    at = 0
    while at + 2 < len(payload):
        kind, at = _sei_number(payload, at)
        size, at = _sei_number(payload, at)
        if kind == _SEI_RECOVERY_POINT:
            return _exp_golomb(payload[at : at + size])
        at += size
    return None


def _sei_number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    while at < len(data) and data[at] == 255:
        value, at = value + 255, at + 1
    return value + (data[at] if at < len(data) else 0), at + 1


def _exp_golomb(data: bytes) -> int | None:
    """The unsigned Exp-Golomb number that the bytes begin with."""
    bits = "".join(f"{byte:08b}" for byte in data[:9])
    zeros = len(bits) - len(bits.lstrip("0"))
    coded = bits[zeros : 2 * zeros + 1]
    return int(coded, 2) - 1 if len(coded) == zeros + 1 else None


def is_unreferenced(packet: memoryview, codec: str, length_size: int) -> bool:
    """Whether no other picture refers to this one, by its own first bytes; False when in doubt.

    H.264: nal_ref_idc 0. HEVC: a sub-layer non-reference picture (only where `has_one_layer`). MPEG-1, -2, -4: a
    B picture.
    """
    if codec == "h264":
        return next((u[0] >> 5 & 3 == 0 for u in nal_units(packet, length_size) if _is_h264_slice(u)), False)
    if codec == "hevc":
        return next(
            (_hevc_kind(u) in _HEVC_UNREFERENCED for u in nal_units(packet, length_size) if _is_hevc_slice(u)), False
        )
    if codec in _MPEG_PICTURES:
        return _mpeg_picture_kind(bytes(packet[:_SCAN_BYTES]), codec) == _MPEG_B
    return False


def _is_h264_slice(unit: memoryview) -> bool:
    return len(unit) > 0 and unit[0] & 31 in _H264_SLICES


def _is_hevc_slice(unit: memoryview) -> bool:
    return len(unit) > 0 and _hevc_kind(unit) < 32


def _hevc_kind(unit: memoryview) -> int:
    return unit[0] >> 1 & 63


def _mpeg_picture_kind(data: bytes, codec: str) -> int | None:
    """1 I, 2 P, 3 B, by the first picture header; None without one, or with a second (packed) picture behind it."""
    start_code = _MPEG_PICTURES[codec]
    at = data.find(start_code)
    if at < 0 or len(data) < at + 6 or (codec == "mpeg4" and data.find(start_code, at + 4) >= 0):
        return None
    if codec == "mpeg4":
        return (data[at + 4] >> 6) + 1
    return data[at + 5] >> 3 & 7  # after ten bits of temporal reference


def has_one_layer(codec: str, extradata: bytes | None) -> bool:
    """Whether `is_unreferenced` holds for the whole stream: HEVC says it for one temporal layer only."""
    return codec != "hevc" or _hevc_layers(extradata or b"") == 1


def _hevc_layers(extradata: bytes) -> int:
    """Temporal layers by the sequence parameter set (hvcC in mp4 and Matroska, start codes elsewhere); 0 = unknown."""
    if extradata[:1] == b"\1":
        return extradata[21] >> 3 & 7 if len(extradata) > 21 else 0
    for unit in _by_start_code(extradata):
        if len(unit) > 2 and _hevc_kind(unit) == 33:
            return (unit[2] >> 1 & 7) + 1
    return 0


def has_hole(packet: memoryview, codec: str) -> bool:
    """Whether a packet holds a run of zeros that its codec never writes: bytes that were never copied.

    Three zeros in a row cannot occur inside a coded unit of H.264, HEVC or MPEG-4; decoders take them for a picture.
    """
    return codec in ("h264", "hevc", "mpeg4") and _HOLE in bytes(packet).rstrip(b"\0")


def is_shown(packet: memoryview, codec: str) -> bool:
    """Whether a packet gives a picture at all: VP8 stores its hidden reference frames as packets of their own."""
    return codec != "vp8" or len(packet) == 0 or bool(packet[0] >> 4 & 1)
