"""Ablate: the published model without one part at a time, each trained with the same seeds, in one table.

Beside the variants stands what one trained model says at inference when modalities are taken away.
"""

import logging
from collections.abc import Iterator

from sdt_model.ablations import FULL, Subset, Variant, subsets_of, unknown_variants, variants
from sdt_model.config import Frozen, Modality
from sdt_model.conversations import Ints
from sdt_model.metrics.intervals import Interval, estimates
from sdt_model.metrics.scores import PRIMARY, SCORES
from tasks.archive.layout import evaluation_path
from tasks.config.training import AblateConfig
from tasks.errors import WorkflowError
from tasks.evaluation.seeds import Fence, Spread, evaluating, spread, train_seeds
from tasks.storage.manifest import fingerprint
from tasks.storage.workspace import Workspace
from tasks.training.plan import plan_training
from tasks.training.scoring import Scored, score_models

log = logging.getLogger("sdt.ablate")

CODE_VERSION = 4


class VariantScores(Frozen):
    """One line of the table."""

    name: str
    """What the variant lacks, or the modalities that it takes."""
    models: tuple[str, ...]
    """IDs of its models, one a seed."""
    utterances: int
    """Annotated test utterances that have any of the modalities that it takes: those that it is scored on."""
    score: Spread
    """Weighted F1 on test, at the epoch chosen on dev, over the seeds."""
    difference: float
    """Its mean minus the full model's."""


class SubsetScores(Frozen):
    """Scores of one model that reads only some of its modalities."""

    modalities: Subset
    """Modalities that the model reads."""
    utterances: int
    """Annotated test utterances that have any of them."""
    heads: dict[str, float]
    """Weighted F1 on test: `fused` over these utterances, each student over those that have its modality."""
    best_student: Modality
    """The student with the best score."""
    over_best: Interval | None = None
    """95% interval of the fused score minus the best student's; null: too few test conversations."""


class AblationReport(Frozen):
    """Scores of every variant of the model, and of one model with modalities taken away."""

    archive: str
    """Archive that was trained and scored on."""
    path: str
    """This report as JSON, relative to the workspace."""
    seeds: tuple[int, ...]
    """Seeds that every variant was trained with."""
    variants: tuple[VariantScores, ...]
    """The full model first."""
    subset_model: str
    """The model that `subsets` speaks of: the full one of the first seed."""
    subsets: tuple[SubsetScores, ...]
    """That model's scores with each subset of its modalities, at inference."""


def ablate(config: AblateConfig, run: str = "") -> AblationReport:
    """Train every variant with every seed, and score them on the test split.

    ``run``: the run's name, for whoever meets it at work.

    Raises:
        WorkflowError: training is impossible, there is no test split, no such variant, or another run does the same, or
            changed the archive meanwhile.
    """
    with evaluating("ablate", config, run) as fence:
        return _ablate(config, run, fence)


def _ablate(config: AblateConfig, run: str, fence: Fence) -> AblationReport:
    workspace = Workspace(config.workspace)
    modalities = tuple(plan_training(workspace, config).bundle.features)
    chosen = _chosen(variants(config.training, modalities), config)
    scores: dict[str, tuple[list[str], list[float]]] = {}
    for number, (name, (training, taken)) in enumerate(chosen.items()):
        what = f"ablate: {name} (variant {number + 1} of {len(chosen)})"
        bundles = train_seeds(what, config, training, taken, run, fence)
        if name == FULL:
            first = bundles[0]
        scores[name] = [b.model_id for b in bundles], [b.metrics[f"test_{PRIMARY}"] for b in bundles]
    (scored,) = score_models([first], config, subsets_of(modalities))
    trained = {name: models for name, (models, _) in scores.items()}
    identity = fingerprint(CODE_VERSION, trained, scored.fingerprint, config.draws)
    report = AblationReport(
        archive=config.archive,
        path=evaluation_path(config.archive, f"ablation-{identity}"),
        seeds=config.seeds,
        variants=tuple(_beside_the_full(scores, {name: scored.subsets[taken] for name, (_, taken) in chosen.items()})),
        subset_model=first.model_id,
        subsets=_subsets(scored, config.draws),
    )
    if not workspace.exists(report.path):
        fence()
        workspace.write_json(report.path, report.model_dump(mode="json"))
    return report


def _chosen(available: dict[str, Variant], config: AblateConfig) -> dict[str, Variant]:
    wanted = config.variants if config.variants is not None else tuple(available)
    if message := unknown_variants(wanted, available):
        raise WorkflowError(message)
    return {name: variant for name, variant in available.items() if name == FULL or name in wanted}


def _beside_the_full(
    scores: dict[str, tuple[list[str], list[float]]], counts: dict[str, dict[str, Ints]]
) -> Iterator[VariantScores]:
    full = spread(scores[FULL][1])
    for name, (models, values) in scores.items():
        score, utterances = spread(values), int(counts[name]["fused"].sum())
        difference = score.mean - full.mean
        yield VariantScores(name=name, models=tuple(models), utterances=utterances, score=score, difference=difference)


def _subsets(scored: Scored, draws: int) -> tuple[SubsetScores, ...]:
    return tuple(_subset(subset, heads, draws) for subset, heads in scored.subsets.items())


def _subset(subset: Subset, counts: dict[str, Ints], draws: int) -> SubsetScores:
    heads = {name: float(SCORES[PRIMARY].compute(counts[name].sum(axis=0))) for name in ("fused", *subset)}
    best = max(subset, key=heads.__getitem__)
    difference = estimates([counts["fused"]], draws, against=counts[best]).get(PRIMARY)
    return SubsetScores(
        modalities=subset,
        utterances=int(counts["fused"].sum()),
        heads=heads,
        best_student=best,
        over_best=difference and difference.interval,
    )
