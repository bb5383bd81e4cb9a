"""Fine-tune: texts of annotated conversations to an encoder, on Ray Train's data-parallel workers.

With folds = K > 1 it is K encoders, each trained without one K-th of the training conversations: what is learned from
the features of the training split afterwards then holds for conversations that no encoder has seen.
"""

import logging
import tempfile
from functools import partial
from pathlib import Path

import polars as pl

from sdt_model.config import Frozen
from sdt_model.encoder import Words, blank_body, positions
from sdt_model.finetuner import FinetuneOptim
from tasks.archive import features_folder, read_archive
from tasks.config import ExtractorNames, Resources
from tasks.encoders import (
    DESCRIPTION,
    SEEN,
    EncoderDescription,
    base_files,
    base_folder,
    encoder_folder,
    find_encoder,
    licence,
    local_folder,
    put_folder,
    read_encoder,
    trace,
)
from tasks.errors import WorkflowError
from tasks.extractors import chosen_spec
from tasks.features import FeatureFolder, complete_features
from tasks.finetune_worker import FinetunePlan, finetune_worker, read_best
from tasks.fitting import fit, worker_resources
from tasks.manifest import Manifest, fingerprint
from tasks.room import room, working_nodes
from tasks.side_by_side import side_by_side
from tasks.splits import given_splits, split_rule
from tasks.training_config import FinetuneConfig
from tasks.workspace import Workspace

log = logging.getLogger("sdt.finetune")

CODE_VERSION = 1
_RUNS, _SCORES = "encoders/.runs", "scores.json"

# What a worker holds: weights, gradients, two moments, the best epoch's weights, and a checkpoint in the making, three
# times as much. Beside them its libraries and a pass.
_COPIES, _WORKER_BYTES = 8, 1.5e9


class FinetuneReport(Frozen):
    """What a fine-tuning run made."""

    encoder_id: str
    """The encoder's name; as an extractor it is called `finetuned:` and this."""
    path: str
    """Its folder, relative to the workspace."""
    metrics: dict[str, float]
    """Its own scores in the epochs selected on dev, averaged over the folds."""
    folds: int
    """Encoders in it."""
    epochs: int
    """Epochs trained; 0 when it was already there."""


def finetune(config: FinetuneConfig) -> FinetuneReport:
    """Fine-tune a text encoder; one already made from the same data and settings is left as it is.

    Raises:
        WorkflowError: no such archive or encoder, one with too few positions, nothing is annotated, or training
            failed.
    """
    workspace = Workspace(config.workspace)
    archive = read_archive(workspace, config.archive)
    base = base_folder(config.encoder)
    _check_length(base, config)
    config = placed(config, base)
    files = base_files(base)
    plan = plan_finetuning(workspace, archive, config, files)
    encoder_id = _name(config, archive, files)
    found = read_encoder(workspace, encoder_id)
    if found is not None:
        log.info("finetune: nothing to do, %s is there", encoder_id)
        return _report(found, 0)
    put_folder(workspace, plan.base, base, list(files))
    plans = [plan.model_copy(update={"fold": fold}) for fold in range(config.folds)]
    folds = [partial(_fold, workspace, encoder_id, plan, config) for plan in plans]
    scores = side_by_side(folds, config.at_once or 1)
    description = _describe(encoder_id, archive, plan, config, scores, licence(base, config.encoder))
    workspace.write_json(f"{encoder_folder(encoder_id)}/{SEEN}", _seen(workspace, archive, plan))
    workspace.write_json(f"{encoder_folder(encoder_id)}/{DESCRIPTION}", description.model_dump(mode="json"))
    workspace.remove_folder(f"{_RUNS}/{encoder_id}")
    return _report(description, sum(int(s["epochs"]) for s in scores))


def _check_length(base: Path, config: FinetuneConfig) -> None:
    limit = positions(blank_body(base))
    if limit is not None and config.max_tokens > limit:
        raise WorkflowError(
            f"max_tokens is {config.max_tokens}, and encoder {config.encoder!r} has {limit} positions\n"
            f"  set max_tokens to {limit} or less"
        )


def placed(config: FinetuneConfig, base: Path) -> FinetuneConfig:
    """With how many encoders are trained at the same time, and what each of their workers gets.

    One core each and many encoders is faster than one encoder after the other with all cores: its products are small.
    """
    held = sum(path.stat().st_size for path in base.glob("*.safetensors"))
    least = config.resources or Resources(memory_gb=(_COPIES * held + _WORKER_BYTES) / 1e9)
    fit_in = max(1, room(working_nodes(), least.asked()) // config.workers)
    at_once = min(config.folds, config.at_once or fit_in)
    resources = worker_resources(config.resources, config.workers * at_once)
    return config.model_copy(update={"at_once": at_once, "resources": resources})


def plan_finetuning(
    workspace: Workspace, archive: Manifest, config: FinetuneConfig, files: dict[str, str]
) -> FinetunePlan:
    """What the workers need to know, for the first fold.

    Raises:
        WorkflowError: fewer than two emotions are annotated.
    """
    emotions = sorted({name for shard in archive.shards for name in shard.facts["emotions"]})
    if len(emotions) < 2:
        raise WorkflowError(
            f"archive {config.archive!r} cannot be trained on: its annotated emotions are {emotions or 'none'}\n"
            "  training needs an `emotion` column with at least two of them"
        )
    return FinetunePlan(
        workspace=workspace.url,
        archive=config.archive,
        base=f"{_RUNS}/{_name(config, archive, files)}/base",
        emotions=tuple(emotions),
        rule=split_rule(archive, config.dev_fraction, config.test_fraction),
        context=config.context,
        max_tokens=config.max_tokens,
        folds=config.folds,
        fold=0,
        teacher=_teacher(workspace, archive, config, emotions),
        optim=FinetuneOptim(**{name: getattr(config, name) for name in FinetuneOptim.model_fields}),
        threads=max(1, int(worker_resources(config.resources, config.workers).cpus)),
    )


def _teacher(
    workspace: Workspace, archive: Manifest, config: FinetuneConfig, emotions: list[str]
) -> FeatureFolder | None:
    """Where what the teacher says lies."""
    if config.teacher is None:
        return None
    found = find_encoder(workspace, config.teacher)
    if found.folds == 1 or list(found.emotions) != emotions or found.data_fingerprint != archive.fingerprint:
        raise WorkflowError(
            f"encoder {config.teacher!r} cannot be the teacher on archive {config.archive!r}: it has {found.folds} "
            f"fold{'s' * (found.folds > 1)}, and learned {', '.join(found.emotions)} from archive {found.archive!r}\n"
            "  a teacher needs at least two folds, and was trained on the same archive as it is now"
        )
    extractor = f"finetuned:{config.teacher}"
    spec = chosen_spec("text", ExtractorNames(text=extractor), workspace)
    manifest = complete_features(workspace, config.archive, "text", spec.fingerprint)
    if manifest is None or manifest.facts["archive_fingerprint"] != archive.fingerprint:
        raise WorkflowError(
            f"archive {config.archive!r} has no complete text features of its teacher, {extractor}\n"
            f"  make them with: sdt extract {config.archive} --set extractors.text={extractor}"
        )
    return FeatureFolder("text", spec.dim, features_folder(config.archive, "text", spec.fingerprint))


def _name(config: FinetuneConfig, archive: Manifest, files: dict[str, str]) -> str:
    """The encoder's id: equal exactly when data, base by content, and settings are."""
    where = {"workspace", "archive", "ray", "encoder", "resources", "retries", "at_once"}
    if config.teacher is None:  # an encoder that was made before there were teachers keeps its name
        where |= {"teacher", "distil"}
    settings = config.model_dump(mode="json", exclude=where)
    identity = fingerprint(CODE_VERSION, archive.fingerprint, files, settings)
    return f"{config.archive[:80]}-{identity}"


def _fold(workspace: Workspace, encoder_id: str, plan: FinetunePlan, config: FinetuneConfig) -> dict[str, float]:
    """Train one encoder and publish it; its scores. One that is there is not trained again."""
    folder = f"{encoder_folder(encoder_id)}/{plan.fold}"
    if workspace.exists(f"{folder}/{_SCORES}"):
        scores: dict[str, float] = workspace.read_json(f"{folder}/{_SCORES}")
        return scores
    runs, resources = f"{_RUNS}/{encoder_id}", worker_resources(config.resources, config.workers)
    checkpoint = fit(
        workspace, runs, f"fold-{plan.fold}", finetune_worker, plan,
        config.workers, resources, config.retries, "finetune",
    )  # fmt: skip
    encoder, progress = read_best(plan, checkpoint)
    best = progress.history[progress.best]
    scores = {"best_epoch": float(progress.best), "epochs": float(len(progress.history)), **best}
    scores["hidden"] = float(encoder.head.in_features)
    with tempfile.TemporaryDirectory(prefix="sdt-encoder-") as scratch, local_folder(workspace, plan.base) as base:
        encoder.save(Path(scratch))
        Words(base).save(Path(scratch))
        put_folder(workspace, folder, Path(scratch), list(base_files(Path(scratch))))
    workspace.write_json(f"{folder}/{_SCORES}", scores)
    return scores


def _describe(
    encoder_id: str,
    archive: Manifest,
    plan: FinetunePlan,
    config: FinetuneConfig,
    scores: list[dict[str, float]],
    terms: str,
) -> EncoderDescription:
    return EncoderDescription(
        encoder_id=encoder_id,
        base=config.encoder,
        licence=terms,
        emotions=plan.emotions,
        dim=int(scores[0]["hidden"]) + len(plan.emotions),
        context=config.context,
        max_tokens=config.max_tokens,
        folds=config.folds,
        archive=config.archive,
        data_fingerprint=archive.fingerprint,
        scores=tuple(scores),
    )


def _seen(workspace: Workspace, archive: Manifest, plan: FinetunePlan) -> list[str]:
    """Traces of the conversations of the training split."""
    found: set[str] = set()
    for shard in archive.shards:
        utterances = pl.DataFrame(workspace.read_table(shard.path, ["conversation_id", "split"]))
        found |= {trace(name) for name, given in given_splits(utterances) if plan.rule.split(name, given) == "train"}
    return sorted(found)


def _report(found: EncoderDescription, epochs: int) -> FinetuneReport:
    return FinetuneReport(
        encoder_id=found.encoder_id,
        path=encoder_folder(found.encoder_id),
        metrics=found.metrics,
        folds=found.folds,
        epochs=epochs,
    )
