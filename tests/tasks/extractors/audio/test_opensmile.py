"""Sound from real files of every usual format, and what openSMILE makes of it."""

from pathlib import Path

import numpy as np
import opensmile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.extractors.audio.opensmile import OpenSmile, load
from tasks.extractors.base import Extracted
from tasks.extractors.media.files import MediaFault, MediaRoot, span
from tasks.extractors.media.sound import read_sound
from tests.fixtures import media as made
from tests.fixtures.media import sound, utterances, write_sound

pytestmark = pytest.mark.filterwarnings("ignore:Segment too short")

LOSSLESS = (".wav", ".flac", ".mov", ".mkv")
LOSSY = (".ogg", ".mp3", ".m4a", ".mp4", ".webm")


@pytest.fixture(scope="module")
def smile() -> OpenSmile:
    extractor = load("eGeMAPSv02")
    assert isinstance(extractor, OpenSmile)
    return extractor


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same five seconds in every format, mono and stereo."""
    folder = tmp_path_factory.mktemp("sound")
    for ending in LOSSLESS + LOSSY:
        for channels in (1, 2):
            write_sound(folder / f"{channels}{ending}", sound(5, 48_000, channels), 48_000)
    return folder


def read(path: Path, start: float | None = None, end: float | None = None) -> tuple[made.Samples, int]:
    with MediaRoot(str(path.parent)).open(path.name) as file:
        return read_sound(file, path.name, span(start, end))


def late_by(samples: made.Samples, original: made.Samples) -> int:
    """By how many samples a sound comes after the original, from their correlation."""
    size = min(len(samples), len(original))
    spectra = [np.fft.rfft(x[:size] - x[:size].mean(), 2 * size) for x in (samples, original)]
    best = int(np.argmax(np.fft.irfft(spectra[0] * spectra[1].conj())))
    return best if best < size else best - 2 * size


def reason(found: Extracted, row: int = 0) -> str:
    assert not found.valid[row] and not found.vectors[row].any()
    return str(found.reasons[row])


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


def test_the_vector_is_what_opensmile_makes_of_the_samples(tmp_path: Path, smile: OpenSmile) -> None:
    engine = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    samples = sound(3, 44_100, 2)
    write_sound(tmp_path / "x.wav", samples, 44_100, "FLOAT")
    found = smile(utterances({"audio": "x.wav"}, {"audio": "x.wav", "start_s": 0.5, "end_s": 1.75}),
                  MediaRoot(str(tmp_path)))  # fmt: skip
    mono = samples.mean(axis=1)
    for row, part in enumerate((mono, mono[22_050:77_175])):
        assert np.array_equal(found.vectors[row], engine.process_signal(part, 44_100).to_numpy(np.float32)[0])
    assert found.vectors.shape == (2, 88) and found.valid.all() and found.reasons == [None, None]
    assert not np.allclose(found.vectors[0], found.vectors[1])


def test_a_loud_signal_is_cut_off_and_does_not_wrap_round(tmp_path: Path, smile: OpenSmile) -> None:
    tone = np.sin(2 * np.pi * 200 * np.arange(32_000) / 16_000, dtype=np.float32)[:, None]
    loud = {"full": tone, "over": 1.5 * tone, "cut": np.clip(1.5 * tone, -1, 32_767 / 32_768), "below": 0.999 * tone}
    for name, samples in loud.items():
        write_sound(tmp_path / f"{name}.wav", samples, subtype="FLOAT")
    rows = [{"audio": f"{name}.wav"} for name in loud]
    full, over, cut, below = smile(utterances(*rows), MediaRoot(str(tmp_path))).vectors
    assert np.array_equal(over, cut)
    loudness, pitch = 10, 0  # the means of both, in the set's order
    for column in (loudness, pitch):
        assert full[column] == pytest.approx(below[column], rel=0.01)


def test_a_vector_is_the_same_bits_in_any_company(recordings: Path, smile: OpenSmile) -> None:
    media = MediaRoot(str(recordings))
    rows = [{"audio": f"1{ending}", "start_s": 0.5 * k, "end_s": 0.5 * k + 1} for k, ending in enumerate(LOSSY)]
    rows.insert(2, {"audio": "none.wav"})
    together = smile(utterances(*rows), media)
    for row, found in reversed(list(zip(rows, together.vectors, strict=True))):
        assert np.array_equal(smile(utterances(row), media).vectors[0], found)
    assert together.valid.tolist() == [True, True, False, True, True, True]


def test_the_sound_of_a_video_counts_unless_there_is_audio(recordings: Path, smile: OpenSmile) -> None:
    made.write_video(recordings / "silent.mp4")
    rows = [{"audio": "1.mp4"}, {"video": "1.mp4"}, {"audio": "1.mp4", "video": "1.wav"}, {"video": "1.wav"},
            {"text": "only"}, {"video": "silent.mp4"}]  # fmt: skip
    found = smile(utterances(*rows), MediaRoot(str(recordings)))
    assert [np.array_equal(found.vectors[0], vector) for vector in found.vectors[1:4]] == [True, True, False]
    assert found.valid.tolist() == [True] * 4 + [False] * 2
    assert found.reasons == [None] * 5 + ["no audio track"]


@pytest.mark.parametrize("ending", LOSSLESS + LOSSY)
def test_no_sound_in_it_is_a_reason(tmp_path: Path, smile: OpenSmile, ending: str) -> None:
    (tmp_path / f"empty{ending}").write_bytes(b"")
    (tmp_path / f"noise{ending}").write_bytes(np.random.default_rng(0).bytes(20_000))
    write_sound(tmp_path / f"x{ending}", sound(1, 48_000), 48_000)
    rows = [{"audio": f"{name}{ending}"} for name in ("empty", "noise", "none")]
    past = {"audio": f"x{ending}", "start_s": 1.5, "end_s": 2.0}
    found = smile(utterances(*rows, past, {"audio": f"x{ending}", "end_s": 0.01}), MediaRoot(str(tmp_path)))
    assert reason(found, 0).startswith("cannot be") and reason(found, 1).startswith(("cannot be", "no audio track"))
    assert reason(found, 2) == "no such file"
    assert reason(found, 3) == "span starts at 1.5 s, past the end"
    assert "0.010 s of sound are too short to describe" in reason(found, 4)


def test_no_samples_and_samples_that_are_not_numbers_are_reasons(tmp_path: Path, smile: OpenSmile) -> None:
    samples = sound(1)
    samples[7_000] = np.nan
    write_sound(tmp_path / "nan.wav", samples, subtype="FLOAT")
    write_sound(tmp_path / "none.wav", sound(0))
    found = smile(utterances({"audio": "nan.wav"}, {"audio": "none.wav"}), MediaRoot(str(tmp_path)))
    assert reason(found, 0) == "cannot be decoded: samples that are not numbers" and reason(found, 1) == "holds nothing"


@pytest.mark.parametrize("ending", LOSSLESS + LOSSY)
def test_a_file_cut_short_gives_the_beginning_or_a_reason(recordings: Path, tmp_path: Path, ending: str) -> None:
    """And never what the memory held where samples are missing."""
    content = (recordings / f"1{ending}").read_bytes()
    (tmp_path / f"x{ending}").write_bytes(content[: len(content) // 2])
    found = load("eGeMAPSv02")(utterances({"audio": f"x{ending}"}), MediaRoot(str(tmp_path)))
    if ending in (".m4a", ".mp4", ".mov"):  # their index comes last
        assert reason(found).startswith("cannot be decoded")
    elif found.valid[0]:
        part, whole = read(tmp_path / f"x{ending}")[0], read(recordings / f"1{ending}")[0]
        assert 0.3 * len(whole) < len(part) < 0.7 * len(whole)
        sure = len(part) - 4096
        assert np.abs(part[:sure] - whole[:sure]).max() < 0.05
    else:
        assert reason(found).startswith("cannot be decoded")


@pytest.mark.parametrize("ending", [".mkv", ".webm"])
def test_what_is_lost_of_a_file_cut_short_is_not_said_to_lie_past_its_end(
    recordings: Path, tmp_path: Path, smile: OpenSmile, ending: str
) -> None:
    content = (recordings / f"1{ending}").read_bytes()
    (tmp_path / f"x{ending}").write_bytes(content[: len(content) // 2])
    late, later = ({"audio": f"x{ending}", "start_s": at, "end_s": 99.0} for at in (4.0, 50.0))
    found = smile(utterances(late, later), MediaRoot(str(tmp_path)))
    assert reason(found, 0).startswith("no sound in the span from 4 s, though the file says it is ")
    assert reason(found, 1) == "span starts at 50 s, past the end"


@pytest.mark.parametrize("rate", [1, 50, 900, 5_000_000, 2**31 - 1])
@pytest.mark.parametrize("ending", [".wav", ".mov"])
def test_a_rate_that_the_engine_would_die_of_is_a_reason(
    tmp_path: Path, smile: OpenSmile, ending: str, rate: int
) -> None:
    write_sound(tmp_path / "x.wav", sound(1))
    content = (tmp_path / "x.wav").read_bytes()
    (tmp_path / f"x{ending}").write_bytes(content[:24] + rate.to_bytes(4, "little") + content[28:])
    found = smile(utterances({"audio": f"x{ending}", "end_s": 500.0}), MediaRoot(str(tmp_path)))
    assert "Hz" in reason(found) or "cannot be decoded" in reason(found)


def test_noise_within_an_mp3_gives_what_is_left_or_a_reason(tmp_path: Path) -> None:
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


damage = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12)


@given(st.sampled_from(LOSSLESS + LOSSY), damage, st.floats(0, 1, exclude_max=True), st.booleans())
@settings(max_examples=150)
def test_damaged_bytes_give_a_vector_or_a_reason_and_twice_the_same(
    recordings: Path, smile: OpenSmile, ending: str, damage: list[tuple[float, int]], cut: float, whole: bool
) -> None:
    path = recordings / f"short{ending}"
    if not path.exists():
        write_sound(path, sound(0.4, 48_000), 48_000)
    content = bytearray(path.read_bytes())
    for place, value in damage:
        content[int(place**3 * len(content))] = value  # more of it in the headers
    (recordings / f"damaged{ending}").write_bytes(content if whole else content[: int(cut * len(content))])
    row = {"audio": f"damaged{ending}"}
    found = smile(utterances(row, row), MediaRoot(str(recordings)))
    assert found.valid[0] == (found.reasons[0] is None) and found.reasons[0] == found.reasons[1]
    assert np.isfinite(found.vectors).all() and np.array_equal(*found.vectors)
