from pathlib import Path

import polars as pl
import pytest

from tasks.config.stages import ExtractConfig, ExtractorNames
from tasks.errors import WorkflowError
from tasks.extract.stage import extract
from tasks.sources.registry import source
from tasks.storage.workspace import Workspace
from tasks.training.split_rule import split_rule
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.media import sound, write_sound
from tests.fixtures.sources.ingested import ingest_source, read_archive

TRANSCRIPT = """{d}_F000 [000.2500-001.0000]: Excuse me.
{d}_M000 [001.2000-002.4000]: Do you have your forms?
{d}_FXX0 [000.9000-001.3000]: [BREATHING]
{d}_F001 [002.5000-003.5000]: Yeah.
"""
EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[0.2500 - 1.0000]\t{d}_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
A-E3:\tval 3; act 2; dom  2;\t()

[1.2000 - 2.4000]\t{d}_M000\tfru\t[2.5000, 2.5000, 2.5000]
C-E2:\tFrustration;\t()

[2.5000 - 3.5000]\t{d}_F001\txxx\t[2.5000, 3.0000, 3.0000]
"""


def release(folder: Path, sessions: tuple[int, ...] = (1, 5), media: tuple[str, ...] = ("wav", "avi/DivX")) -> Path:
    """Files of the release's shape, one dialogue a session."""
    for number in sessions:
        session, dialogue = folder / f"Session{number}", f"Ses0{number}F_impro01"
        for kind, text in (("transcriptions", TRANSCRIPT), ("EmoEvaluation", EVALUATION)):
            (session / "dialog" / kind).mkdir(parents=True)
            (session / "dialog" / kind / f"{dialogue}.txt").write_text(text.format(d=dialogue))
            (session / "dialog" / kind / f"._{dialogue}.txt").write_bytes(b"\0\5\x16\7 Mac OS X")
        (session / "dialog" / "EmoEvaluation" / "Categorical").mkdir()
        (session / "dialog" / "EmoEvaluation" / "Categorical" / f"{dialogue}_e2_cat.txt").write_text("F000 :Neutral;\n")
        for kind in media:
            (session / "dialog" / kind).mkdir(parents=True)
            (session / "dialog" / kind / f"{dialogue}.{kind[:3]}").touch()
    return folder


def read(folder: Path) -> pl.DataFrame:
    iemocap = source("iemocap")
    return pl.concat([batch for file in iemocap.files(str(folder), None) for batch in iemocap.batches(file, None)])


def test_utterances_in_the_order_of_time_with_their_emotions(tmp_path: Path) -> None:
    found = read(release(tmp_path))
    assert found["conversation_id"].unique(maintain_order=True).to_list() == ["Ses01F_impro01", "Ses05F_impro01"]
    first = found[:4]
    assert first["text"].to_list() == ["Excuse me.", "[BREATHING]", "Do you have your forms?", "Yeah."]
    assert first["turn"].to_list() == ["0", "1", "2", "3"] and first["speaker"].to_list() == ["F", "F", "M", "F"]
    assert first["emotion"].to_list() == ["neutral", None, "frustrated", None]
    assert first["start_s"].to_list() == ["000.2500", "000.9000", "001.2000", "002.5000"]
    assert found["split"].to_list() == ["train"] * 4 + ["test"] * 4 and found["problem"].null_count() == 8


@pytest.mark.parametrize(
    ("media", "audio", "video"),
    [
        (("wav", "avi/DivX"), "wav/Ses01F_impro01.wav", "avi/DivX/Ses01F_impro01.avi"),
        (("wav",), "wav/Ses01F_impro01.wav", None),
        (("avi/DivX",), None, "avi/DivX/Ses01F_impro01.avi"),
        ((), None, None),
    ],
)
def test_recordings_are_those_that_are_there(
    tmp_path: Path, media: tuple[str, ...], audio: str | None, video: str | None
) -> None:
    found = read(release(tmp_path, (1,), media))
    assert set(found["audio"]) == {audio and f"Session1/dialog/{audio}"}
    assert set(found["video"]) == {video and f"Session1/dialog/{video}"}


def test_without_recordings_of_dialogues_clips_are_taken_as_a_whole(tmp_path: Path) -> None:
    clips = release(tmp_path, (1,), ()) / "Session1" / "sentences" / "wav" / "Ses01F_impro01"
    clips.mkdir(parents=True)
    (clips / "Ses01F_impro01_F000.wav").touch()
    found = read(tmp_path)
    assert found["audio"][2] == "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav"
    assert found["start_s"].null_count() == found["end_s"].null_count() == 4
    assert found["turn"].to_list() == ["0", "1", "2", "3"] and found["text"][1] == "[BREATHING]"


def test_a_folder_above_the_release_or_one_session_will_do(tmp_path: Path) -> None:
    release(tmp_path / "IEMOCAP_full_release", (3,))
    assert read(tmp_path)["audio"][0] == "IEMOCAP_full_release/Session3/dialog/wav/Ses03F_impro01.wav"
    assert read(tmp_path / "IEMOCAP_full_release" / "Session3")["audio"][0] == "dialog/wav/Ses03F_impro01.wav"


def test_lines_that_cannot_be_used_are_rejected_and_the_rest_goes_on(workspace: Workspace, tmp_path: Path) -> None:
    dialog = release(tmp_path / "in", (1,)) / "Session1" / "dialog"
    with (dialog / "transcriptions" / "Ses01F_impro01.txt").open("ab") as file:
        file.write(b"M: (laughter)\nSes01F_impro01_M009 [5.0000-6.0000]: \xff\n")
    with (dialog / "EmoEvaluation" / "Ses01F_impro01.txt").open("a") as file:
        for line in ("F000\tneu", "Ses01F_impro01_F000\tang", "Ses01F_impro01_F777\tsad", "Ses01F_impro01_F001\tjoy"):
            file.write(f"[0.2500 - 1.0000]\t{line}\t[1.0, 1.0, 1.0]\n")
        file.write("[0.2500\n")
    manifest = ingest_source(workspace, tmp_path / "in", kind="iemocap")
    assert (manifest.counts["rows_in"], manifest.rows, manifest.counts["labelled"]) == (11, 4, 2)
    assert sorted(read_archive(workspace, "rejected")["reason"]) == [
        "evaluation: F000 is not in the transcription",
        "evaluation: Ses01F_impro01_F000 is evaluated twice",
        "evaluation: Ses01F_impro01_F777 is not in the transcription",
        "evaluation: is not [START - END] NAME EMOTION [V, A, D]",
        "evaluation: there is no emotion 'joy'",
        "is not NAME [START-END]: TEXT, as UTF-8",
        "is not NAME [START-END]: TEXT, as UTF-8",
    ]


def test_an_evaluation_that_cannot_be_read_costs_the_annotations_alone(tmp_path: Path) -> None:
    evaluations = release(tmp_path, (1,)) / "Session1" / "dialog" / "EmoEvaluation"
    (evaluations / "Ses01F_impro01.txt").write_bytes(b"\0\1\2")
    found = read(tmp_path)
    assert found["problem"].drop_nulls().to_list() == ["evaluation: is not text"]
    assert found["text"].null_count() == 1 and len(found) == 5 and found["emotion"].null_count() == 5


def test_other_evaluations_make_the_archive_anew(workspace: Workspace, tmp_path: Path) -> None:
    folder = release(tmp_path / "in", (1,))
    assert ingest_source(workspace, folder, kind="iemocap").counts["labelled"] == 2
    (folder / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt").write_text("")
    assert ingest_source(workspace, folder, kind="iemocap").counts["labelled"] == 0


def test_extract_finds_the_recordings_and_training_finds_its_splits(workspace: Workspace, tmp_path: Path) -> None:
    folder = release(tmp_path / "in", media=("wav",))
    for path in sorted(folder.glob("Session*/dialog/wav/*.wav")):
        write_sound(path, sound(4.0, channels=2))
    manifest = ingest_source(workspace, folder, kind="iemocap")
    rule = split_rule(manifest, 0.1, 0.1)
    assert rule.dev_from_train and rule.split("Ses05F_impro01", "test") == "test"
    config = ExtractConfig(workspace=workspace.url, ray=LOCAL, archive="a", extractors=ExtractorNames())
    features = extract(config, "audio")
    assert features is not None and features.counts["present"] == 8 and features.counts["failed"] == 0


def test_what_is_no_release_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(WorkflowError, match=r"expected: the folder with Session1 to Session5"):
        read(tmp_path)
