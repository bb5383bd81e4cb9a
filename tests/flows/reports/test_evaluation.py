"""Pages of scores say how the epoch was chosen, and keep the paper's protocol under its own name."""

import pytest

from flows.reports.evaluation import ablate_page, evaluate_page
from sdt_model.ablations import FULL
from sdt_model.metrics.intervals import Interval
from sdt_model.metrics.scores import SCORES, Score, f1_scores
from tasks.evaluation.ablate import AblationReport, SubsetScores, VariantScores
from tasks.evaluation.evaluate import Comparison, EvaluationReport, ModelScores
from tasks.evaluation.seeds import spread
from tasks.storage.workspace import Workspace
from tests.fixtures.pages import cells, settings


def model(seed: int, score: float) -> ModelScores:
    kinds = ("weighted_f1", "macro_f1", "accuracy")
    scores = {f"{split}_{kind}": score for split in ("dev", "test", "paper_protocol_test") for kind in kinds}
    scores |= {f"{split}_ece_{when}": 0.2 if when == "before" else 0.05 for split in ("dev", "test") for when in WHEN}
    scores |= {"test_f1.anger": score, "test_f1.joy": 0.3, "paper_protocol_test_weighted_f1": 0.9}
    return ModelScores(model_id=f"sdt-{seed}", seed=seed, calibration_temperature=1.5, scores=scores)


WHEN = ("before", "after")


def report(**more: object) -> EvaluationReport:
    models = (model(0, 0.5), model(1, 0.7))
    return EvaluationReport(
        archive="made", path="evaluations/made/1.json", emotions=("anger", "joy"), conversations=40, utterances=1400,
        draws=1000, models=models, confusion=((9, 1), (2, 8)),
        scores={name: spread([m.scores[name] for m in models]) for name in models[0].scores},
        intervals={"test_weighted_f1": Interval(low=0.55, high=0.65)}, **more,
    )  # fmt: skip


def test_evaluate_shows_scores_intervals_and_calibration(workspace: Workspace) -> None:
    page = evaluate_page(settings(workspace), report())
    rows = cells(page)
    assert ["test", "weighted F1", "0.6000 ± 0.1414", "0.5500 to 0.6500"] in rows
    assert ["test, epoch chosen on test (paper protocol)", "weighted F1", "0.9000 ± 0.0000", ""] in rows
    assert ["anger", "0.6000 ± 0.1414", "9", "1"] in rows
    assert ["test", "0.2000 ± 0.0000", "0.0500 ± 0.0000"] in rows
    assert ["1", "sdt-1", "1.500", "0.7000", "0.7000", "0.7000", "0.7000", "0.9000"] in rows
    assert "chosen on dev" in page and "1,400 utterances" in page and "Beside" not in page
    assert workspace.uri("evaluations/made/1.json") in page


def test_reports_of_before_a_score_was_added_are_shown_without_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SCORES, "best_f1", Score(lambda confusion: f1_scores(confusion).max(axis=-1), "best F1", ".1f"))
    old = Comparison(model_id="sdt-x", score=0.58, difference=0.02, interval=Interval(low=-0.01, high=0.05), p=0.21)
    rows = cells(evaluate_page(settings(workspace), report(against={"test_weighted_f1": old})))
    assert ["1", "sdt-1", "1.500", "0.7000", "0.7000", "0.7000", "0.7000", "", "0.9000"] in rows
    assert [row[1] for row in rows if row[0] == "test"][:3] == ["weighted F1", "macro F1", "accuracy"]
    new = report()
    scores = new.scores | {"test_best_f1": spread([0.61, 0.73])}
    rows = cells(evaluate_page(settings(workspace), new.model_copy(update={"scores": scores})))
    assert ["test", "best F1", "0.7 ± 0.1", ""] in rows


def test_a_second_model_is_shown_with_the_difference(workspace: Workspace) -> None:
    found = Comparison(model_id="sdt-x", score=0.58, difference=0.02, interval=Interval(low=-0.01, high=0.05), p=0.21)
    page = evaluate_page(settings(workspace), report(against={"test_weighted_f1": found}))
    assert ["weighted F1", "0.6000", "0.5800", "+0.0200", "-0.0100 to +0.0500", "0.210"] in cells(page)
    assert "Beside sdt-x" in page


def test_ablate_shows_each_variant_beside_the_full_model_and_each_subset(workspace: Workspace) -> None:
    def variant(name: str, score: float) -> VariantScores:
        return VariantScores(
            name=name, models=("a", "b"), utterances=1300, score=spread([score, score]), difference=score - 0.6
        )

    text = SubsetScores(
        modalities=("text",), utterances=1200, heads={"fused": 0.4, "text": 0.41},
        best_student="text", over_best=Interval(low=-0.03, high=0.01),
    )  # fmt: skip
    both = SubsetScores(
        modalities=("text", "audio"), utterances=1300, heads={"fused": 0.6, "text": 0.5, "audio": 0.3},
        best_student="text", over_best=Interval(low=0.05, high=0.15),
    )  # fmt: skip
    found = AblationReport(
        archive="made", path="evaluations/made/ablation-1.json", seeds=(0, 1), subset_model="sdt-1",
        variants=(variant(FULL, 0.6), variant("without unimodal gates", 0.55)), subsets=(text, both),
    )  # fmt: skip
    page = ablate_page(settings(workspace), found)
    rows = cells(page)
    assert ["full model", "1,300", "0.6000 ± 0.0000", ""] in rows
    assert ["without unimodal gates", "1,300", "0.5500 ± 0.0000", "-0.0500"] in rows
    assert ["text", "1,200", "0.4000", "0.4100", "", "-0.0300 to +0.0100"] in rows
    assert ["text+audio", "1,300", "0.6000", "0.5000", "0.3000", "+0.0500 to +0.1500"] in rows
    assert "sdt-1 when it is given only some modalities" in page and workspace.uri(found.path) in page


def test_too_few_conversations_are_named_in_place_of_an_interval(workspace: Workspace) -> None:
    few = Comparison(model_id="sdt-x", score=0.58, difference=0.02)
    page = evaluate_page(
        settings(workspace), report(against={"test_weighted_f1": few}).model_copy(update={"intervals": {}})
    )
    assert ["test", "weighted F1", "0.6000 ± 0.1414", "too few conversations"] in cells(page)
    assert ["weighted F1", "0.6000", "0.5800", "+0.0200", "too few conversations", "too few conversations"] in cells(
        page
    )
