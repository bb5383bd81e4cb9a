"""What a run shows: one Markdown page a stage, in Prefect as an artifact and on the terminal as it is.

Pages hold counts, scores and places; nothing that anyone said.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from flows.reports.markdown import place, table, table_of_some, together
from sdt_model.config import Modality
from sdt_model.markdown import escaped
from sdt_model.metrics.scores import PRIMARY, SCORES, SPLITS
from tasks.archive.facts import FeatureFacts, IngestFacts
from tasks.archive.layout import archive_features_folder, archive_folder
from tasks.config.date_range import UNDATED, DateRange
from tasks.config.stages import RunSettings
from tasks.ingest.losses import column_losses
from tasks.ingest.validate import NO_VALUE, UNREADABLE
from tasks.query import rejection_reasons
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace

if TYPE_CHECKING:  # they bring torch along, which takes seconds
    from tasks.finetuning.finetune import FinetuneReport
    from tasks.label.report import LabelReport
    from tasks.training.train import TrainReport

Features = dict[Modality, Manifest | None]


class PipelineReport(NamedTuple):
    """What each stage made."""

    archive: Manifest
    features: Features
    model: "TrainReport"
    labels: "LabelReport"


_MOST_REASONS = 10
_MOST_FILES = 20
_MOST_DAYS = 20
_TRY_AGAIN = "They stay so until their content changes; to try them again: `--set retry_set_aside=true`"
_SYNTHETIC = "The archive is SYNTHETIC: its scores say that the workflow works, and nothing about people."


def throughput(rows: int, seconds: float) -> str:
    """Of a whole run: what it found done counts as well, and the start of Ray takes its time."""
    return f"Throughput: {rows:,} utterances in {seconds:,.1f} s, {rows / max(seconds, 0.1):,.0f} a second"


def ingest_page(config: RunSettings, manifest: Manifest) -> str:
    """Rows in, accepted and rejected with the kinds of reason, and what the utterances have."""
    counts = manifest.counts
    blocks = [
        f"## Ingest: archive {config.archive}",
        table(("rows in", "accepted", "rejected"), [[counts[name] for name in ("rows_in", "accepted", "rejected")]]),
        table(
            ("text", "audio", "video", "annotated", "shards"),
            [[*(counts[name] for name in ("text", "audio", "video", "labelled")), len(manifest.shards)]],
        ),
    ]
    facts = IngestFacts.of(manifest)
    if facts.precomputed:
        rows = [(features.modality, features.dim) for features in facts.precomputed]
        blocks.append(table((f"features of {facts.layout}", "dimension"), rows))
    if losses := _losses(manifest):
        blocks.append(table(("column", "utterances", "not used because"), losses))
    if counts["rejected"]:
        reasons = rejection_reasons(Workspace(config.workspace), config.archive)
        shown = list(reasons.items())[:_MOST_REASONS]
        rest = sum(reasons.values()) - sum(count for _, count in shown)
        blocks.append(table(("rejected because", "rows"), [*shown, *([("other reasons", rest)] if rest else [])]))
    return together([*blocks, place("Archive", config, archive_folder(config.archive))])


def extract_page(config: RunSettings, features: Features) -> str:
    """For each modality the extractor, and how many utterances have a vector, or one of less, have none, or failed."""
    rows = [_features_row(modality, manifest) for modality, manifest in features.items()]
    header = ("modality", "extractor", "dimension", "present", "of it partial", "absent", "failed")
    title = f"## Extract: archive {config.archive}"
    where = place("Features", config, archive_features_folder(config.archive))
    return together([title, table(header, rows), *_aside(features), where])


def train_page(config: RunSettings, report: "TrainReport") -> str:
    """The scores by split, whether the model went into production, and where it lies."""
    epochs = f"{report.epochs} epochs" if report.epochs else "it was there already"
    best = report.metrics.get("best_epoch")
    if report.epochs and best is not None:
        epochs += f", the best on dev was epoch {int(best) + 1}"
    title = f"## Train: model {report.model_id}"
    production = f"In production: {'yes' if report.promotion.promoted else 'no'}, {escaped(report.promotion.why)}"
    where = place("Model", config, report.path)
    return together([title, _scores(report.metrics), f"Trained: {epochs}", production, where])


def finetune_text_page(config: RunSettings, report: "FinetuneReport") -> str:
    """The encoder's own scores, how to use it, and where it lies."""
    encoders = f"{report.folds} encoders, each without its share of the training conversations; their mean scores"
    title = f"## Fine-tune: text encoder {report.encoder_id}"
    trained = f"Trained: {report.epochs} epochs" if report.epochs else "Trained: it was there already"
    use = f"As an extractor: `extractors.text=finetuned:{report.encoder_id}`"
    where = place("Encoder", config, report.path)
    return together([title, *([encoders] if report.folds > 1 else []), _scores(report.metrics), trained, use, where])


def label_page(config: RunSettings, report: "LabelReport") -> str:
    """Rows by status and by emotion, how far that is from before, where they lie, and which days are out of date."""
    title = f"## Label: archive {config.archive}, model {report.model_id}"
    where = place("Labels", config, report.folder)
    if not report.rows:
        return together([title, f"No conversations on {report.period}.", *_outdated(config, report), where])
    status = table(
        ("utterances", "ok", "degraded", "failed"), [[report.rows, report.ok, report.degraded, report.failed]]
    )
    labelled = max(1, sum(report.emotions.values()))
    most = sorted(report.emotions.items(), key=lambda pair: (-pair[1], pair[0]))
    emotions = table(("emotion", "utterances", "share"), [(name, n, f"{n / labelled:.1%}") for name, n in most])
    return together([title, *_days(report), status, emotions, *_drifts(report), *_outdated(config, report), where])


def pipeline_page(config: RunSettings, report: PipelineReport) -> str:
    """The four stages on one page."""
    return together(
        [
            f"# Pipeline: archive {config.archive}",
            ingest_page(config, report.archive),
            extract_page(config, report.features),
            train_page(config, report.model),
            label_page(config, report.labels),
        ]
    )


def demo_page(config: RunSettings, report: PipelineReport) -> str:
    """The pipeline's page, and what its scores are worth."""
    return together([pipeline_page(config, report), _SYNTHETIC])


_WHY = {NO_VALUE: "stands for no value", UNREADABLE: "not readable as seconds: without audio and video, too"}
_NO_TIME = "not readable as a time: see `time_format`"


def _losses(manifest: Manifest) -> list[Sequence[object]]:
    """The cells of accepted rows that were not used, by column."""
    return [
        (column, count, _NO_TIME if (kind, column) == (UNREADABLE, "occurred_at") else _WHY[kind])
        for kind, columns in column_losses(manifest).items()
        for column, count in columns.items()
    ]


def _features_row(modality: Modality, manifest: Manifest | None) -> Sequence[object]:
    if manifest is None:
        return modality, "none in the archive", "", "", "", "", ""
    facts, counts = FeatureFacts.of(manifest), manifest.counts
    numbers = (counts.get(name, 0) for name in ("present", "partial", "absent", "failed"))
    return modality, facts.extractor, facts.dim, *numbers


def _aside(features: Features) -> list[str]:
    """The files that were set aside, if there are any."""
    rows = [
        (modality, name, why.reason)
        for modality, manifest in features.items()
        for name, why in (manifest.aside if manifest else {}).items()
    ]
    return [table_of_some(("modality", "file set aside", "because"), rows, _MOST_FILES), _TRY_AGAIN] if rows else []


def _days(report: "LabelReport") -> list[str]:
    """What became of each day, where not all of them were asked for."""
    if report.period == DateRange():
        return []
    rows = [(_day(day), count, "" if day in report.new_days else "was there") for day, count in report.days.items()]
    return [table_of_some(("day", "utterances", "labels"), rows, _MOST_DAYS, latest=True)]


def _drifts(report: "LabelReport") -> list[str]:
    """How far the emotions are from others, where there are enough to say."""
    rows = [(d.against, d.label, f"{d.value:.3f}", "look at it" if d.warns else "") for d in report.drifts]
    return [table(("emotions, against", "statistic", "value", ""), rows)] if rows else []


def _outdated(config: RunSettings, report: "LabelReport") -> list[str]:
    """The days that were not asked for and whose labels are not those of their conversations, if there are any."""
    rows = [(_day(day), why) for day, why in report.outdated.items()]
    dated = [day for day in report.outdated if day != UNDATED]
    again = [f"sdt label {config.archive} --since {dated[0]} --until {dated[-1]}"] if dated else []
    again += [f"sdt label {config.archive}"] if len(dated) < len(rows) else []
    shown = table_of_some(("day out of date", "because"), rows, _MOST_DAYS, latest=True)
    return [shown, f"To label them: `{again[-1]}`"] if rows else []


def _day(name: str) -> str:
    return "undated" if name == UNDATED else name


def _scores(metrics: Mapping[str, float]) -> str:
    rows = [
        (where, *(score.text(metrics.get(f"{split}_{name}")) for name, score in SCORES.items()))
        for split, where in SPLITS.items()
        if f"{split}_{PRIMARY}" in metrics
    ]
    return table(("split", *(score.label for score in SCORES.values())), rows)
