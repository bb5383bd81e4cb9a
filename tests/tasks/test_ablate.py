"""Variants of a small model, trained and scored on a real Ray."""

import logging

import pytest

from sdt_model.config import meld
from tasks.ablate import FULL, AblationReport, ablate, subsets_of, variants
from tasks.models import production, read_bundle
from tasks.training_config import AblateConfig
from tasks.workspace import Workspace
from tests.sdt_model import made as made_conversations
from tests.tasks import made


def test_every_variant_changes_one_part_and_the_full_model_is_the_first() -> None:
    training = meld()
    found = variants(training, made.MODALITIES)
    assert next(iter(found)) == FULL and found[FULL] == (training, made.MODALITIES) and len(found) == 8 + 6
    assert len({(t.model_dump_json(), m) for t, m in found.values()}) == len(found)
    objective, model = (lambda name: found[name][0].objective), (lambda name: found[name][0].model)
    assert (objective("without hard labels").gamma_ce, objective("without hard labels").gamma_kl) == (0, 1)
    assert (objective("without soft labels").gamma_ce, objective("without soft labels").gamma_kl) == (1, 0)
    both = objective("without self-distillation")
    assert (both.gamma_task, both.gamma_ce, both.gamma_kl, both.temperature) == (1, 0, 0, 8.0)
    assert model("without intra-modal transformers").transformers == "inter"
    assert model("without inter-modal transformers").transformers == "intra"
    assert model("without unimodal gates").unimodal_gates == "none"
    assert model("without the multimodal gate").multimodal_gate == "none"
    assert found["only audio+visual"] == (training, ("audio", "visual"))


def test_a_model_of_one_modality_has_no_part_between_modalities_to_lose() -> None:
    found = variants(meld(), ("text",))
    assert "without unimodal gates" in found and "without intra-modal transformers" not in found
    assert subsets_of(("visual", "text")) == (("text",), ("visual",), ("text", "visual"))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_variants_are_trained_and_stand_beside_the_full_model(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    made.archive(workspace, missing=0.3)
    caplog.set_level(logging.INFO, "sdt")
    config = AblateConfig(
        workspace=workspace.url, archive="made", training=made_conversations.training(epochs=2), seeds=(1,),
        variants=("without inter-modal transformers",),
    )  # fmt: skip
    report = ablate(config)
    full, without = report.variants
    assert (full.name, full.difference, without.name) == (FULL, 0, "without inter-modal transformers")
    assert "ablate: without inter-modal transformers (variant 2 of 2): seed 1 (1 of 1)" in caplog.messages
    bundle = read_bundle(workspace, without.models[0])
    assert bundle is not None and bundle.training.model.transformers == "intra"
    assert without.score.mean == bundle.metrics["test_weighted_f1"]
    assert without.difference == pytest.approx(without.score.mean - full.score.mean)
    assert production(workspace) is None
    assert report.subset_model == full.models[0] and len(report.subsets) == 7
    whole, text = report.subsets[-1], report.subsets[0]
    assert whole.heads["fused"] == pytest.approx(full.score.mean, abs=1e-6) and len(whole.heads) == 4
    assert set(text.heads) == {"fused", "text"} and 0 < text.utterances < whole.utterances
    assert text.best_student == "text" and whole.heads[whole.best_student] == max(
        score for name, score in whole.heads.items() if name != "fused"
    )
    assert whole.over_best.low <= whole.heads["fused"] - whole.heads[whole.best_student] <= whole.over_best.high
    assert AblationReport.model_validate(workspace.read_json(report.path)) == report
