"""Flow `sdt-finetune-text`: texts of annotated conversations to a text encoder."""

from flows.orchestration import conclude, current_run, flow, run_task
from flows.reports.pages import finetune_text_page
from flows.run_state import Outcome
from tasks.config.training import FinetuneConfig
from tasks.finetuning.finetune import FinetuneReport, finetune


@flow("sdt-finetune-text")
def finetune_text_flow(config: FinetuneConfig) -> FinetuneReport:
    """Fine-tune a text encoder on the annotated conversations of an archive."""
    report = run_task("finetune-text", finetune, config, current_run().name)
    counts = {"folds": report.folds, "epochs": report.epochs}
    conclude(Outcome(finetune_text_page(config, report), counts=counts, outputs=(report.path,)))
    return report
