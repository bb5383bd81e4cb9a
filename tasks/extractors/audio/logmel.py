"""Log-mel bands and prosody of an utterance's sound, a descriptor with no weights and no licence.

231 values: mean, deviation, 10th and 90th percentile and mean change from frame to frame of 40 log-mel bands, loudness,
zero crossings, spectral centroid and flatness; then the pitch, by autocorrelation, of voiced frames; then pauses.
"""

import math

import pyarrow as pa
import torch
from torch import Tensor

from tasks.extractors.base import Extracted, Extractor
from tasks.extractors.loop import SOUND, describe_each
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.mixing import Samples
from tasks.extractors.media.opened import MediaFile
from tasks.extractors.media.sound import read_sound, resampled, too_short
from tasks.extractors.media.span import Span
from tasks.extractors.registry import LOGMEL_DIM

_RATE = 16_000  # Hz
_WINDOW, _HOP, _FFT = 400, 160, 512  # samples: 25 ms, 10 ms
_BANDS = 40
_PITCH_WINDOW, _PITCH_FFT = 960, 2048  # samples: 60 ms, room for its autocorrelation
_SHORTEST, _LONGEST = 32, 266  # samples of a period: 500 Hz to 60 Hz
_VOICED = 0.5  # autocorrelation at the period, 1 being a perfect one
_OCTAVE_COST = 0.02  # twice the period fits as well: the shorter is preferred
_QUIETEST = 1e-10  # power; a 16-bit sample's last bit is about as much
_PAUSE_DB = 25.0  # frames this far below the loud ones are pauses
_BLOCK = 4096  # frames that are described at a time


def load(_: str) -> Extractor:
    """Make the descriptor; there is nothing to load."""
    return LogMel()


class LogMel:
    """One vector (231,) over the whole utterance, from its mono mix at 16 kHz."""

    def __init__(self) -> None:
        from transformers.audio_utils import mel_filter_bank

        self._hann, self._pitch_hann = torch.hann_window(_WINDOW), torch.hann_window(_PITCH_WINDOW)
        bank = mel_filter_bank(_FFT // 2 + 1, _BANDS, 50.0, _RATE / 2, _RATE, norm="slaney", mel_scale="slaney")
        self._bank = torch.from_numpy(bank).float()  # (frequencies, bands)
        self._frequencies = torch.linspace(0, _RATE / 2, _FFT // 2 + 1)
        self._fading = _autocorrelation(self._pitch_hann[None])[0]

    def __call__(self, utterances: pa.Table, media: MediaRoot) -> Extracted:
        return describe_each(utterances, SOUND, media, self._read, LOGMEL_DIM)

    def _read(self, file: MediaFile, uri: str, stretch: Span) -> Samples:
        samples, rate = read_sound(file, uri, stretch)
        sound = resampled(samples, rate, _RATE)
        if len(sound) < _WINDOW:
            raise too_short(len(samples), rate)
        return self.describe(torch.from_numpy(sound))

    def describe(self, sound: Tensor) -> Samples:
        """Compute the vector (231,) of samples (N,) at 16 kHz."""
        margin = (_PITCH_WINDOW - _WINDOW) // 2
        frames = sound.unfold(0, _WINDOW, _HOP)
        around = torch.nn.functional.pad(sound, (margin, margin)).unfold(0, _PITCH_WINDOW, _HOP)
        series = torch.cat([self._spectral(block) for block in torch.split(frames, _BLOCK)])  # (T, 44)
        tones = torch.cat([self._tone(block) for block in torch.split(around, _BLOCK)])  # (T, 2)
        loudness = series[:, _BANDS]
        parts = [_functionals(series).flatten(), _pitch(tones, loudness), _pauses(loudness)]
        vector: Samples = torch.cat(parts).numpy()
        return vector

    def _spectral(self, frames: Tensor) -> Tensor:
        """Describe frames (T, 400) by (T, 44): bands, loudness in dB, zero crossings, centroid in kHz, flatness."""
        power = torch.fft.rfft(frames * self._hann, _FFT).abs().square() / _WINDOW + _QUIETEST
        loudness = 10 * torch.log10(frames.square().mean(dim=1) + _QUIETEST)
        crossings = (frames[:, 1:].signbit() != frames[:, :-1].signbit()).float().mean(dim=1)
        centroid = (power @ self._frequencies) / power.sum(dim=1) / 1000
        flatness = power.log().mean(dim=1) - power.mean(dim=1).log()
        bands = torch.log(power @ self._bank + _QUIETEST)
        return torch.cat([bands, torch.stack([loudness, crossings, centroid, flatness], dim=1)], dim=1)

    def _tone(self, frames: Tensor) -> Tensor:
        """Describe frames (T, 960) by (T, 2): pitch in semitones above 55 Hz, and confidence from 0 to 1.

        The pitch is the lag of the largest autocorrelation, refined by a parabola through its neighbours.
        """
        windowed = (frames - frames.mean(dim=1, keepdim=True)) * self._pitch_hann
        correlation = _autocorrelation(windowed) / self._fading  # the window's own is divided out
        lags = torch.arange(_SHORTEST, _LONGEST + 1)
        best = _SHORTEST + (correlation[:, lags] - _OCTAVE_COST * torch.log2(lags)).argmax(dim=1, keepdim=True)
        before, at, after = (correlation.gather(1, best + step) for step in (-1, 0, 1))
        bend = before - 2 * at + after
        peak = (at >= before) & (at >= after) & (bend < 0)  # the edge of the range is no period
        period = best + torch.where(peak, 0.5 * (before - after) / bend, 0.0)
        confidence = torch.where(peak, at, 0.0).clamp(0, 1)
        return torch.cat([12 * torch.log2(_RATE / period / 55), confidence], dim=1)


def _autocorrelation(frames: Tensor) -> Tensor:
    """Autocorrelation of frames (T, N) at lags 0 to the longest period and one more, scaled to 1 at lag 0."""
    correlation: Tensor = torch.fft.irfft(torch.fft.rfft(frames, _PITCH_FFT).abs().square())[:, : _LONGEST + 2]
    return correlation / correlation[:, :1].clamp(min=_QUIETEST)


def _functionals(series: Tensor) -> Tensor:
    """Functionals (5, C) of a series (T, C): mean, deviation, 10th and 90th percentile, mean absolute change."""
    tenths = torch.quantile(series, torch.tensor([0.1, 0.9]), dim=0)
    change = series.diff(dim=0).abs().mean(dim=0) if len(series) > 1 else torch.zeros_like(series[0])
    return torch.stack([series.mean(dim=0), series.std(dim=0, correction=0), *tenths, change])


def _pitch(tones: Tensor, loudness: Tensor) -> Tensor:
    """Pitch values (8,): functionals over voiced frames, their share and confidence, and voiced stretches a second."""
    semitones, confidence = tones.T
    voiced = (confidence > _VOICED) & (loudness > loudness.max() - 2 * _PAUSE_DB)
    pitches = semitones[voiced]
    if not len(pitches):
        return torch.zeros(8)
    steps = semitones.diff().abs()[voiced[1:] & voiced[:-1]]
    change = steps.mean() if len(steps) else torch.zeros(())
    spread = _functionals(pitches[:, None])[:4, 0]
    shares = [change, voiced.float().mean(), confidence[voiced].mean(), _stretches(voiced)]
    return torch.cat([spread, torch.stack(shares)])


def _pauses(loudness: Tensor) -> Tensor:
    """Pause values (3,): share of quiet frames, quiet stretches a second, and the logarithm of the seconds."""
    quiet = loudness < torch.quantile(loudness, 0.95) - _PAUSE_DB
    seconds = len(loudness) * _HOP / _RATE
    return torch.stack([quiet.float().mean(), _stretches(quiet), torch.tensor(math.log(seconds))])


def _stretches(flags: Tensor) -> Tensor:
    """Count the beginnings of stretches of flagged frames a second."""
    begins = flags[1:] & ~flags[:-1]
    return (begins.sum() + flags[0]) / (len(flags) * _HOP / _RATE)
