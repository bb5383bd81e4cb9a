"""Sound of an utterance's stretch of an audio or video file, as mono samples."""

from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from tasks.extractors.media.container import container, frames, track
from tasks.extractors.media.files import MediaFault, MediaFile, Span

Samples = npt.NDArray[np.float32]
_SOUNDFILE = (".wav", ".flac", ".ogg", ".mp3")
# Opening one scans all of it, so the decoder is kept for the next stretch. Its samples may then differ by 1e-7, as they
# do wherever in the file decoding begins. All other sound is the same bits whatever was read before.
_SCANNED = (".mp3",)
_BLOCK = 2**16  # frames of a file that are mixed to mono at a time
_RATES = (1_000, 384_000)  # Hz; the engine dies of one far outside, such as a damaged header gives


def too_short(samples: int, rate: int) -> MediaFault:
    return MediaFault(f"{samples / rate:.3f} s of sound are too short to describe")


def read_sound(file: MediaFile, name: str, stretch: Span) -> tuple[Samples, int]:
    """Decode a stretch, and no more, to mono samples (N,), the mean of the channels, and their rate in Hz.

    Args:
        file: opened by `MediaRoot.open`.
        name: of the file; its ending chooses the decoder.
        stretch: in seconds.

    Raises:
        MediaFault: the stretch holds no sound, cannot be decoded, or is too long.
    """
    ending = PurePosixPath(name).suffix.lower()
    samples, rate = _by_soundfile(file, stretch, ending in _SCANNED) if ending in _SOUNDFILE else _by_av(file, stretch)
    if not len(samples):
        raise _no_samples(file, stretch)
    if not np.isfinite(samples).all():
        raise MediaFault("cannot be decoded: samples that are not numbers")
    return samples, rate


def _no_samples(file: MediaFile, stretch: Span) -> MediaFault:
    """Explain missing samples: the file ends before the span, or is damaged although it claims to go on."""
    if file.seconds is None or file.seconds <= stretch.start:
        return stretch.past_the_end()
    return MediaFault(
        f"no sound in the span from {stretch.start:g} s, though the file says it is {file.seconds:g} s long"
    )


def resampled(samples: Samples, rate: int, to: int) -> Samples:
    """Resample sound from one rate to another."""
    import soxr

    result: Samples = samples if rate == to else soxr.resample(samples, rate, to)
    return result


def _by_soundfile(file: MediaFile, stretch: Span, keep: bool) -> tuple[Samples, int]:
    try:
        with file.decoder(partial(soundfile.SoundFile, file), keep) as sound:
            rate = _checked_rate(sound.samplerate)
            file.seconds = sound.frames / rate
            begin, end = round(stretch.start * rate), round(stretch.limit * rate)
            sound.seek(min(begin, sound.frames))
            parts = list(_mixed(sound, end - begin))
            if stretch.end is None and next(_mixed(sound, 1), None) is not None:
                raise stretch.too_long()
    except soundfile.LibsndfileError as error:
        raise MediaFault(f"cannot be decoded: {error.error_string}") from error
    return np.concatenate([np.zeros(0, np.float32), *parts]), rate


def _mixed(sound: soundfile.SoundFile, left: int) -> Iterator[Samples]:
    """Yield blocks of the next ``left`` samples, or of fewer: a damaged file's header may claim any number."""
    buffer = np.empty((_BLOCK, sound.channels), np.float32)
    while left and len(block := sound.read(min(left, _BLOCK), out=buffer)):
        yield block.mean(axis=1)
        left -= len(block)


def _by_av(file: MediaFile, stretch: Span) -> tuple[Samples, int]:
    with container(file, keep=False) as opened:
        stream = track(opened, "audio")
        parts, rates = [np.zeros(0, np.float32)], set()
        for begin, frame in frames(opened, stream, stretch):
            first, last = (round((time - begin) * frame.rate) for time in (stretch.start, stretch.limit))
            parts.append(_mono(frame)[max(0, first) : max(0, last)])
            rates.add(_checked_rate(frame.rate))
    if len(rates) > 1:
        raise MediaFault(f"sound changes its rate: {', '.join(str(rate) for rate in sorted(rates))} Hz")
    return np.concatenate(parts), next(iter(rates), 1)


def _checked_rate(rate: int) -> int:
    if not _RATES[0] <= rate <= _RATES[1]:
        raise MediaFault(f"sound at {rate} Hz; between {_RATES[0]} and {_RATES[1]} Hz can be described")
    return rate


def _mono(frame: Any) -> Samples:
    """Mix a frame's channels to their mean (N,), where full scale is 1."""
    values = frame.to_ndarray()  # planar: (channels, N); packed: (1, N x channels)
    if frame.format.is_packed:
        values = values.reshape(-1, len(frame.layout.channels)).T
    scale = 1.0 if values.dtype.kind == "f" else float(1 << (8 * values.dtype.itemsize - 1))
    offset = scale if values.dtype.kind == "u" else 0.0
    mixed: Samples = ((values.mean(axis=0, dtype=np.float64) - offset) / scale).astype(np.float32)
    return mixed
