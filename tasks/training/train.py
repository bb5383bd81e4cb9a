"""Train: features of annotated conversations to a bundle, on Ray Train's data-parallel workers."""

import logging
from collections.abc import Collection
from importlib.metadata import version

from sdt_model.bundle import Bundle, FeatureSource
from sdt_model.config import MODALITIES, Frozen, Modality, TrainingConfig
from sdt_model.weights import to_files
from tasks.archive.layout import MODEL_RUNS, archive_features_folder, model_folder
from tasks.archive.leases import making_of
from tasks.archive.manifests import annotated_emotions, read_archive
from tasks.config.training import TrainConfig, Training
from tasks.errors import WorkflowError
from tasks.extractors.registry import chosen_spec
from tasks.features.precomputed import GIVEN, chosen_precomputed
from tasks.features.reader import complete_features
from tasks.registry.models import read_bundle, write_bundle
from tasks.storage.lease import lease
from tasks.storage.manifest import Manifest, fingerprint
from tasks.storage.workspace import Workspace
from tasks.training.promotion import Promotion, promote_if
from tasks.training.ray_train import fit, worker_resources
from tasks.training.split_rule import split_rule
from tasks.training.tracking import track, tracked
from tasks.training.worker import TrainPlan, read_best, train_worker

log = logging.getLogger("sdt.train")

CODE_VERSION = 7


class TrainReport(Frozen):
    """What a training run made."""

    model_id: str
    """The bundle's name."""
    path: str
    """The bundle's folder, relative to the workspace."""
    metrics: dict[str, float]
    """Scores of the epoch selected on dev."""
    epochs: int
    """Epochs trained; 0 when the model was already there."""
    promotion: Promotion
    """Whether it went into production, and why."""


def train(config: TrainConfig, run: str = "") -> TrainReport:
    """Train a model and write its bundle; one already made from the same data and settings is left as it is.

    ``run`` is how a second run that would train the same model is told who does.

    Raises:
        WorkflowError: features are missing, nothing is annotated, training failed, or another run trains the same
            model; MLflow is asked for and not installed.
    """
    workspace, tracking = Workspace(config.workspace), tracked()
    plan = plan_training(workspace, config)
    model_id = plan.bundle.model_id
    bundle, epochs = _there(workspace, model_id), 0
    if bundle is None:
        bundle, epochs = _train(workspace, plan, config, run)
    promotion, path = promote_if(workspace, bundle, config), model_folder(model_id)
    if tracking and epochs:
        track(bundle, promotion, workspace.uri(path))
    return TrainReport(model_id=model_id, path=path, metrics=bundle.metrics, epochs=epochs, promotion=promotion)


def _there(workspace: Workspace, model_id: str) -> Bundle | None:
    found = read_bundle(workspace, model_id)
    if found is not None:
        log.info("train: nothing to do, %s is there", model_id)
    return found


def plan_training(workspace: Workspace, config: Training) -> TrainPlan:
    """Everything the workers need to know, and the name of the model that will come of it."""
    archive = read_archive(workspace, config.archive)
    sources, manifests = _sources(workspace, archive, config)
    annotated = annotated_emotions(archive, config.archive)
    emotions = sorted(annotated)
    _check(config.training, sources, emotions)
    rule = split_rule(archive, config.dev_fraction, config.test_fraction)
    made_from = [manifest.fingerprint for manifest in manifests]
    identity = fingerprint(
        CODE_VERSION, archive.fingerprint, made_from, list(sources), config.training, config.workers, rule
    )
    bundle = Bundle(
        model_id=f"sdt-{config.archive}-{identity}",
        emotions=tuple(emotions),
        features=sources,
        training=config.training,
        archive=config.archive,
        data_fingerprint=archive.fingerprint,
        annotated={name: annotated[name] for name in emotions},
        made_with={
            "sdt-emotion": version("sdt-emotion"),
            "train": str(CODE_VERSION),
            "torch": version("torch"),
            "split": fingerprint(rule),
        },
        metrics={},
    )
    cpus = worker_resources(config.resources, config.workers).cpus
    return TrainPlan(workspace=workspace.url, bundle=bundle, rule=rule, threads=max(1, int(cpus)))


def _check(training: TrainingConfig, sources: Collection[Modality], emotions: list[str]) -> None:
    """What the archive and the settings do not have in common; found here, before Ray is asked for workers."""
    weights = training.objective.class_weights
    if weights is not None and sorted(weights) != emotions:
        raise WorkflowError(
            f"training.objective.class_weights name {', '.join(sorted(weights))}, and the archive is annotated with "
            f"{', '.join(emotions)}\n  name exactly these, or leave class_weights out"
        )
    if training.model.transformers == "inter" and len(sources) == 1:
        raise WorkflowError(
            f"training.model.transformers is `inter`, and there is one modality, {', '.join(sources)}\n"
            "  transformers from one modality to another need two"
        )


def _sources(
    workspace: Workspace, archive: Manifest, config: Training
) -> tuple[dict[Modality, FeatureSource], list[Manifest]]:
    sources: dict[Modality, FeatureSource] = {}
    manifests: list[Manifest] = []
    for modality in config.modalities or MODALITIES:
        source = _source(workspace, archive, config, modality)
        manifest = complete_features(workspace, config.archive, modality, source.fingerprint)
        if manifest is None and config.modalities is None:
            continue
        if manifest is None or not manifest.is_of(archive):
            raise WorkflowError(
                f"archive {config.archive!r} has no complete {modality} features of {source.extractor} "
                f"({source.fingerprint})\n  make them with: sdt extract {config.archive}"
            )
        sources[modality] = source
        manifests.append(manifest)
    if not sources:
        folder = archive_features_folder(config.archive)
        raise WorkflowError(f"no features in {workspace.uri(folder)}\n  make them with: sdt extract {config.archive}")
    return sources, manifests


def _source(workspace: Workspace, archive: Manifest, config: Training, modality: Modality) -> FeatureSource:
    precomputed = chosen_precomputed(archive, config.archive, config.extractors, modality)
    if precomputed is not None:
        return FeatureSource(extractor=GIVEN, fingerprint=precomputed.fingerprint, dim=precomputed.dim)
    spec = chosen_spec(modality, config.extractors, workspace)
    return FeatureSource(extractor=spec.name, fingerprint=spec.fingerprint, dim=spec.dim, storage=spec.storage)


def _train(workspace: Workspace, plan: TrainPlan, config: TrainConfig, run: str) -> tuple[Bundle, int]:
    model_id = plan.bundle.model_id
    resources = worker_resources(config.resources, config.workers)
    with lease(workspace, making_of("train", "model", model_id), config.lease_s, run) as held:
        if (there := _there(workspace, model_id)) is not None:  # made by the run that this one has waited for
            return there, 0
        checkpoint = fit(workspace, MODEL_RUNS, model_id, train_worker, plan, config.workers, resources, config.retries)
        network, progress = read_best(plan, checkpoint)
        found = {"metrics": progress.metrics(), "calibration_temperature": progress.calibration.temperature}
        bundle = plan.bundle.model_copy(update=found)
        held.check()
        write_bundle(workspace, bundle.model_id, to_files(bundle, network))
        workspace.remove_folder(f"{MODEL_RUNS}/{model_id}")
    return bundle, len(progress.history)
