"""A small made-up archive with made-up features, laid out as ingest and extract leave them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from sdt_model.config import MODALITIES, Modality
from tasks.archive import archive_manifest_path, features_folder, features_path, utterances_folder
from tasks.config import ExtractorNames
from tasks.days import said_by_day
from tasks.extractors import extractor_spec
from tasks.manifest import MANIFEST, Manifest, ShardRecord
from tasks.schema import UTTERANCES, conform, features_schema
from tasks.shards import Shard, ShardOutput, run_shard, shard_columns
from tasks.workspace import Workspace

EMOTIONS = ("anger", "joy", "neutral")
DAYS = [datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 2, 12, tzinfo=UTC), None]


def archive(
    workspace: Workspace,
    name: str = "made",
    conversations: int = 36,
    shards: int = 3,
    modalities: tuple[Modality, ...] = MODALITIES,
    missing: float = 0.1,
    seed: int = 0,
) -> Manifest:
    """Write utterance and feature shards whose vectors follow the emotion; ``missing``: the chance of no vector."""
    tables = [_utterances(range(k, conversations, shards), seed) for k in range(shards)]
    folder = utterances_folder(name, f"made-{seed}")
    records = []
    for k, table in enumerate(tables):
        shard = Shard(k, f"{folder}/part-{k:05d}.parquet")
        output = ShardOutput(
            table, {"accepted": table.num_rows, "labelled": table.num_rows, **_counts(table, modalities)}, _facts(table)
        )
        records.append(run_shard(workspace, shard, lambda _, output=output: output))
    manifest = Manifest(
        stage="ingest",
        fingerprint=f"made-{seed}",
        shards=tuple(records),
        columns=shard_columns(workspace, records[0].path),
        facts={"media_root": workspace.url},
    )
    manifest.write(workspace, archive_manifest_path(name))
    for modality in modalities:
        features(workspace, name, manifest, tables, modality, missing, seed)
    return manifest


def features(
    workspace: Workspace,
    name: str,
    archive: Manifest,
    tables: list[pa.Table],
    modality: Modality,
    missing: float,
    seed: int,
) -> None:
    """Write one modality's features as its default extractor would."""
    spec = extractor_spec(modality, ExtractorNames().of(modality))
    folder = features_folder(name, modality, spec.fingerprint)
    centres = np.random.default_rng(len(modality)).standard_normal((len(EMOTIONS), spec.dim))
    records: list[ShardRecord] = []
    for record, table in zip(archive.shards, tables, strict=True):
        chance = np.random.default_rng([seed, record.index, len(modality)])
        classes = [EMOTIONS.index(emotion) for emotion in table["emotion"].to_pylist()]
        vectors = (centres[classes] + 3 * chance.standard_normal((len(classes), spec.dim))).astype(np.float32)
        gone = chance.random(len(classes)) < missing
        values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), spec.dim, mask=pa.array(gone))
        why = pa.array(["no such file" if flag and i % 2 else None for i, flag in enumerate(gone)], pa.string())
        made = pa.table({**{key: table[key] for key in ("conversation_id", "turn")}, "vector": values, "reason": why})
        made = made.append_column("made_from", pa.nulls(made.num_rows, pa.binary(16)))
        counts = {"rows": len(gone), "present": int((~gone).sum()), "failed": len(gone) - why.null_count}
        counts["absent"] = counts["rows"] - counts["present"] - counts["failed"]
        output = ShardOutput(conform(_nullable(made, spec.dim), features_schema(spec.dim), "made"), counts)
        shard = Shard(record.index, features_path(folder, record))
        records.append(run_shard(workspace, shard, lambda _, output=output: output))
    facts = {"archive_fingerprint": archive.fingerprint, "extractor": spec.name, "dim": spec.dim}
    Manifest(
        stage=f"extract-{modality}",
        fingerprint=f"{archive.fingerprint}-{modality}",
        shards=tuple(records),
        columns=shard_columns(workspace, records[0].path),
        facts=facts,
    ).write(workspace, f"{folder}/{MANIFEST}")


def stamps(workspace: Workspace, below: str = "") -> dict[str, tuple[int, int]]:
    """A file that was written anew is another file; how long each shard took is left out."""
    files = [path for path in workspace.files(below) if "/timing/" not in path]
    states = {path: Path(workspace.path(path)).stat() for path in files}
    return {path: (state.st_ino, state.st_mtime_ns) for path, state in states.items()}


def _nullable(table: pa.Table, dim: int) -> pa.Table:
    return table.cast(pa.schema([pa.field(f.name, f.type) for f in features_schema(dim)]))


def _utterances(conversations: range, seed: int) -> pa.Table:
    rows = [row for number in conversations for row in _conversation(number, seed)]
    return pa.Table.from_pylist(rows, schema=UTTERANCES)


def _conversation(number: int, seed: int) -> list[dict[str, object]]:
    chance = np.random.default_rng([seed, number])
    begin, split = DAYS[number % 3], ("train", "train", "dev", "test")[number // 3 % 4]
    nothing = dict.fromkeys(("audio", "video", "start_s", "end_s"))
    return [
        {
            **nothing, "conversation_id": f"c{number:03d}", "turn": 2 * turn, "speaker": f"s{chance.integers(0, 3)}",
            "text": "made up", "emotion": str(chance.choice(EMOTIONS)), "split": split,
            # Past midnight a conversation still belongs to the day on which it began.
            "occurred_at": begin and begin + timedelta(hours=3 * turn),
        }
        for turn in range(int(chance.integers(1, 9)))
    ]  # fmt: skip


def _counts(table: pa.Table, modalities: tuple[Modality, ...]) -> dict[str, int]:
    columns = {"text": "text", "audio": "audio", "visual": "video"}
    return {column: table.num_rows if name in modalities else 0 for name, column in columns.items()}


def _facts(table: pa.Table) -> dict[str, object]:
    emotions = table["emotion"].to_pylist()
    return {
        "days": said_by_day(pl.DataFrame(pl.from_arrow(table))),
        "emotions": {name: emotions.count(name) for name in EMOTIONS},
        "splits": sorted(set(table["split"].to_pylist())),
    }
