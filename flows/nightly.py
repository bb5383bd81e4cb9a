"""Flow `sdt-label` of the deployment `nightly`: what arrived, labelled day by day, with nobody watching.

The sources, if the configuration names any, are brought in again; the model's extractors make what features are
missing; then the day is labelled, and of the days looked back to those that have changed: conversations that went on
past midnight, utterances that arrived late, nights that failed.
"""

from dataclasses import replace

from flows.extract import extract_flow
from flows.ingest import excessive_losses, ingest_flow
from flows.label import label_outcome
from flows.orchestration import conclude, current_run, flow, run_task
from flows.run_state import aside_files
from tasks.archive.manifests import read_archive
from tasks.config.flows import NightlyConfig
from tasks.label.days import check_dated
from tasks.label.report import LabelReport
from tasks.label.stage import label
from tasks.registry.models import check_encoders, extractor_names, find_bundle
from tasks.storage.workspace import Workspace


@flow("sdt-label")
def nightly_flow(config: NightlyConfig) -> LabelReport:
    """Label one day of an archive, and what changed in the days before it."""
    day = config.date or current_run().scheduled.date()  # in UTC, however late the run began
    workspace = Workspace(config.workspace)
    rejections: tuple[str, ...] = ()
    if config.source is not None:
        sources = config.ingest(config.source)
        rejections = excessive_losses(sources, ingest_flow(sources))
    check_dated(read_archive(workspace, config.archive), config.archive)
    bundle = find_bundle(workspace, config.model)  # once: another may go into production meanwhile
    if not config.fetch_encoders:
        check_encoders(bundle)
    features = extract_flow(config.extract(extractor_names(bundle), tuple(bundle.features)))
    labelling = config.label(bundle.model_id, day)
    report = run_task("label", label, labelling, current_run().name)
    conclude(replace(label_outcome(labelling, report, aside_files(features.values())), rejections=rejections))
    return report
