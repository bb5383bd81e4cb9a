"""What ingest, extract and label tell the stages after them: the facts in their manifests and shards.

The names on disk are those of the fields, or of their aliases. A field with a default is one that manifests of earlier
versions lack.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

from sdt_model.config import Frozen, Modality
from tasks.config.stages import Storage
from tasks.storage.manifest import Facts, ShardFacts

_Hexadecimal = Annotated[
    int,
    BeforeValidator(lambda value: int(value, 16) if isinstance(value, str) else value),
    PlainSerializer(lambda value: f"{value:032x}", return_type=str),
]


class DayContent(Frozen):
    """What some shards have of one day."""

    rows: int = 0
    """Utterances, or features."""
    content: _Hexadecimal = 0
    """Sum of the rows' hashes, modulo 2 ** 128."""


class PrecomputedFeatures(Frozen):
    """One modality's features that an archive came with, and that no extractor makes."""

    modality: Modality
    fingerprint: str
    """Stands for an extractor's, in the path of the features."""
    dim: int
    """Length of a vector."""


class IngestFacts(Facts):
    """Of an archive."""

    media_root: str
    """The folder that media URIs are relative to: a URL or an absolute path."""
    kind: str = ""
    """The kind of source."""
    sources: tuple[str, ...] = ()
    """Names of the source's files, in the order they were read."""
    precomputed: tuple[PrecomputedFeatures, ...] = Field((), alias="given")
    """Features that the source brought."""
    layout: str = ""
    """What the source's file is, as a person would call it, where it brought features."""
    reader: int = 1
    """How faulty values were read: `tasks.ingest.scan.READER_VERSION` of then."""


class FeatureFacts(Facts):
    """Of one modality's features of an archive."""

    modality: Modality
    extractor: str
    """As users type it."""
    extractor_fingerprint: str
    dim: int
    """Length of a vector."""
    storage: Storage = "float32"
    """Type of a vector's values on disk."""
    licence: str = ""
    """Of the extractor's weights, or of features that an archive came with."""
    archive_fingerprint: str
    """Fingerprint of the archive that they were made of; `Manifest.is_of` compares it."""


class LabelFacts(Facts):
    """Of one day's labels."""

    archive: str
    day: str
    """ISO date, or `tasks.config.date_range.UNDATED`."""
    content: str | None = None
    """Fingerprint of the day that the labels were made from."""
    model_id: str
    emotions: tuple[str, ...]
    """Class names of the model, in its order."""


class DatedShardFacts(ShardFacts):
    """Of a shard of utterances or of features."""

    days: dict[str, DayContent] | None = None
    """For each day its utterances and what they say, or its vectors and what they were made from; None where the shard
    was made before days were noted."""


class UtteranceShardFacts(DatedShardFacts):
    """Of an utterance shard."""

    conversations: int
    emotions: dict[str, int]
    """How many utterances are annotated with each emotion."""
    splits: tuple[str | None, ...]
    """The splits that its rows name; None among them where a row names none."""
