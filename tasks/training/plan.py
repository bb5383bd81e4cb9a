"""What is to be trained: on which features, under which name. Imports neither torch nor Ray."""

from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path

from pydantic import Field

from sdt_model.bundle import Bundle, FeatureSource
from sdt_model.config import MODALITIES, WIDE, Frozen, Modality, TrainingConfig
from tasks.archive.layout import archive_features_folder
from tasks.archive.manifests import annotated_emotions, read_archive
from tasks.config.training import Training
from tasks.errors import WorkflowError
from tasks.extractors.registry import chosen_spec
from tasks.features.precomputed import PRECOMPUTED, chosen_precomputed
from tasks.features.reader import complete_features
from tasks.storage.manifest import Manifest, fingerprint
from tasks.storage.workspace import Workspace
from tasks.training.split_rule import SplitRule, split_rule

CODE_VERSION = 7


class TrainPlan(Frozen):
    """What every worker is told."""

    workspace: str
    """URL of the workspace."""
    bundle: Bundle
    """The model to be, without its scores."""
    rule: SplitRule
    """How conversations are split."""
    threads: int = Field(1, ge=1)
    """Threads of a worker."""


def plan_training(workspace: Workspace, config: Training) -> TrainPlan:
    """Everything the workers need to know but how many threads they get, and the name of the model to be.

    Raises:
        WorkflowError: features are missing, or nothing is annotated, or the settings do not fit the archive.
    """
    archive = read_archive(workspace, config.archive)
    sources, manifests = _sources(workspace, archive, config)
    annotated = annotated_emotions(archive, config.archive)
    emotions = sorted(annotated)
    _check(config.training, sources, emotions)
    rule = split_rule(archive, config.dev_fraction, config.test_fraction)
    made_from = [manifest.fingerprint for manifest in manifests]
    identity = fingerprint(
        CODE_VERSION, archive.fingerprint, made_from, list(sources), config.training, config.workers, rule,
        *device_class(config),
    )  # fmt: skip
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
            **dict(zip(("device",), device_class(config), strict=False)),
        },
        metrics={},
    )
    return TrainPlan(workspace=workspace.url, bundle=bundle, rule=rule)


def device_class(config: Training) -> tuple[str, ...]:
    """What the numbers of training depend on beside its settings, where it is not a processor that computes in float32.

    The command's own processor stands for those of the workers.
    """
    if config.resources is not None and config.resources.gpus:
        return ("gpu",)
    wide = config.training.model.hidden >= WIDE
    return ("amx_bf16",) if wide and config.training.optim.precision == "auto" and _has_amx() else ()


def _has_amx() -> bool:
    try:
        return " amx_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:  # no Linux, and no such processor
        return False


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
        return FeatureSource(extractor=PRECOMPUTED, fingerprint=precomputed.fingerprint, dim=precomputed.dim)
    spec = chosen_spec(modality, config.extractors, workspace)
    return FeatureSource(extractor=spec.name, fingerprint=spec.fingerprint, dim=spec.dim, storage=spec.storage)
