"""Small models of two seeds, trained and scored."""

import logging
from typing import Any
from unittest.mock import Mock

import pytest

from tasks.archive.leases import whole_workspace
from tasks.config.training import EvaluateConfig, TrainConfig
from tasks.errors import WorkflowError
from tasks.evaluation import evaluate as evaluate_module
from tasks.evaluation import seeds
from tasks.evaluation.evaluate import EvaluationReport, evaluate
from tasks.evaluation.seeds import evaluating
from tasks.features.prune import plan_and_prune
from tasks.registry.models import production, read_bundle, write_bundle
from tasks.storage.lease import lease
from tasks.storage.workspace import Workspace
from tasks.training.plan import plan_training
from tasks.training.scoring import Scored
from tasks.training.train import TrainReport, train
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model


def config(workspace: Workspace, epochs: int = 1, **more: Any) -> EvaluateConfig:
    training = made_conversations.training(epochs=epochs, dropout=0.1)
    return EvaluateConfig(workspace=workspace.url, ray=LOCAL, archive="made", training=training, draws=200, **more)


@pytest.mark.long
def test_seeds_are_trained_scored_and_compared(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    made.archive(workspace)
    other = promoted_model(workspace)
    caplog.set_level(logging.INFO, "sdt")
    report = evaluate(config(workspace, epochs=4, seeds=(3, 4), against=other.model_id))
    assert f"{other.model_id} was trained on other data" in caplog.text
    assert "evaluate: seed 4 (2 of 2)" in caplog.messages and production(workspace) == other.model_id
    assert [m.seed for m in report.models] == [3, 4] and len({m.model_id for m in report.models}) == 2
    for scored in report.models:
        bundle = read_bundle(workspace, scored.model_id)
        assert bundle is not None and bundle.calibration_temperature == scored.calibration_temperature != 1.0
        for name, value in bundle.metrics.items():  # what training said of the test split, counted anew
            if name in scored.scores:
                assert scored.scores[name] == pytest.approx(value, abs=1e-6), name
    values = [m.scores["test_weighted_f1"] for m in report.models]
    found, interval = report.scores["test_weighted_f1"], report.intervals["test_weighted_f1"]
    assert found.mean == pytest.approx(sum(values) / 2) and found.deviation > 0 and interval.low < interval.high
    assert sum(map(sum, report.confusion)) == 2 * report.utterances
    assert report.scores["paper_protocol_test_weighted_f1"].mean >= found.mean
    assert report.scores["test_ece_after"].mean > 0 and "test_f1.joy" in report.scores
    assert report.against is not None
    comparison = report.against["test_weighted_f1"]
    assert comparison.difference == pytest.approx(found.mean - comparison.score)
    assert comparison.interval.low > 0 and comparison.p < 0.05  # beside random weights
    assert EvaluationReport.model_validate(workspace.read_json(report.path)) == report

    before = {path: workspace.read_bytes(path) for path in workspace.files("")}
    caplog.clear()
    assert evaluate(config(workspace, epochs=4, seeds=(3, 4), against=other.model_id)) == report
    assert {path: workspace.read_bytes(path) for path in workspace.files("")} == before
    assert not [line for line in caplog.messages if "epoch" in line] and f"{report.path} is there" in caplog.text


def test_a_model_of_other_emotions_is_refused_before_anything_is_trained(workspace: Workspace) -> None:
    made.archive(workspace)
    bundle = promoted_model(workspace)
    other = bundle.model_copy(update={"model_id": "sdt-other", "emotions": ("anger", "joy", "awe")})
    write_bundle(workspace, "sdt-other", {"bundle.json": other.model_dump_json().encode()})
    with pytest.raises(WorkflowError, match=r"(?s)knows the emotions anger, joy, awe.*anger, joy, neutral"):
        evaluate(config(workspace, against="sdt-other"))


def test_a_model_that_was_trained_with_other_shares_of_the_archive_is_pointed_out(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate_module, "train_seeds", Mock(side_effect=InterruptedError))
    archive = made.archive(workspace)
    for fraction in (0.1, 0.2):
        plan = plan_training(workspace, config(workspace, dev_fraction=fraction)).bundle
        other = promoted_model(workspace).model_copy(
            update={"data_fingerprint": archive.fingerprint, "made_with": plan.made_with}
        )
        write_bundle(workspace, other.model_id, {"bundle.json": other.model_dump_json().encode()})
        caplog.clear()
        with pytest.raises(InterruptedError):
            evaluate(config(workspace, against=other.model_id))
        assert ("may have seen these test conversations" in caplog.text) == (fraction == 0.2)


@pytest.mark.long
def test_an_evaluation_that_another_run_is_at_is_left_to_it(workspace: Workspace) -> None:
    made.archive(workspace)
    with evaluating("evaluate", config(workspace, lease_s=20.0), "other"):
        with pytest.raises(WorkflowError, match=r"another run is writing evaluate of archive 'made'\n.*run other"):
            evaluate(config(workspace, lease_s=60.0))
        with pytest.raises(WorkflowError, match=r"another run is writing evaluate of archive 'made'\n"):
            plan_and_prune(workspace, lambda: pytest.fail("planned beside an evaluation"))
        with evaluating("evaluate", config(workspace, seeds=(7,)), ""):
            pass  # another one is not in the way
    with (
        lease(workspace, whole_workspace(), 20.0, "tidy"),
        pytest.raises(WorkflowError, match=r"what can be removed from the workspace\n.*run tidy"),
    ):
        evaluate(config(workspace))
    assert workspace.files("models") == workspace.files("evaluations") == []


@pytest.mark.long
@pytest.mark.parametrize("seed_of_change", [0, 1])
def test_an_archive_that_is_ingested_anew_meanwhile_is_not_evaluated(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, seed_of_change: int
) -> None:
    """Neither before the next training nor after the last."""
    made.archive(workspace)
    begun = []

    def train_then_change(one: TrainConfig, run: str) -> TrainReport:
        begun.append(one.training.optim.seed)
        report = train(one, run)
        if begun[-1] == seed_of_change:
            made.archive(workspace, seed=9)
        return report

    monkeypatch.setattr(seeds, "train", train_then_change)
    with pytest.raises(WorkflowError, match=r"evaluate: archive 'made' was ingested anew while this ran"):
        evaluate(config(workspace, seeds=(0, 1)))
    assert begun == list(range(seed_of_change + 1))
    assert workspace.files("evaluations") == workspace.files("leases") == []


@pytest.mark.long
def test_an_evaluation_whose_lease_another_took_writes_no_report(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.archive(workspace)
    score_models = evaluate_module.score_models

    def score_then_lose(*args: Any, **more: Any) -> list[Scored]:
        scored = score_models(*args, **more)
        for path in workspace.files("leases"):
            workspace.remove(path)
        return scored

    monkeypatch.setattr(evaluate_module, "score_models", score_then_lose)
    with pytest.raises(WorkflowError, match=r"the lease on evaluate of archive 'made' ran out"):
        evaluate(config(workspace, seeds=(0,)))
    assert all("/scores/" in path for path in workspace.files("evaluations"))


def test_a_seed_is_given_once(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="a seed is given twice"):
        config(workspace, seeds=(1, 1))


def test_a_test_split_that_no_model_can_say_anything_of_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.archive(workspace, missing=1.0)
    bundle = promoted_model(workspace, modalities=("audio",))
    monkeypatch.setattr(evaluate_module, "train_seeds", Mock(return_value=[bundle]))
    with pytest.raises(WorkflowError, match="no annotated utterance of made's test split has audio"):
        evaluate(config(workspace, seeds=(3,)))
