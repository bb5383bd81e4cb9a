"""Sound from real files of every usual format: samples, spans, rates, and files that are damaged."""

from pathlib import Path

import numpy as np
import pytest

from tasks.extractors.media.files import MediaRoot
from tasks.extractors.media.sound import read_sound, resampled, too_short
from tasks.extractors.media.span import MediaFault, span
from tests.fixtures.media import LOSSLESS, LOSSY, Samples, sound, write_recordings, write_sound


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("sound"))


def read(path: Path, start: float | None = None, end: float | None = None) -> tuple[Samples, int]:
    with MediaRoot(str(path.parent)).open(path.name) as file:
        return read_sound(file, path.name, span(start, end))


def late_by(samples: Samples, original: Samples) -> int:
    """By how many samples a sound comes after the original, from their correlation."""
    size = min(len(samples), len(original))
    spectra = [np.fft.rfft(x[:size] - x[:size].mean(), 2 * size) for x in (samples, original)]
    best = int(np.argmax(np.fft.irfft(spectra[0] * spectra[1].conj())))
    return best if best < size else best - 2 * size


@pytest.mark.long
@pytest.mark.parametrize("ending", LOSSLESS + LOSSY)
@pytest.mark.parametrize("channels", [1, 2])
def test_the_mean_of_the_channels_in_every_format(recordings: Path, ending: str, channels: int) -> None:
    found, rate = read(recordings / f"{channels}{ending}")
    expected = sound(5, 48_000, channels).mean(axis=1)
    assert rate == 48_000 and found.dtype == np.float32
    if ending in LOSSLESS:
        assert len(found) == len(expected)
        assert np.abs(found - expected).max() <= 1.01 / 2**15
    else:
        assert len(expected) <= len(found) <= len(expected) + 2048  # an encoder fills its last frame
        assert late_by(found, expected) == 0
        assert np.std(found[: len(expected)] - expected) < 0.2 * np.std(expected)


@pytest.mark.long
@pytest.mark.parametrize("ending", LOSSLESS + LOSSY)
@pytest.mark.parametrize(("start", "end"), [(0.0, 0.7), (0.3, 1.234), (2.03, 3.1), (4.5, 99.0), (3.21, None)])
def test_a_span_is_a_slice_of_the_whole(recordings: Path, ending: str, start: float, end: float | None) -> None:
    part, rate = read(recordings / f"2{ending}", start, end)
    whole, _ = read(recordings / f"2{ending}")
    expected = whole[round(start * rate) : None if end is None else round(end * rate)]
    if ending in (".mkv", ".webm"):  # their times are whole milliseconds
        assert abs(len(part) - len(expected)) <= 48 and abs(late_by(part, expected)) <= 48
    elif ending in LOSSLESS:
        assert np.array_equal(part, expected)
    else:
        assert len(part) == len(expected)
        assert np.std(part - expected) < 0.05 * np.std(expected)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 96_000])
def test_sound_keeps_its_rate(tmp_path: Path, rate: int) -> None:
    found, at = read(write_sound(tmp_path / "x.wav", sound(1, rate), rate), 0.25, 0.75)
    assert (at, len(found)) == (rate, round(0.75 * rate) - round(0.25 * rate))


@pytest.mark.parametrize(
    ("subtype", "step"), [("PCM_U8", 2**-7), ("PCM_24", 2**-15), ("PCM_32", 2**-15), ("FLOAT", 1e-7), ("DOUBLE", 1e-7)]
)
def test_every_sample_format_of_wav_means_the_same(tmp_path: Path, subtype: str, step: float) -> None:
    samples = sound(1)
    found, _ = read(write_sound(tmp_path / "x.wav", samples, subtype=subtype))
    assert np.abs(found - samples[:, 0]).max() <= 1.01 * step


@pytest.mark.parametrize(
    ("codec", "step"),
    [("pcm_u8", 2**-7), ("pcm_s16be", 2**-15), ("pcm_s24le", 2**-22), ("pcm_s32le", 2**-22), ("pcm_f32le", 1e-7),
     ("pcm_f64le", 1e-7)],
)  # fmt: skip
def test_every_sample_format_of_a_video_s_track_means_the_same(tmp_path: Path, codec: str, step: float) -> None:
    samples = sound(1, channels=2)
    found, _ = read(write_sound(tmp_path / "x.mkv", samples, subtype=codec))
    assert np.abs(found - samples.mean(axis=1)).max() <= 1.01 * step


def test_no_samples_and_samples_that_are_not_numbers_are_faults(tmp_path: Path) -> None:
    samples = sound(1)
    samples[7_000] = np.nan
    write_sound(tmp_path / "nan.wav", samples, subtype="FLOAT")
    write_sound(tmp_path / "none.wav", sound(0))
    with pytest.raises(MediaFault, match=r"^cannot be decoded: samples that are not numbers$"):
        read(tmp_path / "nan.wav")
    with pytest.raises(MediaFault, match=r"^holds nothing$"):
        read(tmp_path / "none.wav")


@pytest.mark.parametrize("ending", LOSSLESS + LOSSY)
def test_a_file_cut_short_gives_the_beginning_or_a_fault(recordings: Path, tmp_path: Path, ending: str) -> None:
    """And never what the memory held where samples are missing."""
    path = halved(recordings, tmp_path, ending)
    try:
        part, whole = read(path)[0], read(recordings / f"1{ending}")[0]
    except MediaFault as fault:
        assert str(fault).startswith("cannot be decoded")
        return
    assert ending not in (".m4a", ".mp4", ".mov")  # their index comes last
    assert 0.3 * len(whole) < len(part) < 0.7 * len(whole)
    sure = len(part) - 4096
    assert np.abs(part[:sure] - whole[:sure]).max() < 0.05


@pytest.mark.parametrize("ending", [".mkv", ".webm"])
def test_what_is_lost_of_a_file_cut_short_is_not_said_to_lie_past_its_end(
    recordings: Path, tmp_path: Path, ending: str
) -> None:
    path = halved(recordings, tmp_path, ending)
    with pytest.raises(MediaFault, match=r"^no sound in the span from 4 s, though the file says it is "):
        read(path, 4.0, 99.0)
    with pytest.raises(MediaFault, match=r"^span starts at 50 s, past the end$"):
        read(path, 50.0, 99.0)


def halved(recordings: Path, folder: Path, ending: str) -> Path:
    """The first half of a recording's bytes."""
    path, content = folder / f"x{ending}", (recordings / f"1{ending}").read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.mark.long
def test_noise_within_an_mp3_gives_what_is_left_or_a_fault(tmp_path: Path) -> None:
    """Its decoder may then believe to be anywhere, also past the end."""
    content = write_sound(tmp_path / "x.mp3", sound(1, channels=2)).read_bytes()
    outcomes = set()
    for seed in range(200):
        noise = np.random.default_rng(seed).bytes(200)
        (tmp_path / "x.mp3").write_bytes(content[:2_400] + noise + content[2_600:])
        try:
            outcomes.add(0 < len(read(tmp_path / "x.mp3", 0.9, 2.0)[0]) <= 17_600)
        except MediaFault:
            outcomes.add(True)
    assert outcomes == {True}


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_resampled_sound_is_the_same_tone_at_the_other_rate(rate: int) -> None:
    def tone(rate: int) -> Samples:
        return np.sin(2 * np.pi * 440 * np.arange(rate) / rate, dtype=np.float32)

    found = resampled(tone(rate), rate, 16_000)
    assert len(found) == 16_000 and found.dtype == np.float32
    assert np.abs(found - tone(16_000))[800:-800].max() < 1e-3  # its ends ring
    same = tone(16_000)
    assert resampled(same, 16_000, 16_000) is same


def test_too_short_says_how_long_it_was() -> None:
    assert str(too_short(160, 16_000)) == "0.010 s of sound are too short to describe"
