"""Extract: utterance shards to feature shards, one stage for each modality; an actor loads its model once.

Only what changed is made: a shard whose utterances are as they were keeps its file, and of another one the rows that
an earlier file holds are copied. A worker in whose shards all rows are copied loads no model.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import pyarrow as pa

from sdt_model.config import Modality
from tasks.archive.days import feature_days
from tasks.archive.facts import DatedShardFacts, FeatureFacts, IngestFacts
from tasks.archive.layout import features_folder, features_path, manifest_path, shard_number, timing_path
from tasks.archive.leases import features_of
from tasks.archive.manifests import has_modality, read_archive
from tasks.archive.repair import reading
from tasks.archive.schema import TIMING
from tasks.config.stages import ExtractConfig
from tasks.errors import WorkflowError
from tasks.executor.shard import Shard, ShardFunction, ShardOutput
from tasks.executor.stage import Stage, finished, run_stage
from tasks.executor.watchdog import Watch
from tasks.extract.cache import Earlier, copy_rows
from tasks.extract.inputs import usable_inputs
from tasks.extractors.base import Extracted, Extractor, ExtractorSpec
from tasks.extractors.media.files import MediaRoot
from tasks.extractors.registry import chosen_spec
from tasks.features.content_keys import content_keys
from tasks.features.precomputed import chosen_precomputed, precomputed_manifest
from tasks.features.table import ROWS_A_GROUP, feature_rows
from tasks.storage.lease import Lease, lease
from tasks.storage.manifest import Aside, Manifest, ShardFacts, ShardRecord, fingerprint, usable_manifest
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.extract")

CODE_VERSION = 2


@dataclass(frozen=True)
class ExtractPlan:
    """What every worker needs to know."""

    workspace: Workspace
    spec: ExtractorSpec
    media: MediaRoot
    earlier: Earlier


def extract(config: ExtractConfig, modality: Modality, run: str = "") -> Manifest | None:
    """Make one modality's features of every utterance; None where the archive has nothing of the modality.

    ``run`` is how a second run that would make the same features is told who does.

    Raises:
        WorkflowError: no such archive, no such extractor, or another run makes them, or changed the archive meanwhile.
        StageFailed: some shards could not be done.
    """
    workspace = Workspace(config.workspace)
    archive = read_archive(workspace, config.archive)
    if (precomputed := chosen_precomputed(archive, config.archive, config.extractors, modality)) is not None:
        return precomputed_manifest(workspace, config.archive, precomputed, config.check)
    spec = chosen_spec(modality, config.extractors, workspace)
    if not has_modality(archive, modality):
        log.info("extract-%s: archive %s has none, passed over", modality, config.archive)
        return None
    folder = features_folder(config.archive, modality, spec.fingerprint)
    before = usable_manifest(workspace, manifest_path(folder))
    stage = extract_stage(workspace, config, archive, spec, before)
    if not changed_aside(stage, before) and (manifest := finished(stage, config)) is not None:
        return manifest
    with lease(workspace, features_of(config.archive, modality, spec.fingerprint), config.lease_s, run) as claim:
        return _make(workspace, config, spec, claim)


def _make(workspace: Workspace, config: ExtractConfig, spec: ExtractorSpec, claim: Lease) -> Manifest:
    """Make what is missing of the archive as it is now: this run may have waited for another that changed it."""
    archive = read_archive(workspace, config.archive)
    folder = features_folder(config.archive, spec.modality, spec.fingerprint)
    before = usable_manifest(workspace, manifest_path(folder))
    stage = extract_stage(workspace, config, archive, spec, before)
    if again := changed_aside(stage, before):
        _make_again(workspace, stage.manifest_path, before, again)
        stage = extract_stage(workspace, config, archive, spec, before)  # what is copied from has another name now

    def fence() -> None:
        claim.check()
        if read_archive(workspace, config.archive).fingerprint != archive.fingerprint:
            raise WorkflowError(
                f"{stage.name}: archive {config.archive!r} was ingested anew while its features were made\n"
                "  run the same command again: what is made already is not made again"
            )

    manifest = run_stage(stage, config, fence)
    claim.check()
    _remove_superseded(workspace, folder, manifest, before)
    return manifest


def extract_stage(
    workspace: Workspace, config: ExtractConfig, archive: Manifest, spec: ExtractorSpec, before: Manifest | None
) -> Stage[str]:
    """Plan the archive's shards; ``before`` is the last run's manifest, whose vectors are copied where they fit."""
    folder = features_folder(config.archive, spec.modality, spec.fingerprint)
    media = MediaRoot(IngestFacts.of(archive).media_root, spec.channels)
    aside = still_aside(before, media, config.retry_set_aside)
    counts = {len(archive.shards), len(before.shards) if before else len(archive.shards)}
    earlier = Earlier.among(workspace.files(folder), counts)
    known = {shard.path: shard.sha256 for shard in before.shards} if before else {}
    return Stage(
        name=f"extract-{spec.modality}",
        fingerprint=fingerprint(
            CODE_VERSION, spec.fingerprint, archive.fingerprint, [record.sha256 for record in archive.shards]
        ),
        manifest_path=manifest_path(folder),
        shards=tuple(_shard(features_path(folder, record), record, known) for record in archive.shards),
        prepare=partial(prepare, ExtractPlan(workspace, spec, media, earlier)),
        facts=FeatureFacts(
            modality=spec.modality,
            extractor=spec.name,
            extractor_fingerprint=spec.fingerprint,
            dim=spec.dim,
            storage=spec.storage,
            licence=spec.licence,
            archive_fingerprint=archive.fingerprint,
        ),
        watch=Watch(config.hung_after_s, aside),
        resources=spec.resources,
    )


def _shard(path: str, utterances: ShardRecord, known: Mapping[str, str]) -> Shard[str]:
    return Shard(utterances.index, path, utterances.path, sha256=known.get(path, ""))


def still_aside(before: Manifest | None, media: MediaRoot, retry: bool) -> dict[str, str]:
    """The files that an earlier run set aside and that are as they were, with the reason."""
    known = before.aside if before else {}
    stay = {name: why for name, why in known.items() if not retry and media.version(name) == why.version}
    return {name: why.reason for name, why in stay.items()}


def changed_aside(stage: Stage[str], before: Manifest | None) -> set[str]:
    """The files that an earlier run set aside and that this one tries again."""
    assert stage.watch is not None
    return set(before.aside) - stage.watch.aside.keys() if before else set()


def _make_again(workspace: Workspace, manifest_file: str, before: Manifest | None, again: set[str]) -> None:
    """Give shards that were made without some files another name: what they hold of other files is copied."""
    workspace.remove(manifest_file)  # first: a manifest says that all its shards are there
    for shard in before.shards if before else ():
        if again & ShardFacts.of(shard).aside.keys():
            workspace.rename(shard.path, shard.path.replace(".parquet", "-before.parquet"))


def _remove_superseded(workspace: Workspace, folder: str, manifest: Manifest, before: Manifest | None) -> None:
    """Remove the shards that neither the new manifest names nor the one before it.

    Those of the one before stay until the next change: who labels or trains just now may have begun with them.
    """
    if manifest == before:
        return
    named = {shard.path for one in (manifest, before) if one for shard in one.shards}
    for path in workspace.files(folder):
        if shard_number(path) is not None and path not in named:
            for gone in (path, timing_path(path)):
                if workspace.exists(gone):
                    workspace.remove(gone)


def prepare(plan: ExtractPlan) -> ShardFunction[str]:
    """The function that does a shard; with the first row that has to be made the extractor is loaded."""
    return partial(extract_shard, plan, cache(plan.spec.load))


def extract_shard(plan: ExtractPlan, load: Callable[[], Extractor], shard: Shard[str]) -> ShardOutput:
    """One feature shard: a row for every utterance of the shard that the payload is the path of, in their order."""
    spec, media = plan.spec, plan.media
    with reading(plan.workspace, shard.payload):
        utterances = plan.workspace.read_table(shard.payload)
    inputs = usable_inputs(utterances, spec.modality, shard.aside)
    keys = content_keys(inputs.utterances, spec, media)
    vectors = Extracted.none(utterances.num_rows, spec.dim)
    missing = copy_rows(plan.workspace, plan.earlier, shard.index, utterances, keys, vectors)
    beside = {}
    if missing:
        shown, extractor = inputs.utterances.take(missing), load()
        began = time.perf_counter()
        extracted = extractor(shown, media)
        beside[timing_path(shard.path)] = _timing(time.perf_counter() - began, extracted)
        _check(extracted, spec, missing, shard.path)
        vectors.put_all(missing, extracted)
    table, counts = feature_rows(utterances, inputs.answered(vectors), spec.dim, shard.path, keys, spec.storage)
    aside = {name: Aside(reason=shard.aside[name], version=media.version(name)) for name in sorted(inputs.aside)}
    facts = DatedShardFacts(days=feature_days(utterances, table))
    facts = facts.model_copy(update={"aside": aside}) if aside else facts
    return ShardOutput(table, counts, facts, beside, ROWS_A_GROUP)


def _timing(seconds: float, extracted: Extracted) -> pa.Table:
    """Schema `tasks.archive.schema.TIMING`."""
    media = 0.0 if extracted.seconds is None else float(extracted.seconds.sum())
    noted = {"seconds": seconds, "utterances": len(extracted.valid), "media_s": media or None}
    return pa.Table.from_pylist([noted], schema=TIMING)


def _check(extracted: Extracted, spec: ExtractorSpec, rows: list[int], where: str) -> None:
    """A row for each utterance, and no vector that would turn a model's sums into NaN."""
    count = len(rows)
    if not (extracted.vectors.shape == (count, spec.dim) and len(extracted.valid) == len(extracted.reasons) == count):
        raise WorkflowError(
            f"{where}: {spec.name} gave vectors of shape {extracted.vectors.shape}, {len(extracted.valid)} flags and "
            f"{len(extracted.reasons)} reasons\n  expected ({count}, {spec.dim}), {count} and {count}"
        )
    broken = extracted.valid & ~np.isfinite(extracted.vectors).all(axis=1)
    if broken.any():
        row = rows[int(broken.argmax())]
        raise WorkflowError(f"{where}: {spec.name} gave a value that is not finite for row {row}")
