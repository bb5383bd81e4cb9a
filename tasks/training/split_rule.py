"""Which annotated conversations are train, dev and test. Imports no torch."""

import zlib
from collections.abc import Iterator
from typing import Literal

import polars as pl

from sdt_model.config import Frozen
from tasks.archive.facts import UtteranceShardFacts
from tasks.errors import WorkflowError
from tasks.storage.manifest import Manifest

NAMES = {
    "train": "train", "trn": "train", "dev": "dev", "val": "dev", "valid": "dev", "validation": "dev", "test": "test",
    "tst": "test",
}  # fmt: skip
SplitName = Literal["train", "dev", "test"]


class SplitRule(Frozen):
    """Which conversation goes where: by its own split, else by a stable hash of its id."""

    dev_fraction: float
    """Share of conversations without a split that become dev."""
    test_fraction: float
    """Share of conversations without a split that become test."""
    dev_from_train: bool
    """No conversation is marked dev: take that share of the train ones."""

    def split(self, conversation_id: str, named: str | None) -> str | None:
        """train, dev or test; None for a conversation marked as anything else, which is left out."""
        place = zlib.crc32(conversation_id.encode()) / 2**32
        if named is None:
            held_out = self.dev_fraction + self.test_fraction
            return "dev" if place < self.dev_fraction else "test" if place < held_out else "train"
        name = NAMES.get(named.lower())
        return "dev" if name == "train" and self.dev_from_train and place < self.dev_fraction else name


def split_rule(archive: Manifest, dev_fraction: float, test_fraction: float) -> SplitRule:
    """The rule for an archive, from the splits that its ingest found."""
    splits = {split for shard in archive.shards for split in UtteranceShardFacts.of(shard).splits}
    names = {NAMES.get(split.lower()) for split in splits if split is not None}
    # Those without a split may bring dev conversations, or none that is annotated: train gives its share in any case.
    return SplitRule(
        dev_fraction=dev_fraction, test_fraction=test_fraction, dev_from_train="train" in names and "dev" not in names
    )


def named_splits(utterances: pl.DataFrame) -> Iterator[tuple[str, str | None]]:
    """Each conversation of a shard, in its order, and the split that its rows name, if they name one.

    Raises:
        WorkflowError: a conversation's rows name several.
    """
    named = pl.col("split").drop_nulls()
    conversations = utterances.group_by("conversation_id", maintain_order=True).agg(
        named.first(), several=named.str.to_lowercase().unique().sort()
    )
    for conversation_id, split, several in conversations.iter_rows():
        if len(several) > 1:
            raise WorkflowError(
                f"conversation {conversation_id!r} is in several splits: {', '.join(several)}\n"
                "  its utterances are context for each other: give all of them the same `split`"
            )
        yield conversation_id, split
