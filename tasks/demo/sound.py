"""A voice-like sound: harmonics of a moving pitch, shaped by the formants of one vowel a syllable.

Pitch, loudness, rate and timbre follow the emotion; the speaker's own pitch and throat, and noise, blur them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from tasks.demo.script import Shown

RATE = 16_000  # samples a second
_HOP = 160  # samples between two points of the spectral envelope
_MOST_HARMONICS = 40
_VOWELS = np.array([[730, 1090, 2440], [530, 1840, 2480], [390, 1990, 2550], [570, 840, 2410], [440, 1020, 2240]])
_BANDWIDTHS = np.array([90, 110, 170])  # Hz, of each formant

# Columns: pitch (semitones over the speaker's own), its swing, its rise over the utterance, loudness (dB),
# syllables a second, spectral tilt (exponent), tremor (semitones), breath (share of noise).
_MANNERS = {
    "neutral": (0.0, 0.8, -0.5, -18.0, 4.2, 1.5, 0.0, 0.02),
    "joy": (4.5, 2.6, 0.5, -13.0, 5.0, 1.3, 0.0, 0.02),
    "sadness": (-2.0, 0.4, -2.0, -25.0, 2.8, 1.9, 0.1, 0.06),
    "anger": (2.0, 1.4, -2.0, -8.0, 5.4, 0.8, 0.0, 0.03),
    "surprise": (5.0, 1.2, 7.0, -13.0, 3.8, 1.3, 0.0, 0.03),
    "fear": (5.5, 0.7, 1.0, -17.0, 5.8, 1.6, 0.9, 0.08),
    "disgust": (-3.0, 0.9, -2.5, -18.0, 3.0, 1.1, 0.0, 0.05),
}
_SPREAD = np.array([1.6, 0.4, 1.4, 3.0, 0.5, 0.18, 0.15, 0.012])  # of each column between two utterances


@dataclass(frozen=True)
class Voice:
    """What stays the same in one speaker's voice."""

    pitch: float  # Hz
    throat: float  # factor on the formants
    loudness: float  # dB over the usual


def draw_voice(rng: np.random.Generator) -> Voice:
    pitch = float(np.exp(rng.uniform(np.log(95), np.log(220))))
    return Voice(pitch, float(0.88 + pitch / 800 + rng.normal(0, 0.03)), float(rng.normal(0, 2)))


def speak(voice: Voice, shown: Shown, rng: np.random.Generator) -> NDArray[np.float32]:
    """Samples (N,) in -1..1 at `RATE`, 0.8 to 1.6 seconds of them."""
    neutral = np.array(_MANNERS["neutral"])
    manner = neutral + shown.strength * (np.array(_MANNERS[shown.emotion]) - neutral) + rng.normal(0, _SPREAD)
    pitch, swing, rise, loudness, rate, tilt, tremor, breath = manner
    seconds = float(np.clip(rng.integers(3, 7) / rate, 0.8, 1.6))
    time = np.arange(int(seconds * RATE)) / RATE
    semitones = pitch + rise * (time / seconds - 0.5) + swing * np.sin(np.pi * rate * time + rng.uniform(0, 6))
    semitones += max(tremor, 0) * np.sin(2 * np.pi * 7 * time) + _flutter(rng, len(time))
    hertz = voice.pitch * 2 ** (semitones / 12)
    beat = np.sqrt(np.abs(np.sin(np.pi * rate * time)))  # one swell a syllable
    sound = _sing(hertz, _formants(voice, rate, time, rng), max(tilt, 0.4)) * beat
    sound += max(breath, 0) * rng.normal(size=len(time)) * beat
    room = 10 ** (rng.uniform(-52, -38) / 20) * rng.normal(size=len(time))
    samples = sound * 10 ** ((loudness + voice.loudness) / 20) + room
    return np.asarray(np.clip(samples, -1, 1), np.float32)


def write_wav(path: Path, samples: NDArray[np.float32]) -> None:
    """Mono, 16 bits a sample."""
    soundfile.write(path, samples, RATE, subtype="PCM_16")


def _flutter(rng: np.random.Generator, length: int) -> NDArray[np.float64]:
    """Small irregular changes of pitch (N,), semitones, as every voice has them."""
    points = rng.normal(0, 0.15, length // _HOP + 2)
    return np.interp(np.arange(length), np.arange(len(points)) * _HOP, points)


def _formants(voice: Voice, rate: float, time: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Formant tracks (F, 3) in Hz, one point every `_HOP` samples, gliding from vowel to vowel."""
    syllables = int(time[-1] * rate) + 2
    vowels = _VOWELS[rng.integers(0, len(_VOWELS), syllables)] * voice.throat
    return np.stack([np.interp(time[::_HOP] * rate, np.arange(syllables) + 0.5, track) for track in vowels.T], axis=1)


def _sing(hertz: NDArray[np.float64], formants: NDArray[np.float64], tilt: float) -> NDArray[np.float64]:
    """Sum of the harmonics of a pitch (N,), each as loud as the formants (F, 3) make it; unit power (N,)."""
    turn = np.exp(2j * np.pi * np.cumsum(hertz) / RATE)
    samples, points = np.arange(len(hertz)), np.arange(len(formants)) * _HOP
    wave, sound = np.ones_like(turn), np.zeros(len(hertz))
    for harmonic in range(1, min(_MOST_HARMONICS, int(RATE / 2 / hertz.max())) + 1):
        wave *= turn  # the next power: no sine has to be computed
        away = (harmonic * hertz[::_HOP, None] - formants) / _BANDWIDTHS
        gain = (1 / (1 + away**2)).sum(axis=1) + 0.02
        sound += np.interp(samples, points, gain * harmonic**-tilt) * wave.imag
    return np.asarray(sound / np.sqrt(np.mean(sound**2)))
