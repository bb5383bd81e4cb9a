"""Flow `sdt-label` of the deployment `nightly`: what arrived, labelled day by day, with nobody watching.

The sources, if the configuration names any, are brought in again; the model's extractors make what features are
missing; then the day is labelled, and of the days looked back to those that have changed: conversations that went on
past midnight, utterances that arrived late, nights that failed.
"""

from datetime import UTC, date

from prefect import flow
from prefect.runtime import flow_run

from flows.extract import extract_flow
from flows.ingest import ingest_flow
from flows.label import label_task
from flows.reports.pages import label_page, publish
from flows.run_state import ended
from tasks.archive.manifests import read_archive
from tasks.config.flows import NightlyConfig
from tasks.executor.cluster import connected
from tasks.label.days import check_dated
from tasks.label.report import LabelReport
from tasks.registry.models import extractor_names, find_bundle
from tasks.storage.workspace import Workspace


@flow(name="sdt-label", persist_result=False)
def nightly_flow(config: NightlyConfig) -> LabelReport:
    """Label one day of an archive, and what changed in the days before it."""
    day = config.date or scheduled_day()
    workspace = Workspace(config.workspace)
    with connected(config.ray):
        if config.source is not None:
            ingest_flow(config.ingest(config.source))
        check_dated(read_archive(workspace, config.archive), config.archive)
        bundle = find_bundle(workspace, config.model)  # once: another may go into production meanwhile
        features = extract_flow(config.extract(extractor_names(bundle), tuple(bundle.features)))
        labelling = config.label(bundle.model_id, day)
        report = label_task(labelling)
    publish("sdt-label", label_page(labelling, report), report.rows)
    return ended(report, features, report.drifts)


def scheduled_day() -> date:
    """The UTC day for which this run was scheduled; of a run that nobody scheduled, the one on which it began."""
    planned: date = flow_run.scheduled_start_time.astimezone(UTC).date()
    return planned
