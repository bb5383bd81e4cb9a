"""Flow `sdt-ablate`: the model without one part at a time, in one table."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.reports.evaluation import ablate_page
from flows.reports.pages import publish
from tasks.config.training import AblateConfig
from tasks.evaluation.ablate import AblationReport, ablate
from tasks.executor.cluster import connected


@task(name="ablate", persist_result=False, cache_policy=NO_CACHE)
def ablate_task(config: AblateConfig) -> AblationReport:
    """The ablate stage."""
    return ablate(config, run=flow_run.name or "")


@flow(name="sdt-ablate", persist_result=False)
def ablate_flow(config: AblateConfig) -> AblationReport:
    """Train variants of the model on an archive, and score them on its test split."""
    with connected(config.ray):
        report = ablate_task(config)
    publish("sdt-ablate", ablate_page(config, report))
    return report
