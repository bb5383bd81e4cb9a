"""How a run ends that completed, and not as it should: Prefect's state says so, and of faults the exit code too."""

from typing import Any, TypeVar

from prefect.states import Completed

from flows.reports.pages import Features
from tasks.executor.stage import files_aside
from tasks.label.drift import Drift

WITH_FAULTS, WITH_WARNING = "CompletedWithFaults", "CompletedWithWarning"

Result = TypeVar("Result")


def ended(result: Result, features: Features, drifts: tuple[Drift, ...] = ()) -> Result:
    """What a flow returns: its result, in a completed state of its own name where files were set aside or labels drift.

    Prefect unpacks the state: who calls the flow is given the result.
    """
    names = {name for manifest in features.values() if manifest for name in manifest.aside}
    faults = [files_aside(names)] if names else []
    warnings = [f"emotions unlike {drift.against} ({drift.label} {drift.value:.2f})" for drift in drifts if drift.warns]
    if not faults and not warnings:
        return result
    message = f"completed with {'; '.join([*faults, *warnings])}"
    state: Any = Completed(name=WITH_FAULTS if faults else WITH_WARNING, message=message, data=result)
    unpacked: Result = state
    return unpacked
