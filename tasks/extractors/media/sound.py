"""Sound of an utterance's stretch of an audio or video file, as mono samples.

What a file is decides how it is decoded. Where one decoder fails, or gives less than was asked for, the next is tried,
and what is still less is said in the file's notes.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from tasks.extractors.media.container import container, frames, track
from tasks.extractors.media.contents import Kind, has_equal_frames, holds_more, kind_of, lost_bytes, parts
from tasks.extractors.media.mixing import Mix, Samples
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.running import STEP_BACK_S, running
from tasks.extractors.media.span import MediaFault, PastTheEnd, Span

_SOUNDFILE = (".wav", ".flac", ".ogg", ".mp3")
_NEVER_SOUNDFILE = ("avi", "mp4", "mkv", "adts")  # its MPEG decoder takes some of them for noise
# Opening one scans all of it, so the decoder is kept for the next stretch. Its samples may then differ by 1e-7, as they
# do wherever in the file decoding begins. All other sound is the same bits whatever was read before.
_SCANNED = "mp3"
_STREAMS = ("mp3", "aac", "loas", "ac3", "eac3", "dts")  # frames and no container, found wherever they begin
_LEAD_S = 0.5  # of sound before a stretch, on which that of MPEG's frames depends
_BLOCK = 2**16  # frames of a file that are mixed to mono at a time
_RATES = (1_000, 384_000)  # Hz; the engine dies of one far outside, such as a damaged header gives
_LONGEST_S = 1e7  # a header without a length says more
_TOLERANCE_S, _TOLERANCE = 0.05, 0.1  # seconds, and share of a stretch, that may lack without a word
_ENDS_APART_S = 1.0  # between the ends of a file's tracks
_LAST_BIT = 2.0**-15  # of a sample of 16 bits; a stretch whose samples differ by less is silent

Decode = Callable[[MediaFile, Span, Mix], None]


def too_short(samples: int, rate: int) -> MediaFault:
    return MediaFault(f"{samples / rate:.3f} s of sound are too short to describe")


def read_sound(file: MediaFile, name: str, stretch: Span) -> tuple[Samples, int]:
    """Decode a stretch, and no more, to mono samples (N,) and their rate in Hz.

    They are the mean of the channels, or ``file.channel`` alone; the loudest one where the channels cancel each other.
    What is to be said of them goes to ``file.notes``.

    Args:
        file: opened by `MediaRoot.open`.
        name: of the file; its ending says which decoder is tried first, where several can read the file.
        stretch: in seconds.

    Raises:
        MediaFault: the stretch holds no sound, cannot be decoded, or is too long.
    """
    kind = kind_of(file)
    mix, decode = _best(file, kind, stretch, _decoders(file, kind, PurePosixPath(name).suffix.lower()))
    if (loudest := mix.loudest_of_cancelled()) is not None:
        file.notes.append(f"the channels cancel each other: channel {loudest} alone")
        mix = Mix(loudest)
        decode(file, stretch, mix)
    samples = mix.samples
    if not np.isfinite(samples).all():
        raise MediaFault("cannot be decoded: samples that are not numbers")
    file.notes.extend(mix.notes)
    file.notes.extend(_shortcomings(file, kind, stretch, samples, mix.rate))
    return samples, mix.rate


def _decoders(file: MediaFile, kind: Kind, ending: str) -> tuple[Decode, ...]:
    """The decoders to try, in this order."""
    last = partial(_by_running, kind)
    if kind == "amr" and not has_equal_frames(
        file
    ):  # FFmpeg counts its places by the mean size of a frame, and those of pauses are small
        return (last,)
    if kind == "wav":  # FFmpeg's places in one are wrong for some telephone codecs
        return (_by_soundfile, last)
    if kind == "other" and ending in _SOUNDFILE:  # with its beginning lost, nobody knows when the rest was
        return (_by_soundfile, partial(_by_container, streams=False))
    if kind == "mp3" and ending not in _SOUNDFILE and holds_more(file, kind) and len(parts(file, kind)) > 1:
        return (_by_soundfile, last)
    by_soundfile = ending in _SOUNDFILE and kind not in _NEVER_SOUNDFILE
    return (_by_soundfile, _by_container, last) if by_soundfile else (_by_container, _by_soundfile, last)


def _best(file: MediaFile, kind: Kind, stretch: Span, decoders: tuple[Decode, ...]) -> tuple[Mix, Decode]:
    """Decode by the first that gives all that was asked for, or else by the one that gives most.

    The next is tried where one fails, and where one gives less although the file may hold more.
    """
    best: tuple[Mix, Decode] | None = None
    faults: list[MediaFault] = []
    ended: MediaFault | None = None
    for decode in decoders:
        if len(faults) < decoders.index(decode) < len(decoders) - 1:
            continue  # one has read the file, and what it lacks only the last can find
        mix = Mix(file.channel)
        try:
            decode(file, stretch, mix)
        except PastTheEnd as fault:
            ended = fault
        except MediaFault as fault:
            faults.append(fault)
            continue
        if mix.seconds > (best[0].seconds + _TOLERANCE_S if best else 0):
            best = (mix, decode)
        if best and stretch.end is not None and not _lacking(stretch, best[0].seconds):
            return best
        if not holds_more(file, kind):
            break
    if best is None:
        raise (ended or _no_samples(file, stretch)) if len(faults) < len(decoders) else faults[0]
    return best


def _lacking(stretch: Span, seconds: float) -> bool:
    """Whether a stretch lacks more than can be passed over."""
    asked = stretch.limit - stretch.start
    return seconds < asked - min(_TOLERANCE_S, _TOLERANCE * asked)


def _no_samples(file: MediaFile, stretch: Span) -> MediaFault:
    """Explain missing samples: the file ends before the span, or is damaged although it claims to go on."""
    if file.seconds is None or file.seconds <= stretch.start:
        return stretch.past_the_end()
    return MediaFault(
        f"no sound in the span from {stretch.start:g} s, though the file says it is {file.seconds:g} s long"
    )


def _shortcomings(file: MediaFile, kind: Kind, stretch: Span, samples: Samples, rate: int) -> Iterator[str]:
    """Say what a stretch lacks although it was read."""
    seconds = len(samples) / rate
    if stretch.end is not None and _lacking(stretch, seconds):
        yield f"{seconds:.2f} s of sound, and not the {stretch.end - stretch.start:.2f} s asked for"
    elif stretch.end is None and (lost := lost_bytes(file, kind)):
        yield f"{seconds:.2f} s of sound are left of a file that lacks its last {lost} bytes"
    elif (
        stretch.end is None
        and kind == "mkv"
        and (stated := file.seconds or 0) - stretch.start > seconds + _ENDS_APART_S
    ):
        yield f"{seconds:.2f} s of sound, though the file says it is {stated:g} s long"
    if np.ptp(samples) < _LAST_BIT:
        yield "digital silence"


def resampled(samples: Samples, rate: int, to: int) -> Samples:
    """Resample sound from one rate to another."""
    import soxr

    result: Samples = samples if rate == to else soxr.resample(samples, rate, to)
    return result


def _by_soundfile(file: MediaFile, stretch: Span, mix: Mix) -> None:
    try:
        keep = "soundfile" if kind_of(file) == _SCANNED else None
        with file.decoder(soundfile.SoundFile, keep) as sound:
            rate = _checked_rate(sound.samplerate)
            file.seconds = sound.frames / rate if sound.frames < _LONGEST_S * rate else None
            begin, end = round(stretch.start * rate), round(stretch.limit * rate)
            for block in _blocks(sound, begin, end):
                mix.add(block.T, rate)
            if stretch.end is None and next(_blocks(sound, end, end + 1), None) is not None:
                raise stretch.too_long()
    except soundfile.LibsndfileError as error:
        raise MediaFault(f"cannot be decoded: {error.error_string}") from error


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


def _by_container(file: MediaFile, stretch: Span, mix: Mix, streams: bool = True) -> None:
    with container(file, keep=False) as opened:
        if not streams and opened.format.name in _STREAMS:
            raise MediaFault("cannot be decoded: does not begin as sound does")
        last = 0.0
        for time, frame in frames(opened, track(opened, "audio"), stretch):
            if time < last - STEP_BACK_S:
                raise MediaFault("cannot be decoded: its times begin again")
            last = time
            _add(mix, time, frame, stretch)


def _by_running(kind: Kind, file: MediaFile, stretch: Span, mix: Mix) -> None:
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
