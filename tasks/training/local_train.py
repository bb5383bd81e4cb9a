"""Training in the command's own process, without Ray: one worker, its checkpoints in the workspace.

The configuration has seen to it that no more than one worker is asked for.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from tasks.errors import DamagedFile, WorkflowError
from tasks.storage.workspace import Workspace
from tasks.training.run import SavedCheckpoint, TrainingRun, given_up, is_lasting, lasting

log = logging.getLogger("sdt.train")

_LATEST = "latest-checkpoint.json"  # names the checkpoint that is whole


def fit_locally(run: TrainingRun) -> SavedCheckpoint | None:
    """Train here; the last checkpoint.

    Raises:
        WorkflowError: training failed for good, or a GPU is asked for that is not there.
    """
    context, threads = LocalContext(run, _device(run)), torch.get_num_threads()
    try:
        for retries_left in reversed(range(run.retries + 1)):
            try:
                run.worker(context, run.plan)
                break
            except Exception as error:
                if is_lasting(error):
                    raise lasting(str(error)) from error
                if not retries_left:
                    raise given_up({0: error}, error) from error
                log.warning("%s: failed (%s: %s), trying again", run.stage, type(error).__name__, error)
    finally:
        torch.set_num_threads(threads)
    return context.latest_checkpoint()


def _device(run: TrainingRun) -> torch.device:
    if not run.resources.gpus:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise WorkflowError(
            f"{run.stage}: a worker asks for {run.resources.gpus:g} GPUs, and torch can use none on this machine\n"
            "  set resources.gpus to 0, or run where there is one"
        )
    return torch.device("cuda")


@dataclass(frozen=True)
class LocalContext:
    """The only worker's view of its run."""

    run: TrainingRun
    device: torch.device
    rank: int = 0
    workers: int = 1

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it is: there is nothing to average with."""
        return network

    def latest_checkpoint(self) -> SavedCheckpoint | None:
        """Where to go on from; None at the beginning."""
        if (name := self._latest()) is None:
            return None
        return LocalCheckpoint(self.run.workspace, f"{self.run.folder}/{name}")

    def report(self, scores: dict[str, float], folder: Path | None) -> None:  # noqa: ARG002 - they are in the folder
        """Publish the folder as the latest checkpoint, then remove those before it."""
        if folder is None:
            return
        workspace, before = self.run.workspace, self._latest()
        name = f"checkpoint-{int(before.rpartition('-')[2]) + 1 if before else 0:06d}"
        for path in sorted(folder.iterdir()):
            with workspace.publish(f"{self.run.folder}/{name}/{path.name}") as local:
                shutil.copyfile(path, local)
        workspace.write_json(f"{self.run.folder}/{_LATEST}", name)
        if before:
            workspace.remove_folder(f"{self.run.folder}/{before}")

    def tell(self, line: str) -> None:
        """Log a line."""
        log.info("%s: %s", self.run.stage, line)

    def _latest(self) -> str | None:
        path = f"{self.run.folder}/{_LATEST}"
        try:
            return str(self.run.workspace.read_json(path)) if self.run.workspace.exists(path) else None
        except DamagedFile as error:
            log.warning("%s: %s; training begins anew", self.run.stage, error)
            return None


@dataclass(frozen=True)
class LocalCheckpoint:
    """A checkpoint by its folder in the workspace."""

    workspace: Workspace
    folder: str

    @contextmanager
    def as_directory(self) -> Iterator[str]:
        """Its files in a local folder: itself, or a copy for as long as it is needed."""
        if self.workspace.is_local:
            yield self.workspace.path(self.folder)
            return
        with tempfile.TemporaryDirectory(prefix="sdt-checkpoint-") as scratch:
            for path in self.workspace.files(self.folder):
                self.workspace.fetch(path, Path(scratch) / path.rsplit("/", 1)[-1])
            yield scratch
