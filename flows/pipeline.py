"""Flow `sdt-pipeline`: ingest, extract, train and label in turn, each the flow that also runs alone, in one Ray."""

from flows.extract import extract_flow, feature_counts
from flows.ingest import excessive_losses, ingest_flow
from flows.label import label_counts, label_flow
from flows.orchestration import conclude, flow
from flows.reports.pages import PipelineReport, pipeline_page
from flows.run_state import Outcome, aside_files
from flows.train import train_flow
from tasks.config.flows import PipelineConfig


@flow("sdt-pipeline")
def pipeline_flow(config: PipelineConfig) -> PipelineReport:
    """From source files to labels, by a model trained on the annotated ones among them."""
    archive = ingest_flow(config.ingest())
    features = extract_flow(config.extract())
    modalities = tuple(modality for modality, manifest in features.items() if manifest is not None)
    model = train_flow(config.train(modalities))
    labels = label_flow(config.label(model.model_id))
    report = PipelineReport(archive, features, model, labels)
    conclude(pipeline_outcome(config, pipeline_page(config, report), report))
    return report


def pipeline_outcome(config: PipelineConfig, page: str, report: PipelineReport) -> Outcome:
    """What became of the four stages."""
    return Outcome(
        page,
        counts={**report.archive.counts, **feature_counts(report.features), **label_counts(report.labels)},
        outputs=(report.model.path, report.labels.folder),
        aside=aside_files(report.features.values()),
        rejections=excessive_losses(config, report.archive),
    )
