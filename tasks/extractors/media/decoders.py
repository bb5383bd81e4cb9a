"""The decoders of sound: each adds what it finds of a stretch to a mix."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from tasks.extractors.media.container import container, frames, track
from tasks.extractors.media.contents import Kind, kind_of, last_granule
from tasks.extractors.media.mixing import Mix
from tasks.extractors.media.opened import MediaFile, View
from tasks.extractors.media.quiet import QuietView, without_messages
from tasks.extractors.media.running import STEP_BACK_S, running
from tasks.extractors.media.span import MediaFault, Span

# Opening one scans all of it, so the decoder is kept for the next stretch. Its samples may then differ by 1e-7, as they
# do wherever in the file decoding begins. All other sound is the same bits whatever was read before.
_SCANNED = "mp3"
_STREAMS = ("mp3", "aac", "loas", "ac3", "eac3", "dts")  # frames and no container, found wherever they begin
_LEAD_S = 0.5  # of sound before a stretch, on which that of MPEG's frames depends
_BLOCK = 2**16  # frames of a file that are mixed to mono at a time
_RATES = (1_000, 384_000)  # Hz; the engine dies of one far outside, such as a damaged header gives
_LONGEST_S = 1e7  # a header without a length says more


def by_soundfile(file: MediaFile, stretch: Span, mix: Mix) -> None:
    """Decode by libsndfile. Raises: MediaFault: it cannot."""
    try:
        keep = "soundfile" if kind_of(file) == _SCANNED else None
        with without_messages(), file.decoder(_sound_file, keep) as sound:
            rate = _checked_rate(sound.samplerate)
            file.seconds = mix.stated = _stated(file, sound)
            begin, end = round(stretch.start * rate), round(stretch.limit * rate)
            for block in _blocks(sound, begin, end):
                mix.add(block.T, rate)
            if stretch.end is None and next(_blocks(sound, end, end + 1), None) is not None:
                raise stretch.too_long()
    except soundfile.LibsndfileError as error:
        raise MediaFault(f"cannot be decoded: {error.error_string}") from error


def _sound_file(view: View) -> soundfile.SoundFile:
    return soundfile.SoundFile(QuietView(view))


def _stated(file: MediaFile, sound: soundfile.SoundFile) -> float | None:
    """Seconds of sound by the header, or by the last page of an Ogg file; None where it counts none."""
    seconds = sound.frames / sound.samplerate
    if sound.format == "OGG" and sound.subtype in ("VORBIS", "OPUS"):
        seconds = max(seconds, last_granule(file) / (48_000 if sound.subtype == "OPUS" else sound.samplerate))
    return seconds if seconds < _LONGEST_S else None


def _blocks(sound: soundfile.SoundFile, begin: int, end: int) -> Iterator[npt.NDArray[np.float32]]:
    """Yield blocks (N, C) of the samples from one to another, or of fewer: a damaged header may claim any number."""
    # Every reading ends with a seek, and after one MPEG's first frames lack what they borrow from those before.
    lead = round(_LEAD_S * sound.samplerate) if sound.subtype.startswith("MPEG") else 0
    buffer = np.empty((lead + _BLOCK, sound.channels), np.float32)
    sound.seek(min(begin, sound.frames))
    while begin < end:
        before = min(lead, begin)
        if lead:
            sound.seek(min(begin - before, sound.frames))
        block = sound.read(before + min(_BLOCK, end - begin), out=buffer)[before:]
        if not len(block):
            return
        yield block
        begin += len(block)


def by_container(file: MediaFile, stretch: Span, mix: Mix, streams: bool = True) -> None:
    """Decode by FFmpeg from about the stretch on; with ``streams`` frames too that stand in no container.

    Raises:
        MediaFault: it cannot.
    """
    with container(file, keep=False) as opened:
        if not streams and opened.format.name in _STREAMS:
            raise MediaFault("cannot be decoded: does not begin as sound does")
        last = 0.0
        for time, frame in frames(opened, track(opened, "audio"), stretch):
            if time < last - STEP_BACK_S:
                raise MediaFault("cannot be decoded: its times begin again")
            last = time
            _add(mix, time, frame, stretch)


def by_running(kind: Kind, file: MediaFile, stretch: Span, mix: Mix) -> None:
    """Decode by FFmpeg from the file's beginning on. Raises: MediaFault: it cannot."""
    with running(file, kind, stretch.start) as decoding:
        for time, frame in decoding.frames(stretch):
            _add(mix, time, frame, stretch)
        file.seconds = decoding.seconds if decoding.over else None
        if damaged := sum(stretch.start <= at < stretch.limit for at in decoding.damaged):
            mix.notes.append(f"{damaged} of its packets cannot be decoded")
        if stretch.end is None and not decoding.over:
            raise stretch.too_long()


def _add(mix: Mix, time: float, frame: Any, stretch: Span) -> None:
    """Add what lies in the stretch of a frame that begins at a time."""
    rate = _checked_rate(frame.rate)
    first, last = (max(0, round((at - time) * rate)) for at in (stretch.start, stretch.limit))
    if first < min(last, frame.samples):
        mix.add(_channels(frame)[:, first:last], rate)


def _checked_rate(rate: int) -> int:
    if not _RATES[0] <= rate <= _RATES[1]:
        raise MediaFault(f"sound at {rate} Hz; between {_RATES[0]} and {_RATES[1]} Hz can be described")
    return rate


def _channels(frame: Any) -> npt.NDArray[np.float64]:
    """A frame's channels (C, N), where full scale is 1."""
    values = frame.to_ndarray()  # planar: (C, N); packed: (1, N x C)
    if frame.format.is_packed:
        values = values.reshape(-1, len(frame.layout.channels)).T
    scale = 1.0 if values.dtype.kind == "f" else float(1 << (8 * values.dtype.itemsize - 1))
    offset = scale if values.dtype.kind == "u" else 0.0
    result: npt.NDArray[np.float64] = (values.astype(np.float64) - offset) / scale
    return result
