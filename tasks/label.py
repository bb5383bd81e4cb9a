"""Label: feature shards and a bundle to label rows, exactly one per utterance, in a folder for each day."""

import logging
from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import polars as pl
import torch
from pydantic import Field

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen
from sdt_model.model import SDT
from sdt_model.predict import predict
from tasks.archive import conversation_days, features_folder, has_modality, read_archive
from tasks.config import LabelConfig
from tasks.errors import WorkflowError
from tasks.features import FeatureFolder, complete_features, read_shard
from tasks.label_rows import label_counts, label_rows
from tasks.manifest import MANIFEST, Manifest, ShardRecord, fingerprint, read_manifest
from tasks.models import find_bundle, read_network
from tasks.schema import conform, labels_schema
from tasks.stage import Shard, ShardFunction, ShardOutput, fan_out, shard_columns
from tasks.workspace import Workspace

log = logging.getLogger("sdt.label")

CODE_VERSION = 2
UNDATED = "__HIVE_DEFAULT_PARTITION__"  # what Hive calls the partition of a null


class LabelReport(Frozen):
    """What a labelling run made."""

    rows: int
    """Label rows; one per utterance."""
    ok: int = Field(ge=0)
    """Labelled from every modality of the model."""
    degraded: int = Field(ge=0)
    """Labelled from some of them."""
    failed: int = Field(ge=0)
    """Nothing to label from; the row says why."""
    emotions: dict[str, int]
    """How many utterances got each emotion."""
    model_id: str
    """The model that labelled."""
    run_id: str
    """Fingerprint of the inputs and the model; in every row."""
    folder: str
    """Where the labels are, relative to the workspace."""


@dataclass(frozen=True)
class LabelPlan:
    """What every worker is told."""

    workspace: Workspace
    bundle: Bundle
    folders: tuple[FeatureFolder, ...]
    run_id: str
    batch_utterances: int


def label(config: LabelConfig) -> LabelReport:
    """Label every utterance of the archive.

    Raises:
        WorkflowError: no such archive or model, or no features of the model's extractors.
        StageFailed: some shards could not be labelled.
    """
    workspace = Workspace(config.workspace)
    archive = read_archive(workspace, config.archive)
    bundle = find_bundle(workspace, config.model)
    folders, made_from = feature_folders(workspace, archive, bundle, config.archive)
    run_id = fingerprint(CODE_VERSION, archive.fingerprint, made_from, bundle.model_id, config.batch_utterances)
    plan = LabelPlan(workspace, bundle, folders, run_id, config.batch_utterances)
    days = _shards_by_day(archive, config.archive, run_id)
    found = {day: read_manifest(workspace, _manifest_path(config.archive, day)) for day in days}
    missing = [day for day in days if (there := found[day]) is None or there.fingerprint != run_id]
    records = fan_out("label", [s for day in missing for s in days[day]], partial(prepare, plan), config)
    for day in missing:
        found[day] = _finish_day(workspace, config.archive, day, days[day], records, plan)
    finished = [manifest for manifest in found.values() if manifest is not None]
    return _report(finished, archive, bundle, run_id, config.archive)


def feature_folders(
    workspace: Workspace, archive: Manifest, bundle: Bundle, name: str
) -> tuple[tuple[FeatureFolder, ...], list[str]]:
    """Where the features that the bundle needs lie, and the fingerprints of their manifests.

    Raises:
        WorkflowError: the archive has a modality, and no complete features of it by the bundle's extractor.
    """
    folders: list[FeatureFolder] = []
    made_from: list[str] = []
    for modality, source in bundle.features.items():
        folder = features_folder(name, modality, source.fingerprint)
        manifest = complete_features(workspace, name, modality, source.fingerprint)
        if manifest is None and not has_modality(archive, modality):
            folders.append(FeatureFolder(modality, source.dim, None))
        elif manifest is None or manifest.facts["archive_fingerprint"] != archive.fingerprint:
            others = {path.split("/")[3] for path in workspace.files(f"features/{name}/{modality}")}
            raise WorkflowError(
                f"model {bundle.model_id} takes {modality} features of {source.extractor} ({source.fingerprint}), "
                f"and archive {name!r} has no complete ones in {folder}\n"
                f"  there: features of {', '.join(sorted(others)) or 'no extractor'}\n"
                f"  make them with: sdt extract {name} {source.assignment(modality)}\n"
                "  if they are there under another fingerprint, the extractor has changed since training: train again"
            )
        else:
            folders.append(FeatureFolder(modality, source.dim, folder))
            made_from.append(manifest.fingerprint)
    return tuple(folders), made_from


def prepare(plan: LabelPlan) -> ShardFunction:
    """Load the model once and return the function that labels a shard with it."""
    network = read_network(plan.workspace, plan.bundle)
    if torch.cuda.is_available():
        network.cuda()
    return partial(label_shard, plan, network)


def label_shard(plan: LabelPlan, network: SDT, shard: Shard) -> ShardOutput:
    """Label the conversations of one day in one utterance shard."""
    record = ShardRecord.model_validate(shard.payload["utterances"])
    features = read_shard(plan.workspace, record, list(plan.folders), plan.bundle.emotions)
    predictions = predict(network, features.conversations, plan.batch_utterances, plan.bundle.calibration_temperature)
    rows = label_rows(features, predictions, plan.bundle, plan.run_id)
    chosen = rows.filter(_on_day(features.utterances, shard.payload["day"]).to_arrow())
    return ShardOutput(conform(chosen, labels_schema(plan.bundle.emotions), shard.path), label_counts(chosen))


def _on_day(utterances: pl.DataFrame, day: str | None) -> pl.Series:
    days = conversation_days(utterances)
    return days.is_null() if day is None else (days == day).fill_null(False)


def _shards_by_day(archive: Manifest, name: str, run_id: str) -> dict[str | None, list[Shard]]:
    days: dict[str | None, list[Shard]] = defaultdict(list)
    index = 0
    for record in archive.shards:
        for day in record.facts["dates"]:
            path = f"{_day_folder(name, day)}/part-{record.index:05d}-{run_id}.parquet"
            payload = {"utterances": record.model_dump(), "day": day}
            days[day].append(Shard(index, path, payload))
            index += 1
    return dict(days)


def _day_folder(name: str, day: str | None) -> str:
    return f"labels/{name}/date={day or UNDATED}"


def _manifest_path(name: str, day: str | None) -> str:
    return f"{_day_folder(name, day)}/{MANIFEST}"


def _finish_day(
    workspace: Workspace,
    name: str,
    day: str | None,
    shards: list[Shard],
    records: dict[int, ShardRecord],
    plan: LabelPlan,
) -> Manifest:
    """Make a day's new labels the current ones, in one step, then remove those they replace."""
    manifest = Manifest(
        stage="label",
        fingerprint=plan.run_id,
        shards=tuple(records[shard.index] for shard in shards),
        columns=shard_columns(workspace, shards[0].path),
        facts={"archive": name, "day": day, "model_id": plan.bundle.model_id, "emotions": list(plan.bundle.emotions)},
    )
    manifest.write(workspace, _manifest_path(name, day))
    current = {shard.path for shard in shards} | {_manifest_path(name, day)}
    for path in workspace.files(_day_folder(name, day)):
        if path not in current:
            workspace.remove(path)
    return manifest


def _report(days: list[Manifest], archive: Manifest, bundle: Bundle, run_id: str, name: str) -> LabelReport:
    counts: dict[str, int] = defaultdict(int)
    for manifest in days:
        for key, value in manifest.counts.items():
            counts[key] += value
    rows = sum(manifest.rows for manifest in days)
    if rows != archive.rows:
        raise WorkflowError(
            f"archive {name!r} has {archive.rows} utterances, and {rows} were labelled\n"
            f"  remove {f'labels/{name}'} and run `sdt label {name}` again; if it comes back, this is a fault of label"
        )
    return LabelReport(
        rows=rows,
        ok=counts["ok"],
        degraded=counts["degraded"],
        failed=counts["failed"],
        emotions={emotion: counts[f"emotion.{emotion}"] for emotion in bundle.emotions},
        model_id=bundle.model_id,
        run_id=run_id,
        folder=f"labels/{name}",
    )
