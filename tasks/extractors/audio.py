"""Acoustic functionals from openSMILE, of the sound in an utterance's stretch of an audio or video file."""

from typing import IO, Any

import av
import numpy as np
import numpy.typing as npt
import opensmile
import pyarrow as pa
import soundfile

from tasks.extractors import OPENSMILE_DIMS, Extracted, Extractor
from tasks.extractors.media import MediaFault, MediaRoot, Span, container, span

Samples = npt.NDArray[np.float32]
_SOUNDFILE = (".wav", ".flac", ".ogg", ".mp3")


def load(feature_set: str) -> Extractor:
    """The engine with one of its feature sets."""
    return OpenSmile(feature_set)


class OpenSmile:
    """One vector of functionals over the whole utterance, from its mono mix at the file's own rate."""

    def __init__(self, feature_set: str) -> None:
        self._dim = OPENSMILE_DIMS[feature_set]
        self._smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet[feature_set],
            feature_level=opensmile.FeatureLevel.Functionals,
            num_workers=1,
        )

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        rows = utterances.select(["audio", "video", "start_s", "end_s"]).to_pylist()
        found = Extracted(np.zeros((len(rows), self._dim), np.float32), np.zeros(len(rows), bool), [None] * len(rows))
        for i, row in enumerate(rows):
            uri = row["audio"] or row["video"]
            if uri is None:
                continue
            try:
                found.vectors[i] = self._describe(uri, span(row["start_s"], row["end_s"]), media)
                found.valid[i] = True
            except MediaFault as fault:
                found.reasons[i] = str(fault)
        return found

    def _describe(self, uri: str, stretch: Span, media: MediaRoot) -> Samples:
        with media.open(uri) as file:
            samples, rate = read_sound(file, uri, stretch)
        vector: Samples = self._smile.process_signal(samples, rate).to_numpy(np.float32)[0]
        if not np.isfinite(vector).all():
            raise MediaFault(f"{len(samples) / rate:.3f} s of sound are too short to describe")
        return vector


def read_sound(file: IO[bytes], name: str, stretch: Span) -> tuple[Samples, int]:
    """The mono samples (N,) of a stretch, and their rate in Hz; only the stretch is decoded.

    Raises:
        MediaFault: no sound there, or not to be decoded.
    """
    samples, rate = (_by_soundfile if name.lower().endswith(_SOUNDFILE) else _by_av)(file, stretch)
    if not len(samples):
        raise MediaFault(
            f"span starts at {stretch.start:g} s, past the end" if stretch.start else "no sound in the file"
        )
    if stretch.end is None and len(samples) / rate > stretch.limit - stretch.start - 1:
        raise MediaFault(f"longer than {stretch.limit - stretch.start:g} s")
    return samples, rate


def _by_soundfile(file: IO[bytes], stretch: Span) -> tuple[Samples, int]:
    try:
        with soundfile.SoundFile(file) as sound:
            rate = int(sound.samplerate)
            begin, end = round(stretch.start * rate), round(stretch.limit * rate)
            sound.seek(min(begin, sound.frames))
            samples: Samples = sound.read(end - begin, dtype="float32", always_2d=True).mean(axis=1)
            return samples, rate
    except soundfile.LibsndfileError as error:
        raise MediaFault(f"cannot be decoded: {error.error_string}") from error


def _by_av(file: IO[bytes], stretch: Span) -> tuple[Samples, int]:
    with container(file) as opened:
        if not opened.streams.audio:
            raise MediaFault("no audio track")
        stream = opened.streams.audio[0]
        if stretch.start:
            opened.seek(int(stretch.start * 1e6), backward=True)  # microseconds
        resampler = av.AudioResampler(format="flt", layout="mono", rate=stream.rate)
        parts = [part for frame in opened.decode(stream) if (part := _within(frame, resampler, stretch)) is not None]
    return (np.concatenate(parts) if parts else np.zeros(0, np.float32)), int(stream.rate)


def _within(frame: Any, resampler: Any, stretch: Span) -> Samples | None:
    """The samples of a decoded frame that lie in the stretch."""
    begin = float(frame.time or 0.0)
    if begin >= stretch.limit or begin + frame.samples / frame.rate <= stretch.start:
        return None
    samples = np.concatenate([out.to_ndarray()[0] for out in resampler.resample(frame)] or [np.zeros(0, np.float32)])
    first = max(0, round((stretch.start - begin) * frame.rate))
    return samples[first : max(first, round((stretch.limit - begin) * frame.rate))]
