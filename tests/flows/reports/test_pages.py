"""Pages hold counts, scores and places, in tables that Markdown understands."""

from datetime import date

from flows.reports.markdown import table
from flows.reports.pages import (
    PipelineReport,
    demo_page,
    extract_page,
    finetune_text_page,
    ingest_page,
    label_page,
    train_page,
)
from tasks.archive.facts import FeatureFacts
from tasks.archive.manifests import read_archive
from tasks.config.date_range import UNDATED, DateRange
from tasks.finetuning.finetune import FinetuneReport
from tasks.label.report import LabelReport
from tasks.storage.manifest import Manifest, ShardRecord
from tasks.storage.workspace import Workspace
from tasks.training.promotion import Promotion
from tasks.training.train import TrainReport
from tests.fixtures import archives as made
from tests.fixtures.archives import rejected_archive
from tests.fixtures.pages import cells, settings

SCORES = {"weighted_f1": 0.5, "macro_f1": 0.25, "accuracy": 0.75}
MODEL = TrainReport(
    model_id="sdt-made-1", path="models/sdt-made-1", epochs=7,
    metrics={"best_epoch": 3.0, **{f"{split}_{k}": v for split in ("dev", "test") for k, v in SCORES.items()}},
    promotion=Promotion(promoted=False, why="it is worse"),
)  # fmt: skip
LABELS = LabelReport(
    rows=2000, ok=1500, degraded=400, failed=100, emotions={"anger": 475, "joy": 1425}, model_id="sdt-made-1",
    folder="labels/made", period=DateRange(), days={"2026-03-01": 1500, UNDATED: 500}, new_days=("2026-03-01",),
    outdated={},
)  # fmt: skip


def counted(archive: Manifest, **counts: int) -> Manifest:
    first = archive.shards[0].model_copy(update={"counts": counts})
    return archive.model_copy(update={"shards": (first,)})


def test_ingest_counts_and_kinds_of_rejection(workspace: Workspace) -> None:
    rejected_archive(workspace)
    archive = read_archive(workspace, "made")
    counts = {"rows_in": 1234, "accepted": 1229, "rejected": 5, "text": 9, "audio": 8, "video": 7, "labelled": 6}
    page = ingest_page(settings(workspace), counted(archive, **counts))
    rows = cells(page)
    assert ["1,234", "1,229", "5"] in rows and ["9", "8", "7", "6", "1"] in rows
    assert ["duplicate", "2"] in rows and ["turn … is not a whole number", "2"] in rows and ["no turn", "1"] in rows
    assert "it's me" not in page and f"`{workspace.uri('archives/made')}`" in page


def test_ingest_counts_the_cells_that_were_not_used(workspace: Workspace) -> None:
    counts = {"rows_in": 9, "accepted": 9, "rejected": 0, "text": 9, "audio": 8, "video": 7, "labelled": 6}
    losses = {"no_value.emotion": 3, "unreadable.occurred_at": 2, "unreadable.start_s": 1}
    rows = cells(ingest_page(settings(workspace), counted(made.archive(workspace), **counts, **losses)))
    assert ["emotion", "3", "stands for no value"] in rows
    assert ["occurred_at", "2", "not readable as a time: see `time_format`"] in rows
    assert ["start_s", "1", "not readable as seconds: without audio and video, too"] in rows


def test_extract_says_what_is_there_for_each_modality(workspace: Workspace) -> None:
    shard = ShardRecord(
        index=0, path="p", rows=9, bytes=1, sha256="0", counts={"rows": 9, "present": 5, "absent": 3, "failed": 1}
    )
    facts = FeatureFacts(
        modality="text", extractor="minilm", extractor_fingerprint="f", dim=384, archive_fingerprint="f"
    ).plain()
    text = Manifest(stage="extract-text", fingerprint="f", shards=(shard,), columns={}, facts=facts)
    rows = cells(extract_page(settings(workspace), {"text": text, "visual": None}))
    assert ["text", "minilm", "384", "5", "0", "3", "1"] in rows
    assert rows[-1][:2] == ["visual", "none in the archive"]


def test_extract_counts_the_vectors_with_a_reason_beside_them(workspace: Workspace) -> None:
    counts = {"rows": 9, "present": 5, "absent": 3, "failed": 1, "partial": 2}
    shard = ShardRecord(index=0, path="p", rows=9, bytes=1, sha256="0", counts=counts)
    facts = FeatureFacts(
        modality="audio", extractor="logmel", extractor_fingerprint="f", dim=80, archive_fingerprint="f"
    ).plain()
    audio = Manifest(stage="extract-audio", fingerprint="f", shards=(shard, shard), columns={}, facts=facts)
    header, _, row = (line for line in cells(extract_page(settings(workspace), {"audio": audio})) if len(line) == 7)
    assert dict(zip(header, row, strict=True))["of it partial"] == "4"


def test_train_shows_scores_by_split(workspace: Workspace) -> None:
    page = train_page(settings(workspace), MODEL)
    assert ["dev", "0.5000", "0.2500", "0.7500"] in cells(page) and "7 epochs, the best on dev was epoch 4" in page
    assert "In production: no, it is worse" in page
    assert "it was there already" in train_page(settings(workspace), MODEL.model_copy(update={"epochs": 0}))


def test_label_shows_status_and_distribution(workspace: Workspace) -> None:
    page = label_page(settings(workspace), LABELS)
    rows = cells(page)
    assert ["2,000", "1,500", "400", "100"] in rows
    assert rows.index(["joy", "1,425", "75.0%"]) < rows.index(["anger", "475", "25.0%"])
    assert workspace.uri("labels/made") in page


def test_label_of_some_days_says_what_became_of_each(workspace: Workspace) -> None:
    days = {
        "period": DateRange(since=date(2026, 3, 1)),
        "outdated": {"2026-02-27": "never labelled", UNDATED: "why not"},
    }
    page = label_page(settings(workspace), LABELS.model_copy(update=days))
    rows = cells(page)
    assert ["2026-03-01", "1,500", ""] in rows and ["undated", "500", "was there"] in rows
    assert ["2026-02-27", "never labelled"] in rows and ["undated", "why not"] in rows
    assert "`sdt label made`" in page and "was there" not in label_page(settings(workspace), LABELS)


def test_label_of_a_day_without_conversations_says_so(workspace: Workspace) -> None:
    day = DateRange(since=date(2026, 3, 5), until=date(2026, 3, 5))
    nothing = {"rows": 0, "ok": 0, "degraded": 0, "failed": 0, "days": {}, "made": (), "period": day}
    page = label_page(settings(workspace), LABELS.model_copy(update=nothing | {"outdated": {"2026-03-01": "changed"}}))
    assert "No conversations on 2026-03-05." in page
    assert "`sdt label made --since 2026-03-01 --until 2026-03-01`" in page


def test_the_demo_says_that_its_archive_is_synthetic(workspace: Workspace) -> None:
    archive = counted(made.archive(workspace), rows_in=1, accepted=1, rejected=0, text=1, audio=1, video=1, labelled=1)
    page = demo_page(settings(workspace), PipelineReport(archive, {}, MODEL, LABELS))
    assert "SYNTHETIC" in page and [line for line in page.splitlines() if line.startswith("#")] == [
        "# Pipeline: archive made", "## Ingest: archive made", "## Extract: archive made",
        "## Train: model sdt-made-1", "## Label: archive made, model sdt-made-1",
    ]  # fmt: skip


def test_finetune_text_names_the_extractor_and_the_encoder_s_own_scores(workspace: Workspace) -> None:
    report = FinetuneReport(encoder_id="made-1", path="encoders/made-1", metrics=MODEL.metrics, folds=3, epochs=9)
    page = finetune_text_page(settings(workspace), report)
    assert ["dev", "0.5000", "0.2500", "0.7500"] in cells(page)
    assert "extractors.text=finetuned:made-1" in page and "3 encoders" in page and "9 epochs" in page
    again = finetune_text_page(settings(workspace), report.model_copy(update={"epochs": 0, "folds": 1}))
    assert "it was there already" in again and "encoders," not in again


def test_a_name_from_elsewhere_stands_on_a_page_as_it_reads() -> None:
    page = table(("emotion", "![x](http://e.vil)"), [("<img src=//e.vil/p.png>", 3), ("[joy](https://e.vil)", 4)])
    assert cells(page)[2:] == [["&lt;img src=//e.vil/p.png>", "3"], [r"\[joy\](https\://e.vil)", "4"]]
    assert r"!\[x\](http\://e.vil)" in page
