"""Label: feature shards and a bundle to label rows, exactly one per utterance, in a folder for each day.

A day's labels depend on its own conversations, their features and the model, on no other day: an archive that grows
keeps the labels of its earlier days. A conversation belongs to the day on which it began (`tasks.archive.days`). What
comes in later, the rest of a conversation past midnight or an utterance that arrives late, changes that day; it is
labelled again when it is next asked for or looked back to, and until then the report names it as out of date.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from pydantic import Field

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen
from sdt_model.inference import FoldedSDT
from sdt_model.ops.malloc import keep_freed_memory
from sdt_model.predict import predict
from tasks.archive.layout import read_archive
from tasks.archive.schema import conform, labels_schema
from tasks.config.date_range import Period
from tasks.config.stages import LabelConfig
from tasks.errors import WorkflowError
from tasks.executor.fan_out import fan_out
from tasks.executor.shard import Shard, ShardFunction, ShardOutput, shard_columns
from tasks.features.reader import FeatureFolder, feature_folders
from tasks.label.days import CONTENT, Day, all_out_of_date, archive_days, chosen_days
from tasks.label.drift import Drift, drifts
from tasks.label.layout import clear_day, day_folder, day_manifest, label_files, label_path, labelled_days
from tasks.label.reader import DayReader
from tasks.label.rows import emotion_counts, label_counts, label_rows
from tasks.registry.models import find_bundle, read_network
from tasks.storage.lease import Lease, labels_of, lease
from tasks.storage.manifest import Manifest, ShardRecord, fingerprint
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.label")

CODE_VERSION = 4
_ACTIVATIONS = 128 * 2**20  # bytes; a block of more is a shard's features, and no two shards' are of one size


class LabelReport(Frozen):
    """What a labelling run made."""

    rows: int
    """Label rows of these days; one per utterance."""
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
    folder: str
    """Where the labels are, relative to the workspace."""
    period: Period
    """The days that were asked for."""
    days: dict[str, int]
    """Label rows of each day that was asked for, or looked back to and out of date."""
    made: tuple[str, ...]
    """Those of them whose labels were made in this run; the others were there."""
    outdated: dict[str, str]
    """Days whose labels are not those of their conversations, and why: they were not asked for."""
    drifts: tuple[Drift, ...] = ()
    """How far the emotions are from what the model was trained on, and from the days before."""


@dataclass(frozen=True)
class LabelPlan:
    """What every worker is told."""

    workspace: Workspace
    archive: str
    bundle: Bundle
    folders: tuple[FeatureFolder, ...]
    batch_utterances: int

    def run_id(self, day: Day) -> str:
        """In every row of the day: the fingerprint of all that its labels depend on."""
        made_by = [source.fingerprint for source in self.bundle.features.values()]
        return fingerprint(CODE_VERSION, day.content, made_by, self.bundle.model_id, self.batch_utterances)


def label(config: LabelConfig, run: str = "") -> LabelReport:
    """Label the utterances of an archive's days; those whose labels are there are left as they are.

    ``run`` is how a second run that finds these days taken is told who has them.

    Raises:
        WorkflowError: no such archive or model, no features of the model's extractors, or another run labels the days.
        StageFailed: some shards could not be labelled.
    """
    workspace = Workspace(config.workspace)
    archive = read_archive(workspace, config.archive)
    bundle = find_bundle(workspace, config.model)
    folders, features = feature_folders(workspace, archive, bundle, config.archive)
    plan = LabelPlan(workspace, config.archive, bundle, folders, config.batch_utterances)
    days = archive_days(archive, config.archive, features)
    with lease(workspace, labels_of(config.archive, config.reach), config.lease_s, run) as held:
        files = label_files(workspace, config.archive)
        labelled = labelled_days(workspace, files)
        chosen = chosen_days(config, days, labelled)
        missing = [day for day in chosen if not _is_current(plan, day, labelled.get(day.name))]
        labelled |= _label_days(plan, config, missing, held)
        for name in files:
            if name not in days and config.reach.holds(name):
                held.check()
                clear_day(workspace, config.archive, name, None)
                labelled.pop(name, None)
            elif name in labelled and config.reach.holds(name) and len(files[name]) > len(labelled[name].shards) + 1:
                clear_day(workspace, config.archive, name, labelled[name])  # a run died before it had tidied up
    made = tuple(day.name for day in missing)
    return _report(config, bundle, chosen, labelled, made, all_out_of_date(days, labelled))


def _is_current(plan: LabelPlan, day: Day, manifest: Manifest | None) -> bool:
    return manifest is not None and manifest.fingerprint == plan.run_id(day)


def _label_days(plan: LabelPlan, config: LabelConfig, days: list[Day], held: Lease) -> dict[str, Manifest]:
    shards = _shards_by_day(plan, days)
    every = [shard for day in days for shard in shards[day.name]]
    records = fan_out("label", every, partial(prepare, plan), config) if every else {}
    found = {}
    for day in days:
        held.check()
        found[day.name] = _finish_day(plan, day, shards[day.name], records)
    return found


def prepare(plan: LabelPlan) -> ShardFunction:
    """Load the model once and return the function that labels a shard with it."""
    keep_freed_memory(up_to=_ACTIVATIONS)
    network = read_network(plan.workspace, plan.bundle)
    if torch.cuda.is_available():
        network.cuda()
    return partial(label_shard, plan, FoldedSDT(network), DayReader(plan.workspace, plan.folders, plan.bundle.emotions))


def label_shard(plan: LabelPlan, network: FoldedSDT, reader: DayReader, shard: Shard) -> ShardOutput:
    """Label the conversations of one day in one utterance shard."""
    told = shard.payload  # of the day alone: nothing else takes part in its labels
    features = reader.read(told["utterances"], told["day"], told["days"])
    predictions = predict(network, features.conversations, plan.batch_utterances, plan.bundle.calibration_temperature)
    rows = label_rows(features, predictions, plan.bundle, told["run_id"])
    return ShardOutput(conform(rows, labels_schema(plan.bundle.emotions), shard.path), label_counts(rows))


def _shards_by_day(plan: LabelPlan, days: list[Day]) -> dict[str, list[Shard]]:
    """A shard for each day and utterance shard that holds some of it; those of one utterance shard follow another."""
    wanted: dict[str, set[str]] = defaultdict(set)
    records: dict[str, ShardRecord] = {}
    for day in days:
        for record in day.shards:
            wanted[record.path].add(day.name)
            # There are as many tasks as days and shards, and what a shard's record says of its days would be in each.
            records.setdefault(record.path, record.model_copy(update={"facts": {}, "counts": {}}))
    named = {path: frozenset(names) for path, names in wanted.items()}
    shards: dict[str, list[Shard]] = {}
    index = 0
    for day in days:
        run_id = plan.run_id(day)
        shards[day.name] = []
        for record in day.shards:
            told = {"utterances": records[record.path], "day": day.name, "days": named[record.path], "run_id": run_id}
            path = label_path(plan.archive, day.name, record.index, run_id)
            shards[day.name].append(Shard(index, path, told, source=record.path))
            index += 1
    return shards


def _finish_day(plan: LabelPlan, day: Day, shards: list[Shard], records: Mapping[int, ShardRecord]) -> Manifest:
    """Make a day's new labels the current ones, in one step, then remove those they replace.

    Raises:
        WorkflowError: they are not one for each utterance.
    """
    bundle = plan.bundle
    manifest = Manifest(
        stage="label",
        fingerprint=plan.run_id(day),
        shards=tuple(records[shard.index] for shard in shards),
        columns=shard_columns(plan.workspace, shards[0].path),
        facts={
            "archive": plan.archive,
            "day": day.name,
            CONTENT: day.content,
            "model_id": bundle.model_id,
            "emotions": list(bundle.emotions),
        },
    )
    if manifest.rows != day.rows:
        raise WorkflowError(
            f"{day_folder(plan.archive, day.name)}: {manifest.rows} utterances were labelled, and archive "
            f"{plan.archive!r} has {day.rows} of this day\n"
            "  remove the folder and label the day again; if it comes back, this is a fault of label"
        )
    manifest.write(plan.workspace, day_manifest(plan.archive, day.name))
    clear_day(plan.workspace, plan.archive, day.name, manifest)
    return manifest


def _report(
    config: LabelConfig,
    bundle: Bundle,
    chosen: list[Day],
    labelled: Mapping[str, Manifest],
    made: tuple[str, ...],
    outdated: dict[str, str],
) -> LabelReport:
    counts: Counter[str] = Counter()
    for day in chosen:
        counts.update(labelled[day.name].counts)
    found = emotion_counts(counts)
    emotions = {emotion: found[emotion] for emotion in bundle.emotions}
    return LabelReport(
        rows=sum(day.rows for day in chosen),
        ok=counts["ok"],
        degraded=counts["degraded"],
        failed=counts["failed"],
        emotions=emotions,
        model_id=bundle.model_id,
        folder=f"labels/{config.archive}",
        period=config.period,
        days={day.name: day.rows for day in chosen},
        made=made,
        outdated=outdated,
        drifts=drifts(bundle, config.period, emotions, labelled),
    )
