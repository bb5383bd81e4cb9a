"""A corpus as its authors publish it comes in without a script; what cannot come in is no success."""

from pathlib import Path

import polars as pl
import pytest

from tasks.config.stages import IngestConfig
from tasks.errors import WorkflowError
from tasks.ingest.losses import column_losses, excess
from tasks.storage.workspace import Workspace
from tests.fixtures.sources.ingested import ingest_source, read_archive

HEADER = "Utterance,Speaker,Emotion,Season,Episode,Scene,StartTime,EndTime\n"
COLUMNS = {
    "conversation_id": ["Season", "Episode", "Scene"], "text": "Utterance", "speaker": "Speaker", "emotion": "Emotion",
    "start_s": "StartTime", "end_s": "EndTime",
}  # fmt: skip


def corpus(folder: Path) -> Path:
    """Season, episode and scene apart, lists of speakers, times on a clock, splits in the files' names."""
    folder.mkdir()
    for season, split in enumerate(["trn", "dev", "tst"], start=1):
        lines = [
            f'"Turn {turn}, of {scene}",[\'Ann Lee\'],Joyful,{season},2,{scene},00:16:{turn:02d}.059,"00:17:00,5"\n'
            for scene in (1, 2)
            for turn in range(3)
        ]
        (folder / f"corpus_{split}_final.csv").write_text(HEADER + "".join(lines))
    return folder


def test_a_corpus_comes_in_as_it_is_published(workspace: Workspace, tmp_path: Path) -> None:
    settings = {"columns": COLUMNS, "number_turns": True, "file_pattern": "corpus_{split}_final.csv"}
    manifest = ingest_source(workspace, corpus(tmp_path / "corpus"), **settings)
    rows = read_archive(workspace, "utterances").sort("conversation_id", "turn")
    assert (manifest.rows, manifest.counts["rejected"]) == (18, 0)
    assert rows["conversation_id"].unique().sort().to_list() == [f"{s}/2/{c}" for s in (1, 2, 3) for c in (1, 2)]
    assert rows.group_by("conversation_id", maintain_order=True).agg("turn")["turn"].to_list() == [[0, 1, 2]] * 6
    assert rows["split"].to_list() == ["trn"] * 6 + ["dev"] * 6 + ["tst"] * 6
    assert rows.row(1, named=True) | {"occurred_at": None} == {
        "conversation_id": "1/2/1", "turn": 1, "speaker": "Ann Lee", "text": "Turn 1, of 1",
        "audio": None, "video": None, "start_s": 961.059, "end_s": 1020.5,
        "emotion": "Joyful", "split": "trn", "occurred_at": None,
    }  # fmt: skip


def test_turns_are_numbered_over_files_and_rejected_rows_take_none(workspace: Workspace, tmp_path: Path) -> None:
    (folder := tmp_path / "in").mkdir()
    (folder / "a.csv").write_text("conversation_id,text\nc,one\nd,other\nc,\n")
    (folder / "b.csv").write_text("conversation_id,text\nc,two\n,lost\nc,three\n")
    manifest = ingest_source(workspace, folder, number_turns=True)
    rows = read_archive(workspace, "utterances").sort("conversation_id", "turn")
    assert rows.select("conversation_id", "turn", "text").rows() == [
        ("c", 0, "one"), ("c", 1, "two"), ("c", 2, "three"), ("d", 0, "other"),
    ]  # fmt: skip
    assert manifest.counts["rejected"] == 2


def test_settings_left_at_their_defaults_leave_the_fingerprint(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("conversation_id,turn,text\nc,0,hi\n")
    plain = ingest_source(workspace, tmp_path / "x.csv", shards=1).fingerprint
    same = {"number_turns": False, "null_values": None, "time_format": None, "most_rejected": 0.5}
    assert ingest_source(workspace, tmp_path / "x.csv", shards=1, **same).fingerprint == plain
    others = [{"null_values": ["x"]}, {"null_values": []}, {"time_format": "epoch_s"}, {"number_turns": True}]
    prints = {ingest_source(workspace, tmp_path / "x.csv", shards=1, **other).fingerprint for other in others}
    assert len(prints | {plain}) == 5


def test_nothing_accepted_is_an_error_with_the_reasons_and_the_archive_stays(
    workspace: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("conversation_id,turn,text\nc,0,hi\n")
    before = ingest_source(workspace, path)
    path.write_text("conversation_id,turn,text\nc,one,hi\nc,two,ho\n,0,x\n")
    for _ in range(2):
        with pytest.raises(WorkflowError) as error:
            ingest_source(workspace, path)
        first, *reasons, columns, _ = str(error.value).splitlines()
        assert first == f"ingest: none of the 3 rows of {path} can be used, and no archive was made of it"
        assert reasons == ["  2: turn … is not a whole number", "  1: no conversation_id"] and "--set" in columns
        assert read_archive(workspace, f"utterances/{before.fingerprint}")["text"].to_list() == ["hi"]
    path.write_text("conversation_id,turn,text\n\n,,\n")
    with pytest.raises(WorkflowError, match=r"x\.csv has no rows, and no archive"):
        ingest_source(workspace, path)
    path.write_text("conversation_id,turn,text\nc,0,hi\n")
    assert ingest_source(workspace, path) == before


def test_what_is_lost_beyond_the_allowed_share_is_said(workspace: Workspace, tmp_path: Path) -> None:
    lines = [f"c{i % 4},0,hi,{'soon' if i < 2 else ''},{'yesterday' if i < 3 else ''}" for i in range(40)]
    (tmp_path / "x.csv").write_text("\n".join(["conversation_id,turn,text,start_s,occurred_at", *lines, ""]))
    manifest = ingest_source(workspace, tmp_path / "x.csv", shards=1)
    assert excess(workspace, "a", manifest, 0.05) == (
        "36 of 40 rows rejected, 36 as duplicates: conversation_id and turn are no key of it",
        "3 of 4 times in occurred_at not readable",
        "2 of 4 times in start_s not readable",
    )
    assert excess(workspace, "a", manifest, 0.9) == ()
    assert column_losses(manifest) == {"no_value": {}, "unreadable": {"occurred_at": 3, "start_s": 2}}


def test_words_for_no_value_are_counted(workspace: Workspace, tmp_path: Path) -> None:
    said, emotions = ["NA", "NA", "x", "y"], ["NA", "joy", "", "nan"]
    frame = pl.DataFrame({"conversation_id": ["c"] * 4, "turn": range(4), "text": said, "emotion": emotions})
    frame.write_csv(tmp_path / "x.csv")
    manifest = ingest_source(workspace, tmp_path / "x.csv")
    assert manifest.counts["no_value.emotion"] == 2 and "no_value.text" not in manifest.counts
    manifest = ingest_source(workspace, tmp_path / "x.csv", null_values=["x"], columns={"speaker": "text"})
    assert (manifest.rows, manifest.counts["rejected"], manifest.counts["no_value.speaker"]) == (3, 1, 2)


@pytest.mark.parametrize("kind", ["meld", "whisperx", "vtt"])
def test_other_sources_have_no_columns(kind: str) -> None:
    named = ({"columns": {"text": "x"}}, {"null_values": ["x"]}, {"number_turns": True}, {"time_format": "epoch_s"})
    for settings in named:
        with pytest.raises(ValueError, match=f"{next(iter(settings))} is for a table, not for {kind}"):
            IngestConfig(archive="a", kind=kind, path="x", **settings)
