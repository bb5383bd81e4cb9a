"""Flow `sdt-evaluate`: models of several seeds, their scores on test, and how far those could be off."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.reports.evaluation import evaluate_page
from flows.reports.pages import publish
from tasks.config.training import EvaluateConfig
from tasks.evaluation.evaluate import EvaluationReport, evaluate
from tasks.executor.cluster import connected


@task(name="evaluate", persist_result=False, cache_policy=NO_CACHE)
def evaluate_task(config: EvaluateConfig) -> EvaluationReport:
    """The evaluate stage."""
    return evaluate(config, run=flow_run.name or "")


@flow(name="sdt-evaluate", persist_result=False)
def evaluate_flow(config: EvaluateConfig) -> EvaluationReport:
    """Train models of several seeds on an archive, and score them on its test split."""
    with connected(config.ray):
        report = evaluate_task(config)
    publish("sdt-evaluate", evaluate_page(config, report))
    return report
