"""Flow `sdt-finetune-text`: texts of annotated conversations to a text encoder."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.reports.pages import finetune_text_page, publish
from tasks.config.training import FinetuneConfig
from tasks.executor.cluster import connected
from tasks.finetuning.finetune import FinetuneReport, finetune


@task(name="finetune-text", persist_result=False, cache_policy=NO_CACHE)
def finetune_text_task(config: FinetuneConfig) -> FinetuneReport:
    """The fine-tuning stage."""
    return finetune(config, run=flow_run.name or "")


@flow(name="sdt-finetune-text", persist_result=False)
def finetune_text_flow(config: FinetuneConfig) -> FinetuneReport:
    """Fine-tune a text encoder on the annotated conversations of an archive."""
    with connected(config.ray):
        report = finetune_text_task(config)
    publish("sdt-finetune-text", finetune_text_page(config, report))
    return report
