"""Channels: their mean, one of them, and never silence where they cancel each other."""

from pathlib import Path

import numpy as np
import pytest

from tasks.extractors.audio.logmel import LogMel
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.mixing import Mix
from tasks.extractors.media.span import MediaFault
from tests.fixtures.media import Samples, sound, utterances, write_sound


def mixed(samples: Samples, channel: int | None = None) -> tuple[Samples, Mix]:
    """Samples (N, C) through a mix."""
    mix = Mix(channel)
    for block in np.array_split(samples, 3):
        mix.add(block.T, 16_000)
    return mix.samples, mix


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_the_mean_is_that_of_the_samples_bit_by_bit(channels: int) -> None:
    samples = sound(0.5, channels=channels)
    heard, mix = mixed(samples)
    assert np.array_equal(heard, samples.mean(axis=1)) and mix.loudest_of_cancelled() is None


@pytest.mark.parametrize("gain", [-1.0, -0.9, -1.1])
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_channels_that_cancel_give_way_to_the_louder(gain: float, noise: float) -> None:
    one = sound(0.5)[:, 0]
    chance = np.random.default_rng(0).standard_normal((2, len(one))).astype(np.float32) * noise
    _, mix = mixed(np.stack([one, one * np.float32(gain)], axis=1) + chance.T)
    loudest = mix.loudest_of_cancelled()
    assert loudest is not None and (loudest == (2 if gain < -1 else 1) or gain == -1.0)


@pytest.mark.parametrize("gains", [(1.0, 1.0), (1.0, 0.0), (1.0, 0.3), (1.0, -0.3), (0.0, 0.0), (1.0, *[0.0] * 7)])
def test_channels_that_do_not_cancel_are_mixed(gains: tuple[float, ...]) -> None:
    one = sound(0.5)
    assert mixed(one * np.array(gains, np.float32))[1].loudest_of_cancelled() is None


def test_two_speakers_a_channel_each_do_not_cancel() -> None:
    two = np.concatenate([sound(0.5, seed=1), sound(0.5, seed=2)], axis=1)
    assert mixed(two)[1].loudest_of_cancelled() is None


def test_one_channel_alone_or_a_fault_where_there_is_none() -> None:
    samples = sound(0.5, channels=2)
    assert np.array_equal(mixed(samples, 2)[0], samples[:, 1])
    with pytest.raises(MediaFault, match="has 2 channels, and not the channel 3"):
        mixed(samples, 3)
    heard, mix = mixed(samples[:, :1], 2)
    assert np.array_equal(heard, samples[:, 0]) and mix.notes == ["the sound of its only channel, and not of channel 2"]


@pytest.mark.long
@pytest.mark.parametrize("ending", [".wav", ".mkv"])
def test_a_recording_whose_channels_cancel_is_described_and_named(tmp_path: Path, ending: str) -> None:
    one = sound(1)
    write_sound(tmp_path / f"both{ending}", np.concatenate([one, -one], axis=1))
    write_sound(tmp_path / f"one{ending}", one)
    media = MediaRoot(str(tmp_path))
    found = LogMel()(utterances({"audio": f"both{ending}"}, {"audio": f"one{ending}"}), media)
    assert str(found.reasons[0]).startswith("the channels cancel each other: channel ") and found.reasons[1] is None
    assert found.valid.all() and np.allclose(found.vectors[0], found.vectors[1], atol=0.05)


def test_every_speaker_has_a_channel(tmp_path: Path) -> None:
    one, other = sound(1, seed=1), sound(1, seed=2)
    write_sound(tmp_path / "both.wav", np.concatenate([one, other], axis=1))
    write_sound(tmp_path / "one.wav", one)
    write_sound(tmp_path / "other.wav", other)
    rows: list[dict[str, object]] = [
        {"audio": f"{name}.wav", "speaker": speaker}
        for name, speaker in [("both", "agent"), ("both", "a b"), ("one", None), ("other", None), ("both", None)]
    ]
    found = LogMel()(utterances(*rows), MediaRoot(str(tmp_path), "a%20b:2,agent:1"))
    assert np.array_equal(found.vectors[0], found.vectors[2]) and np.array_equal(found.vectors[1], found.vectors[3])
    assert found.reasons == [None] * 5 and not np.array_equal(found.vectors[4], found.vectors[0])
