"""How a run ends that completed, but set files aside: Prefect's state says so, and so does the command's exit code."""

from typing import Any, TypeVar

from prefect.states import Completed

from flows.artifacts import Features
from tasks.stage import files_aside

WITH_FAULTS = "CompletedWithFaults"

Result = TypeVar("Result")


def ended(result: Result, features: Features) -> Result:
    """What a flow returns: its result, in a completed state of its own name where files were set aside.

    Prefect unpacks the state: who calls the flow is given the result.
    """
    names = {name for manifest in features.values() if manifest for name in manifest.aside}
    if not names:
        return result
    state: Any = Completed(name=WITH_FAULTS, message=f"completed with {files_aside(names)}", data=result)
    unpacked: Result = state
    return unpacked
