"""The pickles that the authors of SDT, MMGCN and COSMIC publish: utterances, labels, splits and ready features."""

from collections.abc import Iterator
from itertools import islice

import polars as pl

from tasks.archive.schema import UTTERANCES
from tasks.errors import WorkflowError
from tasks.sources.base import BATCH_ROWS, Given, SourceFile, find_files
from tasks.sources.pickles.published import LAYOUTS, Published, published
from tasks.sources.pickles.unpickler import unpickle

EXPECTED = f"one pickle of {', '.join(layout.name for layout in LAYOUTS)}"


class SdtPickle:
    """One file; a conversation's turns are numbered from 0, since it names none that mean anything elsewhere."""

    def files(self, path: str, media_root: str | None) -> list[SourceFile]:  # noqa: ARG002
        found = find_files(path, (".pkl", ".pickle", ".pk", ".p"), EXPECTED)
        if len(found) > 1:
            raise WorkflowError(f"{path} holds {len(found)} pickles: name one\n  expected: {EXPECTED}")
        return found

    def batches(self, file: SourceFile, media_root: str | None) -> Iterator[pl.DataFrame]:  # noqa: ARG002
        rows = _rows(_read(file))
        nothing = dict.fromkeys(("problem", "content", *UTTERANCES.names))
        schema = {**dict.fromkeys(nothing, pl.String), "row": pl.Int64, "ready": pl.Boolean}
        while batch := list(islice(rows, BATCH_ROWS)):
            yield pl.DataFrame([{**nothing, **row} for row in batch], schema=schema, orient="row")

    def features(self, file: SourceFile) -> Given:
        found = _read(file)
        return Given(found.layout.name, found.dims, list(found.keys), found.vectors)


def _read(file: SourceFile) -> Published:
    content = unpickle(file)
    try:
        return published(content, file.size)
    except WorkflowError as error:
        raise WorkflowError(f"{file.url}: {error}") from None


def _rows(found: Published) -> Iterator[dict[str, object]]:
    number = 0
    for conversation in found.conversations():
        spoken = zip(conversation.speakers, conversation.texts, conversation.emotions, strict=True)
        for turn, (speaker, text, emotion) in enumerate(spoken):
            number += 1
            yield {
                "conversation_id": conversation.id, "turn": str(turn), "speaker": speaker, "text": text,
                "emotion": emotion, "split": conversation.split, "row": number, "ready": True,
            }  # fmt: skip
