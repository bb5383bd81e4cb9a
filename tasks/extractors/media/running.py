"""Sound decoded from a file's first byte to its last, for files whose headers, indexes or times are not to be trusted.

Joined files are read one after the other, times that begin again go on, and a frame that is damaged is passed over.
Nothing depends on what was read before: samples are those that decoding from the beginning gives.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from tasks.extractors.media.container import open_container, origin, track
from tasks.extractors.media.contents import Kind, outlasts_header, parts
from tasks.extractors.media.opened import MediaFile, View
from tasks.extractors.media.span import MediaFault, Span

STEP_BACK_S = 0.1  # times that go back further begin again
_KEPT_S = 30.0  # of decoded sound, for utterances that overlap

Timed = tuple[float, Any]


class Running:
    """One decoding of a file's sound that goes on from stretch to stretch.

    Attributes:
        seconds: where decoding is; the recording's end once `over`.
        over: whether everything was decoded.
        damaged: where packets lie that cannot be decoded, in seconds.
    """

    def __init__(self, file: MediaFile, kind: Kind) -> None:
        self.seconds, self.over = 0.0, False
        self.damaged: list[float] = []
        self._decoding = self._decoded(file, kind)
        self._recent: deque[Timed] = deque()

    def holds(self, start: float) -> bool:
        """Whether what comes after a time is still to be had."""
        return not start or start >= (self._recent[0][0] if self._recent else self.seconds)

    def frames(self, stretch: Span) -> Iterator[Timed]:
        """Yield the frames that lie in a stretch, and perhaps some before it, each with its time in seconds."""
        yield from (pair for pair in tuple(self._recent) if pair[0] < stretch.limit)
        while self.seconds < stretch.limit:
            pair = next(self._decoding, None)
            if pair is None:
                self.over = True
                return
            self._recent.append(pair)
            while len(self._recent) > 1 and self._recent[1][0] < min(stretch.start, self.seconds - _KEPT_S):
                self._recent.popleft()
            yield pair

    def _decoded(self, file: MediaFile, kind: Kind) -> Iterator[Timed]:
        begins = parts(file, kind)
        options = {"ignore_length": "1"} if kind == "wav" and outlasts_header(file) else {}
        for begin, end in zip(begins, [*begins[1:], file.size], strict=True):
            with open_container(file.view(begin, end), **options) as opened:
                stream = track(opened, "audio")
                shift = self.seconds - origin(opened)
                for frame in self._every_frame(opened, stream):
                    time = self.seconds if frame.time is None else frame.time + shift
                    if time < self.seconds - STEP_BACK_S:
                        shift += self.seconds - time
                        time = self.seconds
                    self.seconds = time + frame.samples / frame.rate
                    yield time, frame

    def _every_frame(self, opened: Any, stream: Any) -> Iterator[Any]:
        """Decode what can be decoded, as players do: a damaged packet costs itself."""
        import av

        packets = opened.demux(stream)
        while True:
            try:
                if (packet := next(packets, None)) is None:
                    while self.damaged and self.damaged[-1] >= self.seconds:
                        self.damaged.pop()  # a tag behind the sound, or the half of a last packet
                    return
            except av.error.FFmpegError:  # what follows cannot be told apart into packets
                self.damaged.append(self.seconds)
                return
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                self.damaged.append(self.seconds)


@contextmanager
def running(file: MediaFile, kind: Kind, start: float) -> Iterator[Running]:
    """Go on with a file's decoding, or begin it again where it has passed ``start``.

    Raises:
        MediaFault: FFmpeg cannot read the file.
    """
    import av

    try:
        for _ in range(2):
            with file.decoder(partial(_begun, file, kind), "running") as decoding:
                if decoding.holds(start):
                    yield decoding
                    return
            file.drop("running")
    except av.error.FFmpegError as error:
        raise MediaFault(f"cannot be decoded: {error.strerror}") from error


@contextmanager
def _begun(file: MediaFile, kind: Kind, _: View) -> Iterator[Running]:
    yield Running(file, kind)
