"""Variants of a small model, trained and scored."""

import logging

import pytest

from sdt_model.ablations import FULL
from tasks.config.training import AblateConfig
from tasks.errors import WorkflowError
from tasks.evaluation.ablate import AblationReport, ablate
from tasks.evaluation.seeds import evaluating
from tasks.registry.models import production, read_bundle
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures import conversations as made_conversations
from tests.fixtures.executor.local import LOCAL


@pytest.mark.long
def test_variants_are_trained_and_stand_beside_the_full_model(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    made.archive(workspace, missing=0.3)
    caplog.set_level(logging.INFO, "sdt")
    config = AblateConfig(
        workspace=workspace.url, ray=LOCAL, archive="made", training=made_conversations.training(epochs=2), seeds=(1,),
        variants=("without inter-modal transformers", "only audio"),
    )  # fmt: skip
    report = ablate(config)
    full, without, only = report.variants
    assert (full.name, full.difference, without.name) == (FULL, 0, "without inter-modal transformers")
    assert "ablate: without inter-modal transformers (variant 2 of 3): seed 1 (1 of 1)" in caplog.messages
    bundle = read_bundle(workspace, without.models[0])
    assert bundle is not None and bundle.training.model.transformers == "intra"
    assert without.score.mean == bundle.metrics["test_weighted_f1"]
    assert without.difference == pytest.approx(without.score.mean - full.score.mean)
    assert production(workspace) is None
    assert report.subset_model == full.models[0] and len(report.subsets) == 7
    whole, text = report.subsets[-1], report.subsets[0]
    assert whole.heads["fused"] == pytest.approx(full.score.mean, abs=1e-6) and len(whole.heads) == 4
    assert set(text.heads) == {"fused", "text"} and 0 < text.utterances < whole.utterances
    assert full.utterances == without.utterances == whole.utterances
    assert (only.name, only.utterances) == ("only audio", report.subsets[1].utterances)
    assert text.best_student == "text" and whole.heads[whole.best_student] == max(
        score for name, score in whole.heads.items() if name != "fused"
    )
    assert whole.over_best.low <= whole.heads["fused"] - whole.heads[whole.best_student] <= whole.over_best.high
    assert AblationReport.model_validate(workspace.read_json(report.path)) == report


def test_an_ablation_that_another_run_is_at_is_left_to_it(workspace: Workspace) -> None:
    made.archive(workspace)
    config = AblateConfig(
        workspace=workspace.url, ray=LOCAL, archive="made", training=made_conversations.training(epochs=1), seeds=(1,),
        variants=("only audio",), lease_s=20.0,
    )  # fmt: skip
    with (
        evaluating("ablate", config, "other"),
        pytest.raises(WorkflowError, match=r"another run is writing ablate of archive 'made'\n.*run other"),
    ):
        ablate(config)
    assert workspace.files("models") == workspace.files("evaluations") == []
