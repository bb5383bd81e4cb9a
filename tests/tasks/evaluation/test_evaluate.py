"""Small models of two seeds, trained and scored."""

import logging
from unittest.mock import Mock

import pytest

from tasks.config.training import EvaluateConfig
from tasks.errors import WorkflowError
from tasks.evaluation import evaluate as evaluate_module
from tasks.evaluation.evaluate import EvaluationReport, evaluate
from tasks.registry.models import production, read_bundle, write_bundle
from tasks.storage.workspace import Workspace
from tasks.training.plan import plan_training
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations
from tests.fixtures.executor.local import LOCAL
from tests.fixtures.models import promoted_model


def config(workspace: Workspace, **more: object) -> EvaluateConfig:
    training = made_conversations.training(epochs=4, dropout=0.1)
    return EvaluateConfig(workspace=workspace.url, ray=LOCAL, archive="made", training=training, draws=200, **more)


@pytest.mark.long
def test_seeds_are_trained_scored_and_compared(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    made.archive(workspace)
    other = promoted_model(workspace)
    caplog.set_level(logging.INFO, "sdt")
    report = evaluate(config(workspace, seeds=(3, 4), against=other.model_id))
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
    assert evaluate(config(workspace, seeds=(3, 4), against=other.model_id)) == report
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
