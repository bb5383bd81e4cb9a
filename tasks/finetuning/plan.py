"""The plan of a fine-tuning run: what its workers are told, where they run, and what the encoder will be called."""

from pathlib import Path

from sdt_model.text_encoder.encoder import blank_body, positions
from sdt_model.text_encoder.trainer import FinetuneOptim
from tasks.archive.layout import ENCODER_RUNS, features_folder
from tasks.archive.manifests import annotated_emotions
from tasks.config.stages import ExtractorNames, Resources
from tasks.config.training import FinetuneConfig
from tasks.errors import WorkflowError
from tasks.executor.capacity import training_resources, trainings_at_once
from tasks.extractors.registry import chosen_spec
from tasks.features.reader import FeatureFolder, complete_features
from tasks.finetuning.worker import FinetunePlan
from tasks.registry.encoders import find_encoder
from tasks.storage.manifest import Manifest, fingerprint
from tasks.storage.workspace import Workspace
from tasks.training.split_rule import split_rule

CODE_VERSION = 1

# What a worker holds: weights, gradients, two moments, the best epoch's weights, and a checkpoint in the making, three
# times as much. Beside them its libraries and a pass.
_COPIES, _WORKER_BYTES = 8, 1.5e9


def check_length(base: Path, config: FinetuneConfig) -> None:
    """Raises: WorkflowError: the encoder has fewer positions than are asked of it."""
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
    size = sum(path.stat().st_size for path in base.glob("*.safetensors"))
    least = config.resources or Resources(memory_gb=(_COPIES * size + _WORKER_BYTES) / 1e9)
    at_once = min(config.folds, trainings_at_once(config.ray, least, config.workers, config.at_once))
    resources = training_resources(config.ray, config.resources, config.workers * at_once)
    return config.model_copy(update={"at_once": at_once, "resources": resources})


def plan_finetuning(workspace: Workspace, archive: Manifest, config: FinetuneConfig, encoder_id: str) -> FinetunePlan:
    """What the workers need to know to make this encoder, for its first fold.

    Raises:
        WorkflowError: fewer than two emotions are annotated.
    """
    emotions = sorted(annotated_emotions(archive, config.archive))
    return FinetunePlan(
        workspace=workspace.url,
        archive=config.archive,
        data_fingerprint=archive.fingerprint,
        base=f"{ENCODER_RUNS}/{encoder_id}/base",
        emotions=tuple(emotions),
        rule=split_rule(archive, config.dev_fraction, config.test_fraction),
        context=config.context,
        max_tokens=config.max_tokens,
        folds=config.folds,
        fold=0,
        teacher=_teacher(workspace, archive, config, emotions),
        optim=FinetuneOptim(**{name: getattr(config, name) for name in FinetuneOptim.model_fields}),
        threads=max(1, int(training_resources(config.ray, config.resources, config.workers).cpus)),
    )


def _teacher(
    workspace: Workspace, archive: Manifest, config: FinetuneConfig, emotions: list[str]
) -> FeatureFolder | None:
    """Where what the teacher says lies."""
    if config.teacher is None:
        return None
    teacher = find_encoder(workspace, config.teacher)
    if teacher.folds == 1 or list(teacher.emotions) != emotions or teacher.data_fingerprint != archive.fingerprint:
        raise WorkflowError(
            f"encoder {config.teacher!r} cannot be the teacher on archive {config.archive!r}: it has {teacher.folds} "
            f"fold{'s' * (teacher.folds > 1)}, and learned {', '.join(teacher.emotions)} from archive "
            f"{teacher.archive!r}\n"
            "  a teacher needs at least two folds, and was trained on the same archive as it is now"
        )
    extractor = f"finetuned:{config.teacher}"
    spec = chosen_spec("text", ExtractorNames(text=extractor), workspace)
    manifest = complete_features(workspace, config.archive, "text", spec.fingerprint)
    if manifest is None or not manifest.is_of(archive):
        raise WorkflowError(
            f"archive {config.archive!r} has no complete text features of its teacher, {extractor}\n"
            f"  make them with: sdt extract {config.archive} --set extractors.text={extractor}"
        )
    return FeatureFolder("text", spec.dim, features_folder(config.archive, "text", spec.fingerprint))


def encoder_name(config: FinetuneConfig, archive: Manifest, files: dict[str, str]) -> str:
    """The encoder's id: equal exactly when data, base by content, and settings are."""
    where = {"workspace", "archive", "ray", "encoder", "resources", "retries", "at_once", "lease_s"}
    if config.teacher is None:  # an encoder that was made before there were teachers keeps its name
        where |= {"teacher", "distil"}
    settings = config.model_dump(mode="json", exclude=where)
    identity = fingerprint(CODE_VERSION, archive.fingerprint, files, settings)
    return f"{config.archive[:80]}-{identity}"
