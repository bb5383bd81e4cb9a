"""The demo archive: what it promises on disk, and that each modality carries some of the emotion."""

import json
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tasks.archive.schema import UTTERANCES
from tasks.demo import make_demo_archive
from tasks.demo.face import draw_face, film
from tasks.demo.script import EMOTIONS, LOOKALIKES, Shown, write_conversation
from tasks.demo.sound import RATE, draw_voice, speak
from tasks.demo.text import write_sentence
from tasks.errors import WorkflowError

Row = dict[str, Any]


def rows_of(table: Path) -> list[Row]:
    return [json.loads(line) for line in table.read_text().splitlines()]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    assert make_demo_archive(folder, conversations=6, seed=3) == folder / "utterances.jsonl"
    return folder


@pytest.fixture(scope="module")
def rows(archive: Path) -> list[Row]:
    return rows_of(archive / "utterances.jsonl")


@pytest.mark.long
def test_rows_have_canonical_columns_and_known_emotions(rows: list[Row]) -> None:
    assert set(rows[0]) == set(UTTERANCES.names) - {"start_s", "end_s"}
    assert all(set(row) == set(rows[0]) for row in rows)
    assert {row["emotion"] for row in rows} <= set(EMOTIONS)
    assert len({(row["conversation_id"], row["turn"]) for row in rows}) == len(rows)


def test_conversations_have_2_to_4_speakers_and_turns_in_order(rows: list[Row]) -> None:
    names = sorted({row["conversation_id"] for row in rows})
    assert len(names) == 6
    for name in names:
        inside = [row for row in rows if row["conversation_id"] == name]
        assert [row["turn"] for row in inside] == list(range(len(inside)))
        assert 6 <= len(inside) <= 14
        assert 2 <= len({row["speaker"] for row in inside}) <= 4
        times = [row["occurred_at"] for row in inside]
        assert times == sorted(set(times))


def test_splits_are_by_conversation_and_all_there(rows: list[Row]) -> None:
    pairs = {(row["conversation_id"], row["split"]) for row in rows}
    assert Counter(split for _, split in pairs) == {"train": 4, "dev": 1, "test": 1}


def test_it_covers_three_days(rows: list[Row]) -> None:
    assert {row["occurred_at"][:10] for row in rows} == {"2026-01-05", "2026-01-06", "2026-01-07"}


def test_a_few_utterances_lack_one_modality(rows: list[Row]) -> None:
    for column in ("text", "audio", "video"):
        assert sum(row[column] is None for row in rows) == max(1, round(0.03 * len(rows)))
    assert all(sum(row[column] is None for column in ("text", "audio", "video")) <= 1 for row in rows)


def test_every_wav_can_be_read(archive: Path, rows: list[Row]) -> None:
    for row in rows:
        if row["audio"]:
            info = soundfile.info(archive / row["audio"])
            assert (info.samplerate, info.channels, info.subtype) == (RATE, 1, "PCM_16")
            assert 0.8 <= info.duration <= 1.6
            assert np.std(soundfile.read(archive / row["audio"])[0]) > 1e-3


@pytest.mark.long
def test_every_mp4_can_be_read_but_one_in_the_test_split(archive: Path, rows: list[Row]) -> None:
    unreadable = []
    for row in rows:
        if row["video"]:
            try:
                with av.open(str(archive / row["video"])) as container:
                    shapes = [frame.to_ndarray(format="rgb24").shape for frame in container.decode(video=0)]
                assert shapes == [(96, 96, 3)] * 9
            except av.error.InvalidDataError:
                unreadable.append(row["split"])
    assert unreadable == ["test"]


def test_media_on_disk_are_those_of_the_table(archive: Path, rows: list[Row]) -> None:
    named = {row[column] for row in rows for column in ("audio", "video") if row[column]}
    assert named == {name for name in files_of(archive) if name.startswith("media/")}


def test_it_says_that_it_is_synthetic(archive: Path) -> None:
    assert (archive / "README.txt").read_text().startswith("SYNTHETIC DATA")


@pytest.mark.long
def test_same_seed_same_bytes_and_another_seed_another_archive(archive: Path, tmp_path: Path) -> None:
    make_demo_archive(tmp_path / "same", conversations=6, seed=3)
    assert files_of(tmp_path / "same") == files_of(archive)
    make_demo_archive(tmp_path / "same", conversations=3, seed=4)
    other = files_of(tmp_path / "same")
    assert other["media/conv-000/000.wav"] != files_of(archive)["media/conv-000/000.wav"]
    assert not any(name.startswith("media/conv-003") for name in other), "media of the earlier archive are gone"


def test_a_second_call_touches_nothing(archive: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*")}
    make_demo_archive(archive, conversations=6, seed=3)
    assert {path: path.stat().st_mtime_ns for path in archive.rglob("*")} == before


@pytest.mark.long
@pytest.mark.parametrize("lost", ["demo.json", "utterances.jsonl", "media/conv-001/002.wav"])
def test_a_half_made_archive_is_made_again(tmp_path: Path, lost: str) -> None:
    make_demo_archive(tmp_path, conversations=3, seed=5)
    whole = files_of(tmp_path)
    (tmp_path / lost).unlink()
    (tmp_path / "media/conv-000/000.wav").write_bytes(b"half")
    make_demo_archive(tmp_path, conversations=3, seed=5)
    assert files_of(tmp_path) == whole


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media/holiday.mp4").write_bytes(b"mine")
    with pytest.raises(WorkflowError, match="another folder"):
        make_demo_archive(tmp_path, conversations=3)
    assert files_of(tmp_path) == {"media/holiday.mp4": b"mine"}


@pytest.mark.parametrize(("conversations", "seed"), [(2, 0), (3, -1)])
def test_parameters_out_of_range_are_refused(tmp_path: Path, conversations: int, seed: int) -> None:
    with pytest.raises(WorkflowError, match="at least 3 conversations"):
        make_demo_archive(tmp_path, conversations, seed)


@given(st.integers(0, 2**32), st.integers(0, 10_000))
def test_every_script_keeps_the_rules(seed: int, number: int) -> None:
    lines = write_conversation(seed, number)
    assert 6 <= len(lines) <= 14
    assert 2 <= len({line.speaker for line in lines}) <= 4
    assert all(before.speaker != after.speaker for before, after in pairwise(lines))
    for line in lines:
        for modality, shown in line.shown.items():
            assert 0.1 <= shown.strength <= 1.1
            assert any({line.emotion, shown.emotion} <= set(group) for group in LOOKALIKES[modality])


def test_no_two_emotions_are_alike_in_every_modality() -> None:
    for groups in LOOKALIKES.values():
        assert sorted(emotion for group in groups for emotion in group) == sorted(EMOTIONS)
    for pair in combinations(EMOTIONS, 2):
        assert any(not any(set(pair) <= set(group) for group in groups) for groups in LOOKALIKES.values()), pair


def test_emotions_last_and_spread_within_a_conversation() -> None:
    common = Counter(line.emotion for number in range(400) for line in write_conversation(1, number))
    pairs = [pair for number in range(400) for pair in pairwise(write_conversation(1, number))]
    chance = sum((count / common.total()) ** 2 for count in common.values())
    same = sum(before.emotion == after.emotion for before, after in pairs)
    assert same / len(pairs) > chance + 0.05


def pitch_of(samples: NDArray[np.float32]) -> float:
    """Hz: the strongest self-similarity of the whole sound between 60 and 450 Hz."""
    power = np.abs(np.fft.rfft(samples, 2 * len(samples))) ** 2
    similarity = np.fft.irfft(power)
    shortest, longest = RATE // 450, RATE // 60
    return RATE / (shortest + int(np.argmax(similarity[shortest:longest])))


def test_voices_rise_with_joy_and_swell_with_anger() -> None:
    pitch: dict[str, list[float]] = {"joy": [], "sadness": [], "anger": []}
    power: dict[str, list[float]] = {"joy": [], "sadness": [], "anger": []}
    for number in range(20):
        voice = draw_voice(np.random.default_rng(number))
        for emotion in pitch:
            samples = speak(voice, Shown(emotion, 1.0), np.random.default_rng([number, 1]))
            pitch[emotion].append(pitch_of(samples) / voice.pitch)
            power[emotion].append(float(np.mean(samples**2)))
    assert np.median(pitch["joy"]) > 1.15 * np.median(pitch["sadness"])
    assert np.median(power["anger"]) > 4 * np.median(power["sadness"])


def share_recognised(strength: float) -> float:
    """How often the nearest of seven mean pictures (full expressions) names the emotion of one person's films."""
    face = draw_face(np.random.default_rng(1))

    def look(emotion: str, shown: float, number: int) -> NDArray[np.float64]:
        rng = np.random.default_rng([number, EMOTIONS.index(emotion)])
        grey = film(face, Shown(emotion, shown), rng).mean(axis=(0, 3))[20:88, 18:78]
        return (grey - grey.mean()) / grey.std()

    means = np.stack([np.mean([look(emotion, 1.0, n) for n in range(20)], axis=0) for emotion in EMOTIONS])
    tries = [(emotion, look(emotion, strength, n)) for emotion in EMOTIONS for n in range(50, 65)]
    nearest = [EMOTIONS[int(np.argmin(((means - seen) ** 2).sum(axis=(1, 2))))] for _, seen in tries]
    return float(np.mean([named == emotion for named, (emotion, _) in zip(nearest, tries, strict=True)]))


@pytest.mark.long
def test_faces_tell_the_emotion_when_it_is_shown_and_not_when_it_is_faint() -> None:
    assert share_recognised(1.0) > 0.6
    assert share_recognised(0.1) < 0.35


def sentences_of(emotion: str, strength: float, number: int) -> list[str]:
    rng = np.random.default_rng([number, EMOTIONS.index(emotion)])
    return [write_sentence(Shown(emotion, strength), rng) for _ in range(150)]


@pytest.mark.long
def test_text_tells_the_emotion_when_it_is_shown_and_nothing_when_it_is_not() -> None:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    def drawn(number: int, strength: float) -> tuple[list[str], list[str]]:
        pairs = [(said, emotion) for emotion in EMOTIONS for said in sentences_of(emotion, strength, number)]
        return [said for said, _ in pairs], [emotion for _, emotion in pairs]

    reader = make_pipeline(CountVectorizer(), MultinomialNB()).fit(*drawn(1, 1.0))
    assert 0.7 < reader.score(*drawn(2, 1.0)) < 1.0
    assert abs(reader.score(*drawn(2, 0.0)) - 1 / len(EMOTIONS)) < 0.06


def test_no_two_emotions_have_vocabularies_of_their_own() -> None:
    vocabularies = {emotion: set(" ".join(sentences_of(emotion, 1.0, 1)).lower().split()) for emotion in EMOTIONS}
    for one, other in combinations(EMOTIONS, 2):
        assert vocabularies[one] & vocabularies[other]
        assert vocabularies[one] != vocabularies[other]
