"""Extract: utterance shards to feature shards, one stage for each modality; an actor loads its model once."""

import logging
from functools import partial

import numpy as np

from sdt_model.config import Modality
from tasks.archive import features_folder, features_path, has_modality, read_archive
from tasks.config import ExtractConfig
from tasks.culprits import Watch
from tasks.errors import WorkflowError
from tasks.extractors import Extracted, Extractor, ExtractorSpec, extractor_spec
from tasks.extractors.media import MediaRoot
from tasks.feature_rows import feature_rows
from tasks.given import chosen_given, given_manifest
from tasks.manifest import ASIDE, MANIFEST, Aside, Manifest, fingerprint, read_manifest
from tasks.stage import Shard, ShardFunction, ShardOutput, Stage, run_stage
from tasks.usable import usable
from tasks.workspace import Workspace

log = logging.getLogger("sdt.extract")

CODE_VERSION = 1


def extract(config: ExtractConfig, modality: Modality) -> Manifest | None:
    """Make one modality's features of every utterance; None where the archive has nothing of the modality.

    Raises:
        WorkflowError: no such archive, or no such extractor.
        StageFailed: some shards could not be done.
    """
    workspace = Workspace(config.workspace)
    archive = read_archive(workspace, config.archive)
    if (given := chosen_given(archive, config.archive, config.extractors, modality)) is not None:
        return given_manifest(workspace, config.archive, given)
    spec = extractor_spec(modality, config.extractors.of(modality), workspace)
    if not has_modality(archive, modality):
        log.info("extract-%s: archive %s has none, passed over", modality, config.archive)
        return None
    folder = features_folder(config.archive, modality, spec.fingerprint)
    media = MediaRoot(archive.facts["media_root"])
    shards = [Shard(r.index, features_path(folder, r), {"utterances": r.path}) for r in archive.shards]
    stage = Stage(
        name=f"extract-{modality}",
        fingerprint=fingerprint(
            CODE_VERSION, spec.fingerprint, archive.fingerprint, [record.sha256 for record in archive.shards]
        ),
        manifest_path=f"{folder}/{MANIFEST}",
        shards=tuple(shards),
        prepare=partial(prepare, workspace, spec, media),
        facts={
            "modality": modality,
            "extractor": spec.name,
            "extractor_fingerprint": spec.fingerprint,
            "dim": spec.dim,
            "licence": spec.licence,
            "archive_fingerprint": archive.fingerprint,
        },
        watch=Watch(config.hung_after_s, still_aside(workspace, f"{folder}/{MANIFEST}", media, config.retry_set_aside)),
    )
    return run_stage(stage, config.model_copy(update={"resources": config.resources or spec.resources}))


def still_aside(workspace: Workspace, manifest: str, media: MediaRoot, retry: bool) -> dict[str, str]:
    """The files that an earlier run set aside and that are as they were, with the reason.

    Shards made without one that has changed since, or is to be tried again, are removed, to be made anew.
    """
    found = read_manifest(workspace, manifest)
    known = found.aside if found else {}
    stay = {name: why for name, why in known.items() if not retry and media.version(name) == why.version}
    if again := known.keys() - stay:
        workspace.remove(manifest)  # first: a manifest says that all its shards are there
        for shard in found.shards if found else ():
            if again & shard.facts.get(ASIDE, {}).keys():
                workspace.remove(shard.path)
    return {name: why.reason for name, why in stay.items()}


def prepare(workspace: Workspace, spec: ExtractorSpec, media: MediaRoot) -> ShardFunction:
    """Load the extractor and return the function that runs it over a shard."""
    return partial(extract_shard, workspace, spec, spec.load(), media)


def extract_shard(
    workspace: Workspace, spec: ExtractorSpec, extractor: Extractor, media: MediaRoot, shard: Shard
) -> ShardOutput:
    """One feature shard: a row for every utterance, in their order."""
    utterances = workspace.read_table(shard.payload["utterances"])
    given = usable(utterances, spec.modality, shard.aside)
    made = extractor(given.utterances, media)
    _check(made, spec, utterances.num_rows, shard.path)
    made = given.answered(made)
    table, counts = feature_rows(utterances, made, spec.dim, shard.path)
    aside = {name: Aside(reason=shard.aside[name], version=media.version(name)) for name in sorted(given.aside)}
    facts = {ASIDE: {name: why.model_dump() for name, why in aside.items()}} if aside else {}
    return ShardOutput(table, counts, facts)


def _check(made: Extracted, spec: ExtractorSpec, rows: int, where: str) -> None:
    """A row for each utterance, and no vector that would turn a model's sums into NaN."""
    if not (made.vectors.shape == (rows, spec.dim) and len(made.valid) == len(made.reasons) == rows):
        raise WorkflowError(
            f"{where}: {spec.name} gave vectors of shape {made.vectors.shape}, {len(made.valid)} flags and "
            f"{len(made.reasons)} reasons\n  expected ({rows}, {spec.dim}), {rows} and {rows}"
        )
    broken = made.valid & ~np.isfinite(made.vectors).all(axis=1)
    if broken.any():
        raise WorkflowError(f"{where}: {spec.name} gave a value that is not finite for row {int(broken.argmax())}")
