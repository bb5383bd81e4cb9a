"""How a run ends that completed, and not as it should: the state's name says so, and of faults the exit code too."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.label.drift import Drift
    from tasks.storage.manifest import Manifest

COMPLETED, WITH_FAULTS, WITH_WARNING = "Completed", "CompletedWithFaults", "CompletedWithWarning"
WITH_REJECTIONS = "CompletedWithRejections"
EXIT_CODES = {WITH_FAULTS: 3, WITH_REJECTIONS: 4}
"""Of a command whose run ended in one of these states; 1 is an error."""


@dataclass(frozen=True)
class Outcome:
    """What a flow says of a run that came to its end.

    Attributes:
        page: Markdown, for the terminal and as Prefect's artifact.
        rows: utterances that the run went through, for its throughput; 0 where that says nothing.
        counts: what it counted, for the history of runs.
        outputs: folders and files that it wrote, relative to the workspace.
        aside: media files that were set aside.
        rejections: what more of the source was rejected, or lost its time, than is allowed, in words.
        warnings: in words.
    """

    page: str
    rows: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    aside: frozenset[str] = frozenset()
    rejections: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """Prefect's name of the state."""
        if self.aside:
            return WITH_FAULTS
        return WITH_REJECTIONS if self.rejections else WITH_WARNING if self.warnings else COMPLETED

    @property
    def exit_code(self) -> int:
        """How a command ends that ran it."""
        return EXIT_CODES.get(self.state, 0)

    @property
    def message(self) -> str:
        """Why it is no plain `Completed`; empty where it is."""
        if self.state == COMPLETED:
            return ""
        from tasks.executor.stage import files_aside  # brings Arrow along

        reasons = [*([files_aside(self.aside)] if self.aside else []), *self.rejections, *self.warnings]
        return f"completed with {'; '.join(reasons)}"


def aside_files(manifests: Iterable["Manifest | None"]) -> frozenset[str]:
    """The files that any of the features were made without."""
    return frozenset(name for manifest in manifests if manifest for name in manifest.aside)


def drift_warnings(drifts: Iterable["Drift"]) -> tuple[str, ...]:
    """A line for every distribution of emotions that is too far from another."""
    return tuple(
        f"emotions unlike {drift.against} ({drift.label} {drift.value:.2f})" for drift in drifts if drift.warns
    )
