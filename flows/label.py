"""Flow `sdt-label`: features and a model to label rows."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.reports.pages import label_page, publish
from flows.run_state import ended
from tasks.config.stages import LabelConfig
from tasks.executor.cluster import connected
from tasks.label.report import LabelReport
from tasks.label.stage import label


@task(name="label", persist_result=False, cache_policy=NO_CACHE)
def label_task(config: LabelConfig) -> LabelReport:
    """The label stage."""
    return label(config, run=flow_run.name or "")


@flow(name="sdt-label", persist_result=False)
def label_flow(config: LabelConfig) -> LabelReport:
    """Label the utterances of an archive, all or those of some days."""
    with connected(config.ray):
        report = label_task(config)
    publish("sdt-label", label_page(config, report), report.rows)
    return ended(report, {}, report.drifts)
