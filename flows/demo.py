"""Flow `sdt-demo`: a synthetic archive is made, and the whole pipeline runs over it with the real extractors."""

import logging
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.pipeline import pipeline_flow
from flows.reports.pages import PipelineReport
from flows.reports.pages import demo_page as demo_page  # what the command shows
from tasks.config.flows import DemoConfig
from tasks.demo import make_demo_archive
from tasks.errors import WorkflowError

log = logging.getLogger("sdt.demo")


@task(name="make-archive", persist_result=False, cache_policy=NO_CACHE)
def make_archive_task(config: DemoConfig) -> Path:
    """Make the synthetic archive, unless it is there."""
    if "://" in config.path:
        raise WorkflowError(f"the synthetic archive is written to a local folder, and {config.path} is none")
    log.info("demo: making %d synthetic conversations in %s", config.conversations, config.path)
    return make_demo_archive(Path(config.path), config.conversations, config.seed)


@flow(name="sdt-demo", persist_result=False)
def demo_flow(config: DemoConfig) -> PipelineReport:
    """Make a small synthetic archive and run the pipeline over it."""
    table = make_archive_task(config)
    return pipeline_flow(config.pipeline(str(table)))
