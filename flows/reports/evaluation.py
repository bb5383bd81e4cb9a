"""What evaluations show: scores with their spread over seeds and their interval, and how sure the model may be."""

from collections.abc import Mapping

from flows.reports.markdown import place, table, together
from sdt_model.ablations import FULL
from sdt_model.metrics.intervals import FEWEST, Interval
from sdt_model.metrics.scores import PRIMARY, SCORES, SPLITS
from tasks.config.stages import RunSettings
from tasks.evaluation.ablate import AblationReport
from tasks.evaluation.evaluate import EvaluationReport
from tasks.evaluation.seeds import Spread

TOO_FEW = "too few conversations"


def evaluate_page(config: RunSettings, report: EvaluationReport) -> str:
    """Scores over the seeds, by emotion and by seed, the confusion matrix, calibration, and the second model."""
    seeds = ", ".join(str(model.seed) for model in report.models)
    return together(
        [
            f"## Evaluate: archive {report.archive}, seeds {seeds}",
            "The epoch was chosen on dev. Mean ± deviation over the seeds; the interval holds the mean in 95% of "
            f"cases, by {report.draws:,} bootstrap draws of the {report.conversations:,} test conversations "
            f"({report.utterances:,} utterances) and the seeds' variance. Fewer than {FEWEST} conversations are too "
            "few to say.",
            _scores(report),
            _by_emotion(report),
            _calibration(report.scores),
            *_comparison(report),
            _by_seed(report),
            place("Report", config, report.path),
        ]
    )


def ablate_page(config: RunSettings, report: AblationReport) -> str:
    """What each variant scores beside the full model, and one model with modalities taken away."""
    seeds = ", ".join(map(str, report.seeds))
    rows = [
        (v.name, v.utterances, _spread(v.score), "" if v.name == FULL else f"{v.difference:+.4f}")
        for v in report.variants
    ]
    return together(
        [
            f"## Ablate: archive {report.archive}, seeds {seeds}",
            "Weighted F1 on test at the epoch chosen on dev, mean ± deviation over the seeds; of a variant with fewer "
            "modalities over the utterances that have any of them.",
            table(("variant", "utterances", "weighted F1", "difference"), rows),
            f"{report.subset_model} when it is given only some modalities, weighted F1 on test, "
            "and a 95% interval of the difference by bootstrap:",
            _subsets(report),
            place("Report", config, report.path),
        ]
    )


def _subsets(report: AblationReport) -> str:
    students = report.subsets[-1].modalities
    rows = [
        (
            "+".join(subset.modalities),
            subset.utterances,
            *(f"{subset.heads[head]:.4f}" if head in subset.heads else "" for head in ("fused", *students)),
            _interval(subset.over_best, "+.4f"),
        )
        for subset in report.subsets
    ]
    return table(
        ("given", "utterances", "fused", *(f"student: {name}" for name in students), "fused - best student"), rows
    )


def _scores(report: EvaluationReport) -> str:
    rows = [
        (
            where,
            score.label,
            _spread(spread, score.form),
            _score_interval(report, f"{split}_{name}", score.form),
        )
        for split, where in SPLITS.items()
        for name, score in SCORES.items()
        if (spread := report.scores.get(f"{split}_{name}")) is not None
    ]
    return table(("split", "score", "mean", "95% interval"), rows)


def _by_emotion(report: EvaluationReport) -> str:
    """F1 and the confusion matrix, side by side."""
    rows = [
        (name, _spread(report.scores[f"test_f1.{name}"]), *row)
        for name, row in zip(report.emotions, report.confusion, strict=True)
    ]
    predicted = (f"said {name}" for name in report.emotions)
    return table(("true emotion (utterances summed over seeds)", "F1", *predicted), rows)


def _calibration(scores: Mapping[str, Spread]) -> str:
    rows = [
        (split, *(_spread(scores[f"{split}_ece_{when}"]) for when in ("before", "after")))
        for split in ("dev", "test")
        if f"{split}_ece_before" in scores
    ]
    return table(("calibration error", "before", "after"), rows)


def _comparison(report: EvaluationReport) -> list[str]:
    if report.against is None:
        return []
    rows = [
        (
            score.label,
            score.text(report.scores[f"test_{name}"].mean),
            score.text(comparison.score),
            f"{comparison.difference:+{score.form}}",
            _interval(comparison.interval, f"+{score.form}"),
            TOO_FEW if comparison.p is None else f"{comparison.p:.3f}",
        )
        for name, score in SCORES.items()
        if (comparison := report.against.get(f"test_{name}"))
    ]
    other = next(iter(report.against.values())).model_id
    header = ("test", "mean of the seeds", "the other", "difference", "95% interval", "p")
    return [f"Beside {other}, on the same conversations:", table(header, rows)]


def _by_seed(report: EvaluationReport) -> str:
    columns = [("dev", PRIMARY), *(("test", name) for name in SCORES), ("paper_protocol_test", PRIMARY)]
    rows = [
        (
            model.seed,
            model.model_id,
            f"{model.calibration_temperature:.3f}",
            *(SCORES[name].text(model.scores.get(f"{split}_{name}")) for split, name in columns),
        )
        for model in report.models
    ]
    header = [f"{split.replace('_test', '').replace('_', ' ')} {SCORES[name].label}" for split, name in columns]
    return table(("seed", "model", "temperature", *header), rows)


def _spread(spread: Spread, form: str = ".4f") -> str:
    return f"{spread.mean:{form}} ± {spread.deviation:{form}}"


def _score_interval(report: EvaluationReport, name: str, form: str) -> str:
    """Nothing of a score that has none, as by a version without it."""
    known = name in report.intervals or (name.startswith("test_") and not report.intervals)
    return _interval(report.intervals.get(name), form) if known else ""


def _interval(interval: Interval | None, form: str = ".4f") -> str:
    return TOO_FEW if interval is None else f"{interval.low:{form}} to {interval.high:{form}}"
