"""The vectors of openSMILE, of real files of every usual format, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.extractors.audio.opensmile import OpenSmile, load
from tasks.extractors.base import Extracted
from tasks.extractors.media.files import MediaRoot
from tests.fixtures import media as made
from tests.fixtures.media import LOSSLESS, LOSSY, sound, utterances, write_recordings, write_sound

pytestmark = pytest.mark.filterwarnings("ignore:Segment too short")


@pytest.fixture(scope="module")
def smile() -> OpenSmile:
    extractor = load("eGeMAPSv02")
    assert isinstance(extractor, OpenSmile)
    return extractor


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("sound"))


def reason(found: Extracted, row: int = 0) -> str:
    assert not found.valid[row] and not found.vectors[row].any()
    return str(found.reasons[row])


def test_the_vector_is_what_opensmile_makes_of_the_samples(tmp_path: Path, smile: OpenSmile) -> None:
    import opensmile

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


@pytest.mark.long
def test_a_vector_is_the_same_bits_in_any_company(recordings: Path, smile: OpenSmile) -> None:
    media = MediaRoot(str(recordings))
    rows = [{"audio": f"1{ending}", "start_s": 0.5 * k, "end_s": 0.5 * k + 1} for k, ending in enumerate(LOSSY)]
    rows.insert(2, {"audio": "none.wav"})
    together = smile(utterances(*rows), media)
    for row, found in reversed(list(zip(rows, together.vectors, strict=True))):
        assert np.array_equal(smile(utterances(row), media).vectors[0], found)
    assert together.valid.tolist() == [True, True, False, True, True, True]


@pytest.mark.long
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


damage = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=12)


@pytest.mark.long
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
    assert (found.valid[0] or found.reasons[0]) and found.reasons[0] == found.reasons[1]
    assert np.isfinite(found.vectors).all() and np.array_equal(*found.vectors)
