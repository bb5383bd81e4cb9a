"""Audio vectors of tiny speech encoders, from real files."""

from pathlib import Path

import numpy as np
import pytest
import soxr
import torch
from numpy.typing import NDArray

from tasks.extractors.audio import hf as hf_audio
from tasks.extractors.audio.hf import HfAudio
from tasks.extractors.base import Extracted
from tasks.extractors.hf.options import AudioOptions
from tasks.extractors.media.files import MediaRoot
from tests.fixtures.encoders.pretrained import SPEECH, WIDTH, tiny_speech
from tests.fixtures.media import sound, utterances, write_sound, write_video

ROWS: list[dict[str, object]] = [
    {"audio": "a.wav"}, {"audio": "a.wav", "start_s": 0.5, "end_s": 1.25}, {"audio": "none.wav"}, {"audio": "b.m4a"},
    {"text": "only"}, {"video": "b.m4a", "start_s": 1.0}, {"audio": "a.wav", "start_s": 0.1, "end_s": 0.13},
]  # fmt: skip


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> MediaRoot:
    folder = tmp_path_factory.mktemp("sound")
    write_sound(folder / "a.wav", sound(2.0))
    write_sound(folder / "b.m4a", sound(3.0, 44_100, 2, seed=1), 44_100)
    return MediaRoot(str(folder))


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("encoders")
    kinds = {f"{kind}-{norm}": (kind, norm) for kind in SPEECH for norm in ("layer", "group")}
    return {name: tiny_speech(folder / name, *kind) for name, kind in kinds.items()}


def hear(folder: Path, media: MediaRoot, *rows: dict[str, object], layers: int = 1) -> Extracted:
    return HfAudio(folder, AudioOptions(layers=layers))(utterances(*rows), media)


def by_hand(folder: Path, samples: NDArray[np.float32], layers: int) -> NDArray[np.float32]:
    from transformers import AutoFeatureExtractor, AutoModel

    features, model = AutoFeatureExtractor.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        out = model(**features(samples, sampling_rate=16_000, return_tensors="pt"), output_hidden_states=True)
    states = [*out.hidden_states[:-1], out.last_hidden_state][-layers:]
    states = torch.stack(states).mean(dim=0)[0].numpy()
    return np.concatenate([states.mean(axis=0), states.std(axis=0)])


@pytest.mark.long
@pytest.mark.parametrize("kind", [f"{kind}-{norm}" for kind in SPEECH for norm in ("layer", "group")])
def test_mean_and_deviation_over_time_whatever_the_company(
    encoders: dict[str, Path], media: MediaRoot, kind: str
) -> None:
    folder = encoders[kind]
    together = hear(folder, media, *ROWS)
    assert together.vectors.shape == (len(ROWS), 2 * WIDTH)
    assert together.valid.tolist() == [True, True, False, True, False, True, True]
    assert together.reasons == [None, None, "no such file", None, None, None, None]
    samples = sound(2.0)[:, 0]
    for row, part in ((0, samples), (1, samples[8_000:20_000])):
        assert np.abs(together.vectors[row] - by_hand(folder, np.round(part * 2**15) / 2**15, 1)).max() < 1e-3
    for row in np.flatnonzero(together.valid):
        assert np.abs(hear(folder, media, ROWS[row]).vectors[0] - together.vectors[row]).max() < 1e-5
    assert np.abs(together.vectors[0] - together.vectors[3]).max() > 1e-2


@pytest.mark.long
def test_the_last_layers_are_averaged(encoders: dict[str, Path], media: MediaRoot) -> None:
    samples = sound(2.0)[:, 0]
    for kind in ("wav2vec2-layer", "wavlm-group"):
        found = hear(encoders[kind], media, ROWS[0], layers=2).vectors[0]
        assert np.abs(found - by_hand(encoders[kind], np.round(samples * 2**15) / 2**15, 2)).max() < 1e-3


def test_sound_is_heard_at_the_encoder_s_rate(encoders: dict[str, Path], tmp_path: Path) -> None:
    rates = (8_000, 16_000, 22_050, 48_000)
    for rate in rates:
        write_sound(tmp_path / f"{rate}.wav", soxr.resample(sound(2.0, 48_000), 48_000, rate), rate, "FLOAT")
    rows = [{"audio": f"{rate}.wav"} for rate in rates]
    found = hear(encoders["wav2vec2-layer"], MediaRoot(str(tmp_path)), *rows).vectors
    for other in (found[2], found[3]):
        assert np.abs(other - found[1]).max() < 0.05 < np.abs(found[0]).max()


@pytest.mark.parametrize("kind", ["wav2vec2-layer", "wav2vec2-group"])
def test_a_long_utterance_is_read_in_pieces_of_equal_length(
    encoders: dict[str, Path], media: MediaRoot, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pieces of a second are pooled as one stretch of states."""
    monkeypatch.setattr(hf_audio, "_PIECE_S", 1.2)
    found = hear(encoders[kind], media, *ROWS[:2]).vectors[0]
    samples = np.round(sound(2.0)[:, 0] * 2**15) / 2**15
    mean = np.mean([by_hand(encoders[kind], half, 1)[:WIDTH] for half in np.split(samples, 2)], axis=0)
    assert np.abs(found[:WIDTH] - mean).max() < 1e-3


def test_batches_of_any_size_give_the_same(
    encoders: dict[str, Path], media: MediaRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"audio": "a.wav", "start_s": 0.1 * k, "end_s": 0.1 * k + 0.3 + 0.05 * (k % 4)} for k in range(14)]
    whole = hear(encoders["wav2vec2-layer"], media, *rows)
    monkeypatch.setattr(hf_audio, "_BATCH_S", 0.9)
    assert np.abs(hear(encoders["wav2vec2-layer"], media, *rows).vectors - whole.vectors).max() < 1e-5


def test_too_short_or_silent_or_without_a_track(encoders: dict[str, Path], media: MediaRoot) -> None:
    folder = Path(media.url)
    write_video(folder / "mute.mp4")
    write_sound(folder / "silence.wav", np.zeros((16_000, 1), np.float32))
    rows = [{"audio": "a.wav", "end_s": 0.02}, {"video": "mute.mp4"}, {"audio": "silence.wav"}]
    found = hear(encoders["wav2vec2-layer"], media, *rows)
    assert found.reasons == ["0.020 s of sound are too short to describe", "no audio track", "digital silence"]
    assert np.isfinite(found.vectors).all()


@pytest.mark.long
def test_half_precision_is_close(encoders: dict[str, Path], media: MediaRoot) -> None:
    folder = encoders["wav2vec2-layer"]
    half = HfAudio(folder, AudioOptions(), "float16")(utterances(*ROWS), media)
    assert np.abs(half.vectors - hear(folder, media, *ROWS).vectors).max() < 0.05
