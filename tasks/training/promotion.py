"""Whether a new model may replace the one in production: not unless it is not worse on the same dev conversations.

It is compared with the model in production and with the best that was there before: else each successor could lose a
little, and nobody would see what was lost together. All are scored on the dev split of the archive that the new one was
trained on, where an utterance that one can say nothing of counts against it. The new one is not worse if it loses no
more than a margin, as sure as is asked for (a one-sided test of non-inferiority, `sdt_model.metrics.intervals`). Where
that cannot be told, as the conversations are too few or a model may have seen them, nothing changes.
"""

import logging
from collections.abc import Sequence
from typing import Literal

from sdt_model.bundle import Bundle
from sdt_model.config import Frozen
from sdt_model.conversations import Ints
from sdt_model.metrics.intervals import FEWEST, Interval, estimates
from sdt_model.metrics.scores import PRIMARY, SCORES
from tasks.archive.manifests import read_archive
from tasks.config.training import TrainConfig
from tasks.errors import WorkflowError
from tasks.features.reader import feature_folders
from tasks.registry.models import Production, promote, read_bundle, read_production
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.train")

_DRAWS = 1000
Outcome = Literal["better", "not worse", "worse", "undecidable"]


class Promotion(Frozen):
    """What became of a new model."""

    promoted: bool
    """It is in production now."""
    why: str
    """In words."""
    against: str | None = None
    """The model that it was compared with: the one in production, or one that was there before and is better."""
    outcome: Outcome | None = None
    """Of the comparison; null: there was none."""
    difference: float | None = None
    """Dev weighted F1 of the new one minus that of the other, on the same conversations."""
    interval: Interval | None = None
    """Of the difference; null: too few conversations."""


def promote_if(workspace: Workspace, candidate: Bundle, config: TrainConfig) -> Promotion:
    """Put the new model into production where `config.promote` lets it.

    Raises:
        StageFailed: the models could not be scored.
    """
    pointer = read_production(workspace)
    decision = _decide(workspace, candidate, config, pointer)
    if decision.promoted:
        best = decision.against if decision.outcome == "not worse" and (decision.difference or 0) < 0 else None
        promote(workspace, candidate.model_id, decision.why, best, pointer)
    elif config.promote != "never":
        log.warning("train: %s was not put into production: %s", candidate.model_id, decision.why)
    return decision


def _decide(workspace: Workspace, candidate: Bundle, config: TrainConfig, pointer: Production | None) -> Promotion:
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
        return Promotion(promoted=False, why=obstacle, against=current, outcome="undecidable")
    return _compared(candidate, [rival, *_predecessors(workspace, candidate, pointer, config)], config)


def _predecessors(workspace: Workspace, candidate: Bundle, pointer: Production, config: TrainConfig) -> list[Bundle]:
    """The models that were in production before and can be compared with; one that was rolled back is none of them."""
    names = dict.fromkeys([*([pointer.best] if pointer.best else []), *(term.model_id for term in pointer.before)])
    passed_over = {pointer.model_id, candidate.model_id, *pointer.withdrawn}
    earlier = (read_bundle(workspace, name) for name in names if name not in passed_over)
    return [b for b in earlier if b is not None and _incomparable(workspace, candidate, b, config) is None]


def _incomparable(workspace: Workspace, candidate: Bundle, other: Bundle, config: TrainConfig) -> str | None:
    """Why the two cannot be scored on the same conversations, if they cannot."""
    if other.emotions != candidate.emotions:
        return f"it names other emotions than {other.model_id}: {', '.join(other.emotions)}"
    if other.made_with.get("split") != candidate.made_with.get("split"):
        return (
            f"it could not be compared: {other.model_id} was trained with other shares of train, dev and test, and may "
            f"have learned from these dev conversations; to replace it all the same: sdt promote {candidate.model_id}"
        )
    try:
        feature_folders(workspace, read_archive(workspace, config.archive), other, config.archive)
    except WorkflowError as error:
        return f"it could not be compared: {error}"
    return None


def _compared(candidate: Bundle, rivals: Sequence[Bundle], config: TrainConfig) -> Promotion:
    """Compare with the first rival, which is in production, and with the one that is best; the worse outcome counts."""
    from tasks.training.scoring import score_models  # brings torch, and a model in production is scored no more

    ours, *theirs = (scored.compared for scored in score_models([candidate, *rivals], config, split="dev"))
    score = SCORES[PRIMARY]
    best = max(range(len(theirs)), key=lambda place: float(score.compute(theirs[place].sum(axis=0))))
    decisions = [_against(rivals[place], ours, theirs[place], config) for place in dict.fromkeys((best, 0))]
    return next((decision for decision in decisions if not decision.promoted), decisions[0])


def _against(other: Bundle, ours: Ints, theirs: Ints, config: TrainConfig) -> Promotion:
    """The outcome against one model; counts (conversations, K, K + 1) as `Scored.compared`."""
    score = SCORES[PRIMARY]
    difference = float(score.compute(ours.sum(axis=0)) - score.compute(theirs.sum(axis=0)))
    estimate = estimates([ours], _DRAWS, against=theirs).get(PRIMARY)
    shown = f"dev {score.label} {difference:+.4f} against {other.model_id}"
    if estimate is None:
        why = f"{shown}, and fewer than {FEWEST} annotated dev conversations, which is too few to tell"
        return Promotion(promoted=False, why=why, against=other.model_id, outcome="undecidable", difference=difference)
    floor, ceiling = (estimate.bound(share) for share in (config.promote_confidence, 1 - config.promote_confidence))
    outcome: Outcome = "worse" if ceiling < 0 else "undecidable"
    if floor >= -config.promote_margin:
        outcome = "better" if floor > 0 else "not worse"
    fine = outcome in ("better", "not worse")
    why = (
        f"{outcome}: {shown}; with {config.promote_confidence:.0%} confidence above {floor:+.4f}, "
        f"{'within' if fine else 'and not within'} the margin of {config.promote_margin:g}"
    )
    if outcome == "undecidable":
        why += f" on {estimate.conversations} conversations: more annotated dev conversations would tell"
    return Promotion(
        promoted=fine,
        why=why,
        against=other.model_id,
        outcome=outcome,
        difference=difference,
        interval=estimate.interval,
    )
