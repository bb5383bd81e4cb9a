"""Flow `sdt-train`: features of annotated conversations to a model."""

from flows.orchestration import conclude, current_run, flow, run_task
from flows.reports.pages import train_page
from flows.run_state import Outcome
from tasks.config.training import TrainConfig
from tasks.training.train import TrainReport, train


@flow("sdt-train")
def train_flow(config: TrainConfig) -> TrainReport:
    """Train a model on the annotated conversations of an archive."""
    report = run_task("train", train, config, current_run().name)
    conclude(Outcome(train_page(config, report), counts={"epochs": report.epochs}, outputs=(report.path,)))
    return report
