"""What a browser's player must know of a file, and whether it can play it as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from framehouse.video.container import opened, video_stream
from framehouse.video.index import StreamFacts

_MEDIA_TYPES = {"mp4": "video/mp4", "mov": "video/mp4", "webm": "video/webm"}
_PICTURES = {"mp4": ("h264", "vp9", "av1"), "mov": ("h264",), "webm": ("vp8", "vp9", "av1")}
_SOUNDS = {"mp4": ("aac", "mp3", "opus", "flac"), "mov": ("aac", "mp3"), "webm": ("vorbis", "opus")}
_PIXELS = ("yuv420p", "yuvj420p")


@dataclass(frozen=True, slots=True)
class PlayerFacts:
    """What a player has to cope with.

    Attributes:
        container: short name, as in `StreamFacts`.
        codec: of the pictures, FFmpeg's name.
        pixels: FFmpeg's pixel format: "yuv420p" …
        timing: "nominal" where the player would find no times of its own that are ours.
        sounds: codecs of the sound streams, in order; "" where FFmpeg has no decoder.
    """

    container: str
    codec: str
    pixels: str
    timing: str
    sounds: tuple[str, ...]

    @property
    def media_type(self) -> str:
        """MIME type under which to serve the file itself; empty for a container that browsers do not know."""
        return _MEDIA_TYPES.get(self.container, "")


def player_facts(path: Path, stream: StreamFacts) -> PlayerFacts:
    """Facts out of a file's header. Raises as `container.opened` and `video_stream`."""
    with opened(path, stream.container) as source:
        codecs = (s.codec_context.codec.canonical_name if s.codec_context else "" for s in source.streams.audio)
        pixels = video_stream(source, path).codec_context.pix_fmt or ""
        return PlayerFacts(stream.container, stream.codec, pixels, stream.timing, tuple(codecs))


def why_not_played(facts: PlayerFacts) -> str:
    """Why a browser cannot be counted on to play the file, in a few words; empty when it can.

    Counted on: what Chromium, Firefox and Safari all play.

    >>> why_not_played(PlayerFacts("mp4", "h264", "yuv420p", "exact", ("aac",)))
    ''
    >>> why_not_played(PlayerFacts("matroska", "h264", "yuv420p", "exact", ()))
    'browsers do not open matroska files'
    """
    if facts.container not in _MEDIA_TYPES:
        return f"browsers do not open {facts.container} files"
    if facts.codec not in _PICTURES[facts.container]:
        return f"browsers do not play {facts.codec} in {facts.container} files"
    if facts.pixels not in _PIXELS:
        return f"browsers do not show {facts.pixels} pixels"
    if facts.timing != "exact":
        return "the file's own times are not true"
    odd = [sound or "unknown" for sound in facts.sounds if sound not in _SOUNDS[facts.container]]
    return f"browsers do not play {odd[0]} sound in {facts.container} files" if odd else ""
