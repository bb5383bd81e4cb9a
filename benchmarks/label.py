"""Labelling from feature files to label files, on one core: `python -m benchmarks.label`.

An archive over many days has made-up vectors of the published widths, in feature shards as extract writes them. Its
days are labelled one after another in this process, without Ray, as a worker would; beside it, in the same run, the
vectors alone are read, and the network alone scores the same conversations from memory.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from benchmarks.synthetic import ARCHIVE, DAYS, write_model, write_sources
from benchmarks.workload import DIMS
from sdt_model.bundle import Bundle
from sdt_model.config import Modality, ModelConfig
from sdt_model.inference import InferenceSDT
from sdt_model.predict import predict
from tasks.archive.days import feature_days
from tasks.archive.facts import DatedShardFacts, FeatureFacts
from tasks.archive.layout import features_folder, features_path, manifest_path
from tasks.archive.manifests import read_archive
from tasks.config.stages import IngestConfig, LabelConfig, RayConfig, Storage
from tasks.executor.shard import Shard, ShardOutput, run_shard, shard_columns
from tasks.extractors.base import Extracted
from tasks.features.reader import feature_folders, read_shard
from tasks.features.table import ROWS_A_GROUP, feature_rows
from tasks.ingest.stage import ingest
from tasks.label.stage import label
from tasks.registry.models import read_network
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace

LOCAL = RayConfig(address="local")


@dataclass(frozen=True)
class Rates:
    """Utterances a core second.

    Attributes:
        utterances: of the archive.
        whole: from feature files to label files.
        read: from feature files to arrays.
        network: the network alone, from arrays to scores.
    """

    utterances: int
    whole: float
    read: float
    network: float


def make_archive(folder: Path, utterances: int, days: int, hidden: int, storage: Storage) -> tuple[Workspace, Bundle]:
    """An archive with features and a model, in a new workspace."""
    workspace = Workspace(str(folder / "workspace"))
    bundle = write_model(workspace, DIMS, ModelConfig(hidden=hidden, heads=min(8, hidden // 4)))
    write_sources(folder / "sources", utterances, days)
    shards = max(1, utterances // 20_000)
    config = {"workspace": workspace.url, "archive": ARCHIVE, "ray": LOCAL}
    ingest(IngestConfig(**config, kind="table", path=str(folder / "sources"), shards=shards))
    for modality, dim in DIMS.items():
        _write_features(workspace, bundle, modality, dim, storage)
    return workspace, bundle


def _write_features(workspace: Workspace, bundle: Bundle, modality: Modality, dim: int, storage: Storage) -> None:
    archive, source = read_archive(workspace, ARCHIVE), bundle.features[modality]
    folder = features_folder(ARCHIVE, modality, source.fingerprint)
    chance = np.random.default_rng(dim)
    records = []
    for record in archive.shards:
        utterances = workspace.read_table(record.path)
        rows = utterances.num_rows
        vectors = chance.standard_normal((rows, dim), np.float32)
        keys: list[bytes | None] = [number.to_bytes(16, "little") for number in range(rows)]
        extracted = Extracted(vectors, np.ones(rows, bool), [None] * rows)
        table, counts = feature_rows(utterances, extracted, dim, folder, keys, storage)
        days = DatedShardFacts(days=feature_days(utterances, table))
        output = ShardOutput(table, counts, days, row_group_size=ROWS_A_GROUP)
        records.append(run_shard(workspace, Shard(record.index, features_path(folder, record)), lambda _, o=output: o))
    facts = FeatureFacts(
        modality=modality,
        extractor=source.extractor,
        extractor_fingerprint=source.fingerprint,
        dim=dim,
        archive_fingerprint=archive.fingerprint,
        storage=storage,
    )
    Manifest(
        stage=f"extract-{modality}",
        fingerprint=f"made-up-{modality}",
        shards=tuple(records),
        columns=shard_columns(workspace, records[0].path),
        facts=facts.plain(),
    ).write(workspace, manifest_path(folder))


def measure(workspace: Workspace, bundle: Bundle, batch: int) -> Rates:
    """Label everything once, then read it and score it apart."""
    archive = read_archive(workspace, ARCHIVE)
    folders, _ = feature_folders(workspace, archive, bundle, ARCHIVE)
    network = InferenceSDT(read_network(workspace, bundle))
    read, scored = 0.0, 0.0
    for record in archive.shards:
        began = time.process_time()
        features = read_shard(workspace, record, list(folders), bundle.emotions)
        read += time.process_time() - began
        began = time.process_time()
        predict(network, features.conversations, batch)
        scored += time.process_time() - began
    began = time.process_time()
    label(LabelConfig(workspace=workspace.url, archive=ARCHIVE, ray=LOCAL, batch_utterances=batch))
    whole = time.process_time() - began
    return Rates(archive.rows, archive.rows / whole, archive.rows / read, archive.rows / scored)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=60_000)
    parser.add_argument("--days", type=int, nargs="+", default=(1, DAYS))
    parser.add_argument("--hidden", type=int, nargs="+", default=(16, 128))
    parser.add_argument("--storage", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--batch", type=int, default=LabelConfig.model_fields["batch_utterances"].default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    for hidden in options.hidden:
        for days in options.days:
            with tempfile.TemporaryDirectory(prefix="label-") as scratch:
                workspace, bundle = make_archive(Path(scratch), options.utterances, days, hidden, options.storage)
                rates = measure(workspace, bundle, options.batch)
            rounded = {name: round(value) for name, value in vars(rates).items()}
            print(json.dumps({"hidden": hidden, "days": days} | rounded), flush=True)


if __name__ == "__main__":
    main()
