"""Flow `sdt-label`: features and a model to label rows."""

from flows.orchestration import conclude, current_run, flow, run_task
from flows.reports.pages import label_page
from flows.run_state import Outcome, drift_warnings
from tasks.config.stages import LabelConfig
from tasks.label.report import LabelReport
from tasks.label.stage import label


@flow("sdt-label")
def label_flow(config: LabelConfig) -> LabelReport:
    """Label the utterances of an archive, all or those of some days."""
    report = run_task("label", label, config, current_run().name)
    conclude(label_outcome(config, report))
    return report


def label_outcome(config: LabelConfig, report: LabelReport, aside: frozenset[str] = frozenset()) -> Outcome:
    """What became of a labelling run; ``aside``: files that the features were made without in the same run."""
    return Outcome(
        label_page(config, report),
        rows=report.rows,
        counts=label_counts(report),
        outputs=(report.folder,),
        aside=aside,
        warnings=drift_warnings(report.drifts),
    )


def label_counts(report: LabelReport) -> dict[str, int]:
    """Utterances by the status of their labels, and the days that were labelled in this run."""
    return {"ok": report.ok, "degraded": report.degraded, "failed": report.failed, "days_made": len(report.new_days)}
