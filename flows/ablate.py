"""Flow `sdt-ablate`: the model without one part at a time, in one table."""

from flows.orchestration import conclude, current_run, flow, run_task
from flows.reports.evaluation import ablate_page
from flows.run_state import Outcome
from tasks.config.training import AblateConfig
from tasks.evaluation.ablate import AblationReport, ablate


@flow("sdt-ablate")
def ablate_flow(config: AblateConfig) -> AblationReport:
    """Train variants of the model on an archive, and score them on its test split."""
    report = run_task("ablate", ablate, config, current_run().name)
    counts = {"variants": len(report.variants), "seeds": len(report.seeds)}
    conclude(Outcome(ablate_page(config, report), counts=counts, outputs=(report.path,)))
    return report
