"""What `tasks.registry.runs` is told of a run of a flow: its command, how it ended and why."""

import logging
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from flows.run_state import COMPLETED, WITH_FAULTS, WITH_REJECTIONS, WITH_WARNING, Outcome
from tasks.config.stages import RunSettings
from tasks.errors import WorkflowError
from tasks.registry.runs import Recording, State, new_record, one_line, without_secrets
from tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from flows.orchestration.flow import Run

log = logging.getLogger("sdt.runs")

_STATES: dict[str, State] = {
    COMPLETED: "completed",
    WITH_FAULTS: "completed with faults",
    WITH_REJECTIONS: "completed with rejections",
    WITH_WARNING: "completed with warning",
}

_SIGNALS: dict[type[BaseException], str] = {KeyboardInterrupt: "Ctrl-C", SystemExit: "SIGTERM"}


@contextmanager
def recorded(run: "Run", config: RunSettings) -> Iterator[None]:
    """Keep a record of the run whose body is within, in its workspace."""
    recording = _begin(run, config)
    try:
        yield
    except Exception as error:
        _end(recording, "failed", _reason(error))
        raise
    except BaseException as signal:  # Ctrl-C, SIGTERM, a run that Prefect cancels
        _end(recording, "interrupted", _SIGNALS.get(type(signal), type(signal).__name__))
        raise
    outcome = run.outcome or Outcome("")
    _end(recording, _STATES[outcome.state], outcome.message, outcome)


def _begin(run: "Run", config: RunSettings) -> Recording | None:
    try:
        workspace = Workspace(config.workspace)
        fields = config.model_dump(mode="json", exclude_defaults=True)
        record = new_record(run.name, run.flow, _command(run), config.archive, fields)
        recording = Recording(
            workspace, record.model_copy(update={"orchestrator": run.page and without_secrets(run.page)})
        )
        recording.begin()
    except Exception as error:  # such as a URL that is refused: the body will say so
        log.warning("the record of this run cannot be written: %s", one_line(str(error)))
        return None
    return recording


def _end(recording: Recording | None, state: State, reason: str, outcome: Outcome | None = None) -> None:
    if recording is not None:
        recording.end(state, reason, outcome.counts if outcome else {}, outcome.outputs if outcome else ())


def _reason(error: Exception) -> str:
    """An error of ours is its first line; another's message may quote what was said, so its kind has to do."""
    return str(error) if isinstance(error, WorkflowError) else f"{type(error).__name__}; see the run's own output"


def _command(run: "Run") -> str:
    """What does the same again."""
    if run.deployment:
        return f"prefect deployment run {run.flow}/{run.deployment}"
    by_hand = Path(sys.argv[0]).name == "sdt"
    return shlex.join(["sdt", *sys.argv[1:]]) if by_hand else run.flow
