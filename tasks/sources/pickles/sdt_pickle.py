"""The pickles that the authors of SDT, MMGCN and COSMIC publish: utterances, labels, splits and features."""

from collections.abc import Iterator
from itertools import islice

import polars as pl

from tasks.archive.schema import UTTERANCES
from tasks.errors import WorkflowError
from tasks.sources.base import BATCH_ROWS, SourceFeatures, SourceFile, find_files
from tasks.sources.pickles.isolated import Contents, read_published
from tasks.sources.pickles.published import LAYOUTS

EXPECTED = f"one pickle of {', '.join(layout.name for layout in LAYOUTS)}"


class SdtPickle:
    """Reader of one pickle. It numbers no turns, so those of a conversation count from 0."""

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:  # noqa: ARG002
        files = find_files(path, (".pkl", ".pickle", ".pk", ".p"), EXPECTED)
        if len(files) > 1:
            raise WorkflowError(f"{path} holds {len(files)} pickles: name one\n  expected: {EXPECTED}")
        return files

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:  # noqa: ARG002
        rows = _rows(read_published(file))
        empty = dict.fromkeys(("problem", "content", *UTTERANCES.names))
        schema = {**dict.fromkeys(empty, pl.String), "row": pl.Int64, "ready": pl.Boolean}
        while batch := list(islice(rows, BATCH_ROWS)):
            yield pl.DataFrame([{**empty, **row} for row in batch], schema=schema, orient="row")

    def features(self, file: SourceFile) -> SourceFeatures:
        content = read_published(file)
        names = [conversation.id for conversation in content.conversations]
        return SourceFeatures(content.layout, content.dims, names, content.vectors)


def _rows(content: Contents) -> Iterator[dict[str, object]]:
    """The utterances as canonical values, numbered through the whole file."""
    number = 0
    for conversation in content.conversations:
        spoken = zip(conversation.speakers, conversation.texts, conversation.emotions, strict=True)
        for turn, (speaker, text, emotion) in enumerate(spoken):
            number += 1
            yield {
                "conversation_id": conversation.id, "turn": str(turn), "speaker": speaker, "text": text,
                "emotion": emotion, "split": conversation.split, "row": number, "ready": True,
            }  # fmt: skip
