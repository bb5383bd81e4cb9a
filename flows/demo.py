"""Flow `sdt-demo`: a synthetic archive is made, and the whole pipeline runs over it with the real extractors."""

import logging
from pathlib import Path

from flows.orchestration import conclude, flow, run_task
from flows.pipeline import pipeline_flow, pipeline_outcome
from flows.reports.pages import PipelineReport, demo_page
from tasks.config.flows import DemoConfig
from tasks.demo import make_demo_archive
from tasks.errors import WorkflowError

log = logging.getLogger("sdt.demo")


@flow("sdt-demo")
def demo_flow(config: DemoConfig) -> PipelineReport:
    """Make a small synthetic archive and run the pipeline over it."""
    table = run_task("make-archive", _make_archive, config)
    report = pipeline_flow(config.pipeline(str(table)))
    conclude(pipeline_outcome(config, demo_page(config, report), report))
    return report


def _make_archive(config: DemoConfig) -> Path:
    """Make the synthetic archive, unless it is there."""
    if "://" in config.path:
        raise WorkflowError(f"the synthetic archive is written to a local folder, and {config.path} is none")
    log.info("demo: making %d synthetic conversations in %s", config.conversations, config.path)
    return make_demo_archive(Path(config.path), config.conversations, config.seed)
