"""Log-mel and prosody of sounds whose properties are known, from real files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.extractors.audio import logmel
from tasks.extractors.audio.logmel import LogMel
from tasks.extractors.base import Extracted
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import LOGMEL_DIM, extractor_spec
from tests.fixtures.media import Samples, sound, utterances, write_sound

LOUDNESS, CROSSINGS, CENTROID, PITCH, CHANGE, VOICED, SURE, STRETCHES = 40, 41, 42, 220, 224, 225, 226, 227
QUIET, PAUSES, SECONDS = 228, 229, 230


def describe(folder: Path, samples: Samples, rate: int = 16_000) -> Samples:
    write_sound(folder / "x.wav", samples, rate, "FLOAT")
    found = hear(MediaRoot(str(folder)), {"audio": "x.wav"})
    assert (
        found.reasons == [None if samples.any() else "digital silence"]
        and found.valid.all()
        and np.isfinite(found.vectors).all()
    )
    vector: Samples = found.vectors[0]
    return vector


def hear(media: MediaRoot, *rows: dict[str, object]) -> Extracted:
    return extractor_spec("audio", "logmel").load()(utterances(*rows), media)


def buzz(pitch: float, seconds: float = 1.0, gain: float = 0.1) -> Samples:
    """A voice-like tone with eight harmonics (N, 1)."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    tone = gain * sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 9))
    return np.asarray(tone, np.float32)[:, None]


def noise(seconds: float = 1.0, gain: float = 0.1) -> Samples:
    return (gain * np.random.default_rng(0).standard_normal((round(seconds * 16_000), 1))).astype(np.float32)


@pytest.mark.parametrize("pitch", [75, 110, 160, 220, 310, 440])
def test_the_pitch_of_a_tone_is_found(tmp_path: Path, pitch: float) -> None:
    vector = describe(tmp_path, buzz(pitch))
    assert vector.shape == (LOGMEL_DIM,)
    assert vector[PITCH] == pytest.approx(12 * np.log2(pitch / 55), abs=0.2)
    assert vector[VOICED] > 0.9 and vector[SURE] > 0.9 and vector[CHANGE] < 0.1


def test_noise_has_no_pitch_and_more_crossings(tmp_path: Path) -> None:
    hiss, tone = describe(tmp_path, noise()), describe(tmp_path, buzz(150))
    assert hiss[VOICED] < 0.1 < tone[VOICED]
    assert hiss[CROSSINGS] > 4 * tone[CROSSINGS] and hiss[CENTROID] > 2 * tone[CENTROID]


def test_ten_times_the_amplitude_is_20_db_and_the_same_pitch(tmp_path: Path) -> None:
    quiet, loud = describe(tmp_path, buzz(150, gain=0.02)), describe(tmp_path, buzz(150, gain=0.2))
    assert loud[LOUDNESS] - quiet[LOUDNESS] == pytest.approx(20, abs=0.01)
    assert loud[PITCH] == pytest.approx(quiet[PITCH], abs=0.01)


def test_pauses_and_voiced_stretches_are_counted(tmp_path: Path) -> None:
    silence = np.zeros((8_000, 1), np.float32)
    vector = describe(tmp_path, np.concatenate([buzz(150), silence, buzz(150), silence]))
    assert vector[QUIET] == pytest.approx(1 / 3, abs=0.05) and vector[PAUSES] == pytest.approx(2 / 3, abs=0.02)
    assert vector[STRETCHES] == pytest.approx(2 / 3, abs=0.02) and vector[SECONDS] == pytest.approx(np.log(3), abs=0.01)


@pytest.mark.parametrize(
    "samples", [np.zeros((16_000, 1), np.float32), noise(0.025), buzz(100, 0.026), noise(gain=1.5)]
)
def test_silence_a_single_frame_and_clipping_give_numbers(tmp_path: Path, samples: Samples) -> None:
    describe(tmp_path, samples)


def test_too_short_is_a_reason(tmp_path: Path) -> None:
    write_sound(tmp_path / "x.wav", sound(1))
    found = hear(MediaRoot(str(tmp_path)), {"audio": "x.wav", "end_s": 0.02}, {"audio": "none.wav"}, {"text": "only"})
    assert found.reasons == ["0.020 s of sound are too short to describe", "no such file", None]
    assert not found.valid.any()


def test_the_file_s_rate_and_channels_hardly_matter(tmp_path: Path) -> None:
    plain = describe(tmp_path, sound(2.0))
    stereo = describe(tmp_path, np.repeat(soxr.resample(sound(2.0), 16_000, 44_100), 2, axis=1), 44_100)
    columns = [LOUDNESS, CENTROID, PITCH, VOICED, QUIET]
    assert np.abs(plain[columns] - stereo[columns]).max() < 0.3


def test_a_vector_is_the_same_bits_in_any_company(tmp_path: Path) -> None:
    media = MediaRoot(str(tmp_path))
    write_sound(tmp_path / "x.wav", sound(3))
    rows: list[dict[str, object]] = [{"audio": "x.wav", "start_s": k / 4, "end_s": k / 4 + 0.7} for k in range(6)]
    together = hear(media, *rows)
    for row, vector in reversed(list(zip(rows, together.vectors, strict=True))):
        assert np.array_equal(hear(media, row).vectors[0], vector)


def test_blocks_of_any_size_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = describe(tmp_path, sound(2.0))
    monkeypatch.setattr(logmel, "_BLOCK", 7)
    assert np.abs(describe(tmp_path, sound(2.0)) - whole).max() < 1e-4


@given(st.integers(400, 3_000), st.integers(0, 10), st.floats(0, 10))
@settings(max_examples=30, deadline=None)
def test_any_sound_gives_numbers(size: int, seed: int, gain: float) -> None:
    import torch

    samples = torch.from_numpy(np.random.default_rng(seed).standard_normal(size).astype(np.float32) * np.float32(gain))
    vector = LogMel().describe(samples)
    assert vector.shape == (LOGMEL_DIM,) and np.isfinite(vector).all()


@pytest.mark.process
def test_opensmile_is_not_loaded() -> None:
    code = "import sys; from tasks.extractors.registry import extractor_spec as spec; spec('audio', 'logmel').load(); "
    found = subprocess.run(
        [sys.executable, "-c", code + "print('opensmile' in sys.modules)"], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"
