import torch
from torch import Tensor

from tasks.config.stages import Resources
from tasks.storage.workspace import Workspace
from tasks.training.checkpoints import Progress, report, resume
from tasks.training.local_train import LocalContext
from tasks.training.run import TrainingRun


class Counting:
    """Learns by counting."""

    def __init__(self, count: float = 0.0) -> None:
        self.count = torch.tensor(count)

    def state(self) -> dict[str, Tensor]:
        return {"count": self.count}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.count = state["count"]


def progress(*scores: float) -> Progress:
    return Progress(history=tuple({"loss": 1.0, "dev_weighted_f1": score} for score in scores))


def test_best_epoch_is_the_earliest_of_equals_and_patience_ends_it() -> None:
    found = progress(0.2, 0.5, 0.5, 0.4)
    assert found.best == 1
    assert found.finished(epochs=50, patience=2) and not found.finished(epochs=50, patience=3)
    assert found.finished(epochs=4, patience=9)
    assert found.line(50) == "epoch 4/50, loss 1.0000, dev weighted F1 0.4000 (best 0.5000 in epoch 2)"


def context(workspace: Workspace, rank: int = 0) -> LocalContext:
    """A worker's view of a run whose checkpoints lie in the workspace."""
    run = TrainingRun(workspace, "runs", "one", lambda *_: None, None, 1, Resources(), 0)
    return LocalContext(run, torch.device("cpu"), rank)


def test_a_run_goes_on_from_its_checkpoint(workspace: Workspace) -> None:
    best, again = {"count": torch.tensor(2.0)}, Counting()
    report(context(workspace), Counting(count=3.0), best, progress(0.1, 0.3, 0.2))
    resumed, weights = resume(context(workspace), again)
    assert again.count == 3.0 and weights == best and resumed == progress(0.1, 0.3, 0.2)


def test_a_run_without_a_checkpoint_begins_at_the_beginning(workspace: Workspace) -> None:
    assert resume(context(workspace), Counting()) == (Progress(), {})


def test_the_first_worker_alone_writes_a_checkpoint(workspace: Workspace) -> None:
    report(context(workspace, rank=1), Counting(), {}, progress(0.1))
    assert workspace.files("runs") == []
