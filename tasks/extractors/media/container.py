"""Media containers as FFmpeg reads them: tracks, and a track's frames in a stretch of time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from tasks.extractors.media.opened import MediaFile, View
from tasks.extractors.media.span import Absent, MediaFault, Span

# Decoding begins this much before a span: a codec needs earlier packets to give the right samples.
_LEAD_S = 0.5


# Containers with an index, or the length of each track, in which a stated duration is no guess.
_INDEXED = ("mov", "matroska", "avi", "asf", "wav", "w64", "aiff", "caf", "au", "flac", "mxf")
_STILL_CODECS = ("mjpeg", "png", "gif", "bmp", "tiff", "webp")


@contextmanager
def container(file: MediaFile, keep: bool = True) -> Iterator[Any]:
    """Open a PyAV container over a file.

    With ``keep`` the next stretch goes on with the same container, which is right for pictures: they do not depend on
    what was decoded before. Some decoders of sound remember more than a seek resets, so sound opens a new one.

    Raises:
        MediaFault: FFmpeg cannot read the file.
    """
    import av

    try:
        with file.decoder(open_container, "container" if keep else None) as opened:
            file.seconds = seconds(opened)
            yield opened
    except av.error.FFmpegError as error:
        raise MediaFault(f"cannot be decoded: {error.strerror}") from error


def open_container(view: View, **options: str) -> Any:
    """Open a PyAV container over a part of a file. Raises: av.error.FFmpegError: FFmpeg cannot read it."""
    import av

    # A playlist could name other files: nothing but this one is ever opened. Tags may be in any encoding.
    return av.open(view, options={"protocol_whitelist": "none", **options}, metadata_errors="replace")


def track(opened: Any, kind: Literal["audio", "video"]) -> Any:
    """Return the container's first track of a kind, set to decode on one thread, as the worker asked Ray for.

    The cover of a recording is stored as a track of one picture, and is none; moving pictures go before still ones.

    Raises:
        Absent: a cover is all that the container has of the kind.
        MediaFault: it has none, or FFmpeg has no decoder for it.
    """
    all_of_kind = getattr(opened.streams, kind)
    streams = sorted((stream for stream in all_of_kind if not _is_cover(stream)), key=_may_be_still)
    if not streams and all_of_kind:
        raise Absent(f"no {kind} track but a cover")
    if not streams:
        raise MediaFault(f"no {kind} track")
    if streams[0].codec_context is None:
        raise MediaFault(f"cannot be decoded: {kind} track of an unknown codec")
    if streams[0].codec_context.thread_count != 1:  # set before the first frame only
        streams[0].codec_context.thread_count = 1
    return streams[0]


def _may_be_still(stream: Any) -> bool:
    """Whether a track is, or may be, a picture without its mark: Matroska does not count a track's frames."""
    return stream.frames == 1 or (stream.codec_context is not None and stream.codec_context.name in _STILL_CODECS)


def _is_cover(stream: Any) -> bool:
    from av.stream import Disposition

    return bool(
        stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image)
    )


def frames(opened: Any, stream: Any, stretch: Span, ended: Callable[[], object] = bool) -> Iterator[tuple[float, Any]]:
    """Yield a track's frames up to the end of a stretch, each with its time in seconds from the recording's beginning.

    The first ones lie before the stretch, where decoding can begin.

    Args:
        opened: a PyAV container.
        stream: its track.
        stretch: in seconds.
        ended: called where the track ends before the stretch does.

    Raises:
        MediaFault: the stretch begins after the recording's end, or has no end and the recording is too long.
    """
    duration = seconds(opened) if opened.format.name.startswith(_INDEXED) else None
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
    ended()


def _decoded_before(opened: Any, stream: Any, start: float) -> Iterator[tuple[float, Any]]:
    """Yield timed frames from a place before ``start`` on, else from the first one."""
    beginning = origin(opened)
    # Where pictures and sound begin together the container's own choice of a track is as good as any; where one of them
    # begins late, only a seek on the track that is read leads to its frames.
    for target in (None, stream):
        lead = _LEAD_S
        while lead < start:
            _seek(opened, target, beginning + start - lead)
            timed = _timed(opened, stream, beginning)
            first = next(timed, None)
            if first is not None and first[0] <= start:
                yield first
                yield from timed
                return
            lead *= 4  # a broadcast has no index: decoding began at the next whole picture only
    if lead > _LEAD_S or stream.type == "video":  # other pictures may have been decoded before
        _seek(opened, stream, min(beginning, _begin(stream)) - lead)
    yield from _timed(opened, stream, beginning)


def _seek(opened: Any, stream: Any, seconds: float) -> None:
    if stream is None:
        opened.seek(int(seconds * 1e6), backward=True)
    else:
        opened.seek(int(seconds / stream.time_base), stream=stream, backward=True)


def _begin(stream: Any) -> float:
    return 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base)


def _timed(opened: Any, stream: Any, beginning: float) -> Iterator[tuple[float, Any]]:
    return ((float(frame.time or 0.0) - beginning, frame) for frame in opened.decode(stream))


def origin(opened: Any) -> float:
    """Time in seconds at which the container's first track begins: a cut or a broadcast may begin at any."""
    return float(opened.start_time or 0) / 1e6


def seconds(opened: Any) -> float | None:
    """Duration that the container states; None where it states none."""
    return None if opened.duration is None else opened.duration / 1e6
