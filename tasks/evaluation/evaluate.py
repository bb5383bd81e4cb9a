"""Evaluate: several seeds, each epoch chosen on dev, scored on test, with how far the scores could be off.

The best epoch by test is reported under the name `paper_protocol` alone.
"""

import logging

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen
from sdt_model.conversations import Ints
from sdt_model.metrics.intervals import Interval, estimates
from sdt_model.metrics.scores import SCORES, f1_scores
from tasks.archive.layout import evaluation_path
from tasks.archive.manifests import read_archive
from tasks.config.training import EvaluateConfig
from tasks.errors import WorkflowError
from tasks.evaluation.seeds import Fence, Spread, evaluating, spread, train_seeds
from tasks.features.reader import feature_folders
from tasks.registry.models import find_bundle
from tasks.storage.manifest import fingerprint
from tasks.storage.workspace import Workspace
from tasks.training.plan import plan_training
from tasks.training.scoring import Scored, score_models

log = logging.getLogger("sdt.evaluate")

CODE_VERSION = 3
_FROM_TRAINING = ("dev_", "test_ece_", "paper_protocol_")


class ModelScores(Frozen):
    """One seed's model."""

    model_id: str
    """Its bundle."""
    seed: int
    """Seed of its training."""
    calibration_temperature: float
    """Temperature fitted on dev; divides the fused head's logits."""
    scores: dict[str, float]
    """On test `test_*` with `test_f1.<emotion>`; `dev_*`; `paper_protocol_*`; calibration errors `*_ece_*`."""


class Comparison(Frozen):
    """The seeds' mean beside a second model, on the same draws of test conversations.

    Every annotated utterance counts: one that a model can say nothing of, as it lacks what the model takes, is wrong.
    """

    model_id: str
    """The second model."""
    score: float
    """Its score on test."""
    difference: float
    """The seeds' mean minus it."""
    interval: Interval | None = None
    """95% interval of the difference; null: too few test conversations."""
    p: float | None = None
    """Two-sided: how likely so large a difference is where there is none; null: too few test conversations."""


class EvaluationReport(Frozen):
    """Scores of models of several seeds on the test split, with their intervals."""

    archive: str
    """Archive that was trained and scored on."""
    path: str
    """This report as JSON, relative to the workspace."""
    emotions: tuple[str, ...]
    """Class names, in the order of the confusion matrix."""
    conversations: int
    """Test conversations."""
    utterances: int
    """Test utterances that are annotated and have any modality."""
    draws: int
    """Bootstrap draws of conversations."""
    models: tuple[ModelScores, ...]
    """One for each seed."""
    scores: dict[str, Spread]
    """The models' scores by name, over the seeds."""
    intervals: dict[str, Interval]
    """95% interval of a test score's mean over the seeds, had other conversations and seeds been drawn; none where
    there are too few test conversations."""
    confusion: tuple[tuple[int, ...], ...]
    """Test utterances by true emotion (rows) and said emotion, summed over the seeds."""
    against: dict[str, Comparison] | None = None
    """By test score, the comparison with a second model."""


def evaluate(config: EvaluateConfig, run: str = "") -> EvaluationReport:
    """Train a model for each seed, and score all of them on the test split.

    ``run``: the run's name, for whoever meets it at work.

    Raises:
        WorkflowError: training is impossible, there is no test split, the second model cannot be compared with, or
            another run does the same, or changed the archive meanwhile.
    """
    with evaluating("evaluate", config, run) as fence:
        return _evaluate(config, run, fence)


def _evaluate(config: EvaluateConfig, run: str, fence: Fence) -> EvaluationReport:
    workspace = Workspace(config.workspace)
    other = _comparable(workspace, config)
    bundles = train_seeds("evaluate", config, config.training, config.modalities, run, fence)
    scored = score_models([*bundles, *([other] if other else [])], config)
    identity = fingerprint(CODE_VERSION, [score.fingerprint for score in scored], config.draws, config.seeds)
    path = evaluation_path(config.archive, identity)
    if workspace.exists(path):
        log.info("evaluate: nothing to do, %s is there", path)
        return EvaluationReport.model_validate(workspace.read_json(path))
    if not scored[0].whole["fused"].any():
        raise WorkflowError(
            f"no annotated utterance of {config.archive}'s test split has {' or '.join(bundles[0].features)}\n"
            "  there is nothing to score: choose other modalities, or mark other conversations as test"
        )
    report = _report(config, path, bundles, other, scored)
    fence()
    workspace.write_json(path, report.model_dump(mode="json"))
    return report


def _comparable(workspace: Workspace, config: EvaluateConfig) -> Bundle | None:
    """The second model, after checking that it can say something of the archive; before anything is trained."""
    if config.against is None:
        return None
    bundle, plan = find_bundle(workspace, config.against), plan_training(workspace, config).bundle
    if bundle.emotions != plan.emotions:
        raise WorkflowError(
            f"model {bundle.model_id} knows the emotions {', '.join(bundle.emotions)}, and archive "
            f"{config.archive!r} is annotated with {', '.join(plan.emotions)}: their scores cannot be compared"
        )
    archive = read_archive(workspace, config.archive)
    feature_folders(workspace, archive, bundle, config.archive)
    if bundle.data_fingerprint != archive.fingerprint:
        log.warning(
            "evaluate: %s was trained on other data (%s); it may have seen these test conversations",
            bundle.model_id, bundle.archive,
        )  # fmt: skip
    elif bundle.made_with.get("split") != plan.made_with["split"]:
        log.warning(
            "evaluate: %s was trained with other shares of train, dev and test; it may have seen these test "
            "conversations", bundle.model_id,
        )  # fmt: skip
    return bundle


def _report(
    config: EvaluateConfig, path: str, bundles: list[Bundle], other: Bundle | None, scored: list[Scored]
) -> EvaluationReport:
    """The report; ``scored`` has the predictions of each bundle, and last those of ``other``."""
    count = len(bundles)
    confusions = [score.whole["fused"] for score in scored[:count]]
    models = tuple(map(_model_scores, bundles, confusions))
    # A model of an earlier version may lack a score that the others have: it is not averaged.
    names = [name for name in models[0].scores if all(name in model.scores for model in models)]
    scores = {name: spread([model.scores[name] for model in models]) for name in names}
    against = None
    if other is not None:
        against = _against(other, [score.compared for score in scored], config.draws)
    return EvaluationReport(
        archive=config.archive,
        path=path,
        emotions=bundles[0].emotions,
        conversations=len(confusions[0]),
        utterances=int(confusions[0].sum()),
        draws=config.draws,
        models=models,
        scores=scores,
        intervals={f"test_{name}": estimate.interval for name, estimate in estimates(confusions, config.draws).items()},
        confusion=tuple(map(tuple, sum(m.sum(axis=0) for m in confusions).tolist())),
        against=against,
    )


def _model_scores(bundle: Bundle, confusions: Ints) -> ModelScores:
    together = confusions.sum(axis=0)
    trained = {name: value for name, value in bundle.metrics.items() if name.startswith(_FROM_TRAINING)}
    test = {f"test_{name}": float(score.compute(together)) for name, score in SCORES.items()}
    f1 = {f"test_f1.{name}": float(v) for name, v in zip(bundle.emotions, f1_scores(together), strict=True)}
    return ModelScores(
        model_id=bundle.model_id,
        seed=bundle.training.optim.seed,
        calibration_temperature=bundle.calibration_temperature,
        scores=test | f1 | trained,
    )


def _against(other: Bundle, counts: list[Ints], draws: int) -> dict[str, Comparison]:
    """Compare the seeds' mean with a second model, by every test score.

    Args:
        other: the second model.
        counts: of each model (conversations, K, K + 1), as `Scored.compared`; ``other``'s last.
        draws: number of bootstrap draws.
    """
    estimated = estimates(counts[:-1], draws, against=counts[-1])
    comparisons = {}
    for name, score in SCORES.items():
        *values, value = (float(score.compute(each.sum(axis=0))) for each in counts)
        difference = estimated.get(name)
        comparisons[f"test_{name}"] = Comparison(
            model_id=other.model_id,
            score=value,
            difference=sum(values) / len(values) - value,
            interval=difference and difference.interval,
            p=difference and difference.p,
        )
    return comparisons
