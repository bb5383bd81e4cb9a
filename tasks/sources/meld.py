"""The MELD release: a CSV file a split ({split}_sent_emo.csv) and a clip an utterance (dia{d}_utt{u}.mp4)."""

from collections.abc import Iterator

import polars as pl

from tasks.errors import WorkflowError
from tasks.sources.base import CANONICAL, SourceFile, find_files
from tasks.sources.tables.delimited import csv_batches
from tasks.storage.filesystem import is_folder, open_url

COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
EXPECTED = "a folder with train_sent_emo.csv, dev_sent_emo.csv or test_sent_emo.csv, as in the MELD release"
# Where the release keeps each split's clips, or where people who unpack it put them.
_CLIPS = {
    "train": ("train_splits", "train"),
    "dev": ("dev_splits_complete", "dev"),
    "test": ("output_repeated_splits_test", "test"),
}


class Meld:
    """Reader of the release's three CSV files; a clip holds one utterance, so there are no spans."""

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:  # noqa: ARG002
        by_split = {_split(file): file for file in find_files(path, ("_sent_emo.csv",), EXPECTED)}
        unknown = sorted(set(by_split) - set(_CLIPS))
        if unknown:
            raise WorkflowError(f"{path}: {unknown[0]}_sent_emo.csv is none of MELD's splits\n  expected: {EXPECTED}")
        return [by_split[split] for split in _CLIPS if split in by_split]

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:
        split = _split(file)
        folder = None if media_root is None else _clip_folder(media_root, split)
        dialogue, utterance = pl.col("Dialogue_ID").str.strip_chars(), pl.col("Utterance_ID").str.strip_chars()
        clip = pl.format("{}dia{}_utt{}.mp4", pl.lit(folder), dialogue, utterance)
        columns = {
            "conversation_id": pl.when(dialogue != "").then(pl.format("{}-dia{}", pl.lit(split), dialogue)),
            "turn": utterance,
            "speaker": pl.col("Speaker"),
            "text": pl.col("Utterance"),
            "video": pl.lit(None, pl.String) if folder is None else clip,
            "emotion": pl.col("Emotion").str.to_lowercase(),
            "split": pl.lit(split),
        }
        absent = {name: pl.lit(None, pl.String) for name in CANONICAL if name not in columns}
        for values, notes in csv_batches(file, COLUMNS):
            yield values.select(**columns, **absent).hstack(notes)


def _split(file: SourceFile) -> str:
    return file.name.rsplit("/", 1)[-1].removesuffix("_sent_emo.csv")


def _clip_folder(media_root: str, split: str) -> str:
    """Find the folder of a split's clips, relative to the media root, with a closing slash; empty if they lie flat."""
    fs, root = open_url(media_root)
    for folder in _CLIPS[split]:
        if is_folder(fs, f"{root}/{folder}"):
            return f"{folder}/"
    return ""
