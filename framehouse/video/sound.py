"""The sound of a written video: its source's packets as they are, or made anew where a browser could not play them.

Either way every sound keeps its own time, so that it stays in step with the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal

import av
import av.error
import structlog
from av.container import InputContainer, OutputContainer
from av.stream import Disposition

log = structlog.get_logger(__name__)

SoundMode = Literal["keep", "browser", "none"]
"""`keep`: every stream, bit for bit where an mp4 can hold it, else as AAC. `browser`: one stream, as it is where it is
AAC or MP3, else as AAC. `none`: no sound."""

_BROWSER = frozenset({"aac", "mp3"})
_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
_MOST_ERRORS = 200


class Sound:
    """The sound of a source, written as the pictures advance, in an mp4 whose times are `start_s` seconds less."""

    def __init__(self, source: InputContainer, out: OutputContainer, start_s: Fraction, mode: SoundMode) -> None:
        chosen = _chosen(source, mode)
        fit = _BROWSER if mode == "browser" else out.supported_codecs
        self._tracks: dict[int, _Copied | _Converted] = {
            stream.index: (_Copied if _codec(stream) in fit else _Converted)(stream, out, start_s) for stream in chosen
        }
        self._packets = _packets(source, chosen)
        self._next: Any = None

    def write_until(self, second: Fraction | None) -> None:
        """Write what is heard up to a time on the source's clock; None: all that is left."""
        while (packet := self._next or next(self._packets, None)) is not None:
            self._next = None
            if second is not None and packet.dts * packet.time_base > second:
                self._next = packet
                return
            self._tracks[packet.stream_index].take(packet)
        if second is None:
            for track in self._tracks.values():
                track.finish()


def ticks_a_second(source: InputContainer) -> list[int]:
    """Of the clocks of the source's sound streams."""
    return [s.time_base.denominator for s in source.streams.audio if s.time_base]


def _chosen(source: InputContainer, mode: SoundMode) -> list[Any]:
    """Streams to write; those that FFmpeg cannot name are left out (and logged)."""
    known = [s for s in source.streams.audio if s.codec_context]
    for stream in source.streams.audio:
        if stream not in known:
            log.warning("sound left out: no decoder for it", stream=stream.index)
    if mode == "keep" or not known:
        return known
    return [next((s for s in known if s.disposition & Disposition.default), known[0])] if mode == "browser" else []


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name)


class _Copied:
    """Packets, copied with their own times."""

    def __init__(self, stream: Any, out: OutputContainer, start_s: Fraction) -> None:
        self._out, self._start_s = out, start_s
        self._target = out.add_stream_from_template(stream)
        self._last_dts: int | None = None

    def take(self, packet: Any) -> None:
        if self._last_dts is not None and packet.dts <= self._last_dts:
            log.warning("sound packet left out: its time goes back", stream=packet.stream_index, dts=packet.dts)
            return
        self._last_dts = packet.dts
        ticks = round(self._start_s / packet.time_base)
        packet.dts -= ticks
        packet.pts = None if packet.pts is None else packet.pts - ticks
        packet.stream = self._target
        self._out.mux(packet)

    def finish(self) -> None:
        pass


class _Converted:
    """Sound, decoded and written as AAC; silence where the source has a hole."""

    def __init__(self, stream: Any, out: OutputContainer, start_s: Fraction) -> None:
        self._out, self._start_s = out, start_s
        self._rate = stream.rate if stream.rate in _AAC_RATES else 48000
        self._layout = "mono" if stream.channels == 1 else "stereo"
        self._encoder: Any = out.add_stream("aac", rate=self._rate, layout=self._layout)
        self._form: tuple[Any, ...] = ()
        self._graph: Any = None

    def take(self, packet: Any) -> None:
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

    def finish(self) -> None:
        self._drain()
        self._out.mux(self._encoder.encode(None))

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
