"""Media containers as FFmpeg reads them: tracks, and a track's frames in a stretch of time."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

from tasks.extractors.media.files import MediaFault, MediaFile, Span

# Decoding begins this much before a span: a codec needs earlier packets to give the right samples.
_LEAD_S = 0.5


@contextmanager
def container(file: MediaFile, keep: bool = True) -> Iterator[Any]:
    """Open a PyAV container over a file.

    With ``keep`` the next stretch goes on with the same container, which is right for pictures: they do not depend on
    what was decoded before. Some decoders of sound remember more than a seek resets, so sound opens a new one.

    Raises:
        MediaFault: FFmpeg cannot read the file.
    """
    import av

    # A playlist could name other files: nothing but this one is ever opened. Tags may be in any encoding.
    opening = partial(av.open, file, options={"protocol_whitelist": "none"}, metadata_errors="replace")
    try:
        with file.decoder(opening, keep) as opened:
            file.seconds = seconds(opened)
            yield opened
    except av.error.FFmpegError as error:
        raise MediaFault(f"cannot be decoded: {error.strerror}") from error


def track(opened: Any, kind: Literal["audio", "video"]) -> Any:
    """Return the container's first track of a kind, set to decode on one thread, as the worker asked Ray for.

    Raises:
        MediaFault: the container has none, or FFmpeg has no decoder for it.
    """
    streams = getattr(opened.streams, kind)
    if not streams:
        raise MediaFault(f"no {kind} track")
    if streams[0].codec_context is None:
        raise MediaFault(f"cannot be decoded: {kind} track of an unknown codec")
    if streams[0].codec_context.thread_count != 1:  # set before the first frame only
        streams[0].codec_context.thread_count = 1
    return streams[0]


def frames(opened: Any, stream: Any, stretch: Span) -> Iterator[tuple[float, Any]]:
    """Yield a track's frames up to the end of a stretch, each with its time in seconds from the recording's beginning.

    The first ones lie before the stretch, where decoding can begin.

    Raises:
        MediaFault: the stretch begins after the recording's end, or has no end and the recording is too long.
    """
    duration = seconds(opened)
    if duration is not None and stretch.start >= duration:
        raise stretch.past_the_end()
    if duration is not None and stretch.end is None and duration > stretch.limit:
        raise stretch.too_long()
    for time, frame in _decoded_before(opened, stream, stretch.start):
        if time >= stretch.limit:
            if stretch.end is None:
                raise stretch.too_long()
            return
        yield time, frame


def _decoded_before(opened: Any, stream: Any, start: float) -> Iterator[tuple[float, Any]]:
    """Yield timed frames from a place before ``start`` on, else from the first one."""
    origin = (opened.start_time or 0) / 1e6  # a cut or a broadcast may begin at any time
    lead = _LEAD_S
    while lead < start:
        opened.seek(int((origin + start - lead) * 1e6), backward=True)
        timed = _timed(opened, stream, origin)
        first = next(timed, None)
        if first is not None and first[0] <= start:
            yield first
            yield from timed
            return
        lead *= 4  # a broadcast has no index: decoding began at the next whole picture only
    if lead > _LEAD_S or stream.type == "video":  # other pictures may have been decoded before
        opened.seek(int((origin - lead) * 1e6), backward=True)
    yield from _timed(opened, stream, origin)


def _timed(opened: Any, stream: Any, origin: float) -> Iterator[tuple[float, Any]]:
    return ((float(frame.time or 0.0) - origin, frame) for frame in opened.decode(stream))


def seconds(opened: Any) -> float | None:
    """Duration that the container states; None where it states none."""
    return None if opened.duration is None else opened.duration / 1e6
