"""Whether a new model may replace the one in production: not if it is worse on the same dev conversations.

The two are scored on the dev split of the archive that the new one was trained on, where an utterance that one can say
nothing of counts against it. They are compared by a paired bootstrap of whole conversations: the new one is not worse
if it loses no more than a margin in most of the draws (a one-sided test of non-inferiority).
"""

import logging

import numpy as np

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen
from sdt_model.metrics.scores import PRIMARY, SCORES, Interval, bootstrap, interval
from tasks.archive.manifests import read_archive
from tasks.config.training import TrainConfig
from tasks.errors import WorkflowError
from tasks.features.reader import feature_folders
from tasks.registry.models import promote, read_bundle, read_production
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.train")

_DRAWS = 1000


class Promotion(Frozen):
    """What became of a new model."""

    promoted: bool
    """It is in production now."""
    why: str
    """In words."""
    against: str | None = None
    """The model that was in production."""
    difference: float | None = None
    """Dev weighted F1 of the new one minus that of the one in production, on the same conversations."""
    interval: Interval | None = None
    """Of the difference."""


def promote_if(workspace: Workspace, candidate: Bundle, config: TrainConfig) -> Promotion:
    """Put the new model into production where `config.promote` lets it.

    Raises:
        StageFailed: the models could not be scored.
    """
    decision = _decide(workspace, candidate, config)
    if decision.promoted:
        promote(workspace, candidate.model_id, decision.why)
    elif config.promote != "never":
        log.warning("train: %s was not put into production: %s", candidate.model_id, decision.why)
    return decision


def _decide(workspace: Workspace, candidate: Bundle, config: TrainConfig) -> Promotion:
    pointer = read_production(workspace)
    current = pointer.model_id if pointer else None
    if config.promote == "never":
        return Promotion(promoted=False, why="promotion was not asked for", against=current)
    if pointer is None:
        return Promotion(promoted=True, why="there was none in production")
    if current == candidate.model_id:
        return Promotion(promoted=True, why="it was there already", against=current)
    if candidate.model_id in pointer.withdrawn:
        why = f"a rollback took it out of production; put it back with: sdt promote {candidate.model_id}"
        return Promotion(promoted=False, why=why, against=current)
    if config.promote == "always":
        return Promotion(promoted=True, why="whatever its scores, as asked", against=current)
    rival = read_bundle(workspace, pointer.model_id)
    if rival is None:
        return Promotion(promoted=True, why=f"{current}, which was in production, is no longer there", against=current)
    if obstacle := _incomparable(workspace, candidate, rival, config):
        return Promotion(promoted=False, why=obstacle, against=current)
    return _compared(candidate, rival, config)


def _incomparable(workspace: Workspace, candidate: Bundle, current: Bundle, config: TrainConfig) -> str | None:
    """Why the two cannot be scored on the same conversations, if they cannot."""
    if current.emotions != candidate.emotions:
        return f"it names other emotions than {current.model_id}: {', '.join(current.emotions)}"
    try:
        feature_folders(workspace, read_archive(workspace, config.archive), current, config.archive)
    except WorkflowError as error:
        return f"it could not be compared: {error}"
    return None


def _compared(candidate: Bundle, current: Bundle, config: TrainConfig) -> Promotion:
    from tasks.training.scoring import score_models  # brings torch, and a model in production is scored no more

    ours, theirs = (scored.compared for scored in score_models([candidate, current], config, split="dev"))
    score = SCORES[PRIMARY]
    draws = [bootstrap([counts], _DRAWS)[PRIMARY] for counts in (ours, theirs)]
    differences = draws[0] - draws[1]
    difference = float(score.compute(ours.sum(axis=0)) - score.compute(theirs.sum(axis=0)))
    floor = float(np.quantile(differences, 1 - config.promote_confidence))
    fine = floor >= -config.promote_margin
    why = (
        f"dev {score.label} {difference:+.4f} against {current.model_id}; in {config.promote_confidence:.0%} of the "
        f"draws above {floor:+.4f}, {'within' if fine else 'and not within'} the margin of {config.promote_margin:g}"
    )
    return Promotion(
        promoted=fine, why=why, against=current.model_id, difference=difference, interval=interval(differences)
    )
