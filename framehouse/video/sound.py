"""The sound of a written video: its source's packets as they are, or made anew where a browser could not play them.

Either way every sound keeps its own time, so that it stays in step with the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal, Protocol

import av
import av.error
import structlog
from av.container import InputContainer, OutputContainer
from av.stream import Disposition

log = structlog.get_logger(__name__)

SoundMode = Literal["copy", "browser", "none"]
"""`copy`: every stream that an mp4 can hold, bit for bit. `browser`: one stream, as AAC or MP3. `none`: no sound."""

_BROWSER = frozenset({"aac", "mp3"})
_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
_MOST_ERRORS = 200


class Sound(Protocol):
    """Sound being written as the pictures advance."""

    def write_until(self, second: Fraction | None) -> None:
        """Write what is heard up to a time on the source's clock; None: all that is left."""
        ...


def sound_of(source: InputContainer, out: OutputContainer, start_s: Fraction, mode: SoundMode) -> Sound:
    """The sound of a source, added to an mp4 whose times are `start_s` seconds less than the source's.

    Streams that cannot be kept are left out (and logged).
    """
    if mode == "none":
        return _Copied(source, out, start_s, [])
    known = [s for s in source.streams.audio if s.codec_context]
    if mode == "copy":
        kept = [s for s in known if _codec(s) in out.supported_codecs]
        for stream in source.streams.audio:
            if stream not in kept:
                log.warning("sound left out: mp4 cannot hold it", stream=stream.index, codec=stream.name)
        return _Copied(source, out, start_s, kept)
    first = next((s for s in known if s.disposition & Disposition.default), known[0] if known else None)
    if first is None or _codec(first) in _BROWSER:
        return _Copied(source, out, start_s, [] if first is None else [first])
    return _Converted(source, out, start_s, first)


def ticks_a_second(source: InputContainer) -> list[int]:
    """Of the clocks of the source's sound streams."""
    return [s.time_base.denominator for s in source.streams.audio if s.time_base]


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name)


class _Copied:
    """Packets, copied with their own times."""

    def __init__(self, source: InputContainer, out: OutputContainer, start_s: Fraction, kept: list[Any]) -> None:
        self._out, self._start_s = out, start_s
        self._targets = {stream.index: out.add_stream_from_template(stream) for stream in kept}
        self._last_dts: dict[int, int] = {}
        self._packets = _packets(source, kept)
        self._next: Any = None

    def write_until(self, second: Fraction | None) -> None:
        while (packet := self._next or next(self._packets, None)) is not None:
            self._next = None
            if second is not None and packet.dts * packet.time_base > second:
                self._next = packet
                return
            if packet.dts <= self._last_dts.get(packet.stream_index, packet.dts - 1):
                log.warning("sound packet left out: its time goes back", stream=packet.stream_index, dts=packet.dts)
                continue
            self._last_dts[packet.stream_index] = packet.dts
            ticks = round(self._start_s / packet.time_base)
            packet.dts -= ticks
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.stream = self._targets[packet.stream_index]
            self._out.mux(packet)


class _Converted:
    """Sound, decoded and written as AAC; silence where the source has a hole."""

    def __init__(self, source: InputContainer, out: OutputContainer, start_s: Fraction, stream: Any) -> None:
        self._out, self._start_s = out, start_s
        self._rate = stream.rate if stream.rate in _AAC_RATES else 48000
        self._layout = "mono" if stream.channels == 1 else "stereo"
        self._encoder: Any = out.add_stream("aac", rate=self._rate, layout=self._layout)
        self._packets = _packets(source, [stream])
        self._next: Any = None
        self._form: tuple[Any, ...] = ()
        self._graph: Any = None

    def write_until(self, second: Fraction | None) -> None:
        while (packet := self._next or next(self._packets, None)) is not None:
            self._next = None
            if second is not None and packet.dts * packet.time_base > second:
                self._next = packet
                return
            self._take(packet)
        if second is None:
            self._drain()
            self._out.mux(self._encoder.encode(None))

    def _take(self, packet: Any) -> None:
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            log.warning("sound left out: it does not decode", pts=packet.pts, error=error.strerror)
            return
        for frame in frames:
            if frame.pts is None:
                continue
            form = (frame.format.name, frame.layout.name, frame.sample_rate)
            if form != self._form:
                self._drain()
                self._form, self._graph = form, self._new_graph(frame)
            frame.pts -= round(self._start_s / frame.time_base)
            self._graph.push(frame)
            self._pull()

    def _new_graph(self, frame: Any) -> Any:
        graph = av.filter.Graph()
        steps = [
            graph.add_abuffer(
                format=frame.format.name, sample_rate=frame.sample_rate, layout=frame.layout.name,
                time_base=frame.time_base,
            ),
            graph.add("aresample", f"{self._rate}:async=1000"),
            graph.add("aformat", f"sample_fmts=fltp:channel_layouts={self._layout}"),
            graph.add("asetnsamples", "n=1024:p=0"),
            graph.add("abuffersink"),
        ]  # fmt: skip
        graph.link_nodes(*steps).configure()
        return graph

    def _pull(self) -> None:
        while True:
            try:
                frame = self._graph.pull()
            except (BlockingIOError, EOFError):
                return
            self._out.mux(self._encoder.encode(frame))

    def _drain(self) -> None:
        if self._graph is not None:
            self._graph.push(None)
            self._pull()
            self._graph = None


def _packets(source: InputContainer, streams: list[Any]) -> Iterator[Any]:
    """Packets of some streams as stored; what cannot be read is passed over, and nothing of damage ends the rest."""
    n_errors = 0
    while streams and n_errors < _MOST_ERRORS:
        try:
            for packet in source.demux(*streams):
                if packet.dts is not None and packet.size:
                    n_errors = 0
                    yield packet
        except av.error.FFmpegError:
            n_errors += 1
        except IndexError:
            return  # as in `container.packets`
        else:
            return
