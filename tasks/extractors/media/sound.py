"""Sound of an utterance's stretch of an audio or video file, as mono samples.

What a file is decides how it is decoded. Where one decoder fails, or gives less than was asked for, the next is tried,
and what is still less is said in the file's notes.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath

import numpy as np

from tasks.extractors.media.contents import Kind, has_equal_frames, holds_more, kind_of, lost_bytes, parts
from tasks.extractors.media.decoders import by_container, by_running, by_soundfile
from tasks.extractors.media.ends import ends_within_frame
from tasks.extractors.media.mixing import Mix, Samples
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.span import MediaFault, PastTheEnd, Span

_SOUNDFILE = (".wav", ".flac", ".ogg", ".mp3")
_NEVER_SOUNDFILE = ("avi", "mp4", "mkv", "adts")  # its MPEG decoder takes some of them for noise
_TOLERANCE_S, _TOLERANCE = 0.05, 0.1  # seconds, and share of a stretch, that may lack without a word
_ENDS_APART_S = 1.0  # between the ends of a file's tracks
_STOPPED_S = 0.25  # seconds before a file's stated end at which sound may end without a word
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
    file.notes.extend(_shortcomings(file, kind, stretch, samples, mix))
    return samples, mix.rate


def _decoders(file: MediaFile, kind: Kind, ending: str) -> tuple[Decode, ...]:
    """The decoders to try, in this order."""
    last = partial(by_running, kind)
    # FFmpeg counts places in AMR by the mean size of a frame, and those of pauses are small.
    if kind == "amr" and not has_equal_frames(file):
        return (last,)
    if kind == "wav":  # FFmpeg's places in one are wrong for some telephone codecs
        return (by_soundfile, last)
    if kind == "other" and ending in _SOUNDFILE:  # with its beginning lost, nobody knows when the rest was
        return (by_soundfile, partial(by_container, streams=False))
    if kind == "mp3" and ending not in _SOUNDFILE and holds_more(file, kind) and len(parts(file, kind)) > 1:
        return (by_soundfile, last)
    soundfile_first = ending in _SOUNDFILE and kind not in _NEVER_SOUNDFILE
    return (by_soundfile, by_container, last) if soundfile_first else (by_container, by_soundfile, last)


def _best(file: MediaFile, kind: Kind, stretch: Span, decoders: tuple[Decode, ...]) -> tuple[Mix, Decode]:
    """Decode by the first that gives all that was asked for, or else by the one that gives most.

    The next is tried where one fails, and where one gives less although the file may hold more.
    """
    best: tuple[Mix, Decode] | None = None
    faults: list[MediaFault] = []
    ended: MediaFault | None = None
    stated = 0.0
    for decode in decoders:
        if len(faults) < decoders.index(decode) < len(decoders) - 1:
            continue  # one has read the file, and what it lacks only the last can find
        mix = Mix(file.channel)
        try:
            try:
                decode(file, stretch, mix)
            finally:
                stated = max(stated, mix.stated or 0.0)
        except PastTheEnd as fault:
            ended = fault
        except MediaFault as fault:
            faults.append(fault)
            if best and decode is decoders[-1] and holds_more(file, kind):
                best[0].notes.append(f"what may follow: {fault}")
            continue
        if mix.seconds > (best[0].seconds + _TOLERANCE_S if best else 0):
            best = (mix, decode)
        if best and stretch.end is not None and not _lacking(stretch, best[0].seconds):
            return best
        if not (holds_more(file, kind) or _stopped_short(mix, stretch)):
            break
    if best is None:
        if len(faults) == len(decoders):
            raise faults[0]
        raise ended if ended and stated <= stretch.start else _no_samples(file, stretch, stated)
    best[0].stated = stated
    return best


def _stopped_short(mix: Mix, stretch: Span) -> bool:
    """Whether a decoder gave less than the file says it holds of a stretch, or nothing of a file that holds nothing."""
    if not mix.stated:
        return mix.stated == 0 and not stretch.start
    return min(stretch.limit, mix.stated) - stretch.start - mix.seconds > _STOPPED_S


def _lacking(stretch: Span, seconds: float) -> bool:
    """Whether a stretch lacks more than can be passed over."""
    asked = stretch.limit - stretch.start
    return seconds < asked - min(_TOLERANCE_S, _TOLERANCE * asked)


def _no_samples(file: MediaFile, stretch: Span, stated: float) -> MediaFault:
    """Explain missing samples: the file ends before the span, or is damaged although it claims to go on."""
    length = max(file.seconds or 0.0, stated)
    if length <= stretch.start:
        return stretch.past_the_end()
    return MediaFault(f"no sound in the span from {stretch.start:g} s, though the file says it is {length:g} s long")


def _shortcomings(file: MediaFile, kind: Kind, stretch: Span, samples: Samples, mix: Mix) -> Iterator[str]:
    """Say what a stretch lacks although it was read."""
    seconds, exact = len(samples) / mix.rate, mix.stated
    if stretch.end is not None and _lacking(stretch, seconds):
        yield f"{seconds:.2f} s of sound, and not the {stretch.end - stretch.start:.2f} s asked for"
    elif stretch.end is None and (lost := lost_bytes(file, kind)):
        yield f"{seconds:.2f} s of sound are left of a file that lacks its last {lost} bytes"
    elif stretch.end is None and (exact or 0.0) - stretch.start - seconds > _STOPPED_S:
        yield f"{seconds:.2f} s of sound, though the file says it is {exact:.2f} s long"
    elif (
        stretch.end is None
        and kind == "mkv"
        and (stated := file.seconds or 0) - stretch.start > seconds + _ENDS_APART_S
    ):
        yield f"{seconds:.2f} s of sound, though the file says it is {stated:g} s long"
    elif stretch.end is None and ends_within_frame(file, kind):
        yield f"{seconds:.2f} s of sound are left of a file that ends within a frame: it was cut"
    if np.ptp(samples) < _LAST_BIT:
        yield "digital silence"


def resampled(samples: Samples, rate: int, to: int) -> Samples:
    """Resample sound from one rate to another."""
    import soxr

    result: Samples = samples if rate == to else soxr.resample(samples, rate, to)
    return result
