from pathlib import Path

import polars as pl
import pytest

from tasks.errors import WorkflowError
from tasks.sources.registry import source
from tests.fixtures.sources.meld import HEADER, release


def read(folder: Path, media: Path | None = None) -> pl.DataFrame:
    meld = source("meld")
    return pl.concat(
        [batch for file in meld.files(str(folder), None) for batch in meld.batches(file, media and str(media))]
    )


def test_dialogues_of_a_split_are_conversations(tmp_path: Path) -> None:
    found = read(release(tmp_path))
    assert found["conversation_id"].to_list()[:4] == ["train-dia0", "train-dia0", "train-dia1", "train-dia1"]
    assert found["turn"].to_list()[:4] == ["0", "3", "0", "3"]
    assert found["split"].unique(maintain_order=True).to_list() == ["train", "dev", "test"]
    assert found["emotion"].unique().to_list() == ["joy"] and found["text"][5] == "Well, dev 1"
    assert found["video"].null_count() == 12


def test_clips_lie_in_the_releases_folders_in_others_or_flat(tmp_path: Path) -> None:
    media = tmp_path / "media"
    for folder in ("train_splits", "dev"):
        (media / folder).mkdir(parents=True)
    videos = read(release(tmp_path, ("train", "dev", "test")), media)["video"].to_list()
    assert (
        videos[1] == "train_splits/dia0_utt3.mp4" and videos[4] == "dev/dia0_utt0.mp4" and videos[8] == "dia0_utt0.mp4"
    )


def test_a_part_of_the_release_will_do(tmp_path: Path) -> None:
    assert [file.name for file in source("meld").files(str(release(tmp_path, ("dev",))), None)] == ["dev_sent_emo.csv"]


def test_what_is_no_release_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"holds no such file\n  expected: a folder with train_sent_emo\.csv"):
        read(tmp_path)
    (tmp_path / "other_sent_emo.csv").write_text(HEADER)
    with pytest.raises(WorkflowError, match="none of MELD's splits"):
        read(tmp_path)
    (tmp_path / "other_sent_emo.csv").unlink()
    (tmp_path / "dev_sent_emo.csv").write_text("a,b\n1,2\n")
    with pytest.raises(WorkflowError, match="the header lacks Utterance, Speaker"):
        read(tmp_path)
