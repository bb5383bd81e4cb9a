"""Keys by content: what an utterance's vector is made from. Where keys are equal, an extractor's vectors are too.

A key stands in its row of a feature shard, so that a later run finds what need not be made again.
"""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

import pyarrow as pa

from tasks.archive.schema import MADE_FROM_BYTES
from tasks.extractors.base import ExtractorSpec
from tasks.extractors.loop import PICTURES, SOUND
from tasks.extractors.media.files import MediaRoot

Keys = list[bytes | None]

_ASKED_AT_ONCE = 16  # a store takes its time to say what a file's version is


def content_keys(utterances: pa.Table, spec: ExtractorSpec, media: MediaRoot) -> Keys:
    """A key for each utterance; None where an extractor of this modality is given nothing."""
    if spec.modality != "text":
        return _of_media(utterances, SOUND if spec.modality == "audio" else PICTURES, media)
    if spec.reads == "conversation":
        return list(_of_conversations(utterances))
    return [None if text is None else _key(text) for text in utterances["text"].to_pylist()]


def _of_media(utterances: pa.Table, columns: tuple[str, ...], media: MediaRoot) -> Keys:
    """The file's version, or what is wrong with it, and the stretch; its name too, as its ending says what it is."""
    rows = utterances.select([*columns, "start_s", "end_s"]).to_pylist()
    uris = [next((row[name] for name in columns if row[name]), None) for row in rows]
    distinct = sorted({uri for uri in uris if uri is not None})
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        states = dict(zip(distinct, pool.map(media.state, distinct), strict=True))
    return [
        None if uri is None else _key(uri, states[uri], row["start_s"], row["end_s"])
        for uri, row in zip(uris, rows, strict=True)
    ]


def _of_conversations(utterances: pa.Table) -> Iterator[bytes | None]:
    """All that is said in the conversation and by whom, its name, and the utterance's place among them."""
    rows = utterances.select(["conversation_id", "speaker", "text"]).to_pylist()
    for name, turns in groupby(rows, key=lambda row: row["conversation_id"]):
        spoken_turns = [(row["speaker"], row["text"]) for row in turns]
        whole = _key(name, [turn for turn in spoken_turns if turn[1] is not None])
        spoken = 0
        for _, text in spoken_turns:
            yield None if text is None else _key(whole.hex(), spoken)
            spoken += text is not None


def _key(*parts: object) -> bytes:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=MADE_FROM_BYTES).digest()
