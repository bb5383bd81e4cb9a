"""Flow `sdt-evaluate`: models of several seeds, their scores on test, and how far those could be off."""

from flows.orchestration import conclude, current_run, flow, run_task
from flows.reports.evaluation import evaluate_page
from flows.run_state import Outcome
from tasks.config.training import EvaluateConfig
from tasks.evaluation.evaluate import EvaluationReport, evaluate


@flow("sdt-evaluate")
def evaluate_flow(config: EvaluateConfig) -> EvaluationReport:
    """Train models of several seeds on an archive, and score them on its test split."""
    report = run_task("evaluate", evaluate, config, current_run().name)
    counts = {"models": len(report.models), "conversations": report.conversations, "utterances": report.utterances}
    conclude(Outcome(evaluate_page(config, report), counts=counts, outputs=(report.path,)))
    return report
