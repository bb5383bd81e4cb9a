"""Flow `sdt-pipeline`: ingest, extract, train and label in turn, each the flow that also runs alone, in one Ray."""

from prefect import flow

from flows.extract import extract_flow
from flows.ingest import ingest_flow
from flows.label import label_flow
from flows.reports.pages import PipelineReport, pipeline_page, publish
from flows.run_state import ended
from flows.train import train_flow
from tasks.config.flows import PipelineConfig
from tasks.executor.cluster import connected


@flow(name="sdt-pipeline", persist_result=False)
def pipeline_flow(config: PipelineConfig) -> PipelineReport:
    """From source files to labels, by a model trained on the annotated ones among them."""
    with connected(config.ray):
        archive = ingest_flow(config.ingest())
        features = extract_flow(config.extract())
        modalities = tuple(modality for modality, manifest in features.items() if manifest is not None)
        model = train_flow(config.train(modalities))
        labels = label_flow(config.label(model.model_id))
    report = PipelineReport(archive, features, model, labels)
    publish("sdt-pipeline", pipeline_page(config, report))
    return ended(report, features)
