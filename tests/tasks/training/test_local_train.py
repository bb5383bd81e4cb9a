"""Training in this process: what it leaves in the workspace, and in the process."""

from pathlib import Path

import pytest
import torch

from tasks.config.stages import Resources
from tasks.errors import WorkflowError
from tasks.storage.workspace import Workspace
from tasks.training.local_train import fit_locally
from tasks.training.run import TrainingContext, TrainingRun
from tests.fixtures.training.counting import counting_run, read_seen

FOLDER = "runs/one"


def test_an_interrupted_run_leaves_its_last_checkpoint_and_goes_on_from_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit_locally(counting_run(workspace, tmp_path / "attempts", "interrupt once", retries=2))
    assert workspace.files(FOLDER) == [f"{FOLDER}/checkpoint-000001/seen.json", f"{FOLDER}/latest-checkpoint.json"]
    checkpoint = fit_locally(counting_run(workspace, tmp_path / "attempts"))
    assert checkpoint is not None and read_seen(checkpoint)["epochs"] == [[1, 0], [1, 1], [2, 2]]


def test_a_checkpoint_that_is_not_whole_does_not_count(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit_locally(counting_run(workspace, tmp_path / "attempts", "interrupt once"))
    workspace.write_bytes(f"{FOLDER}/checkpoint-000002/seen.json", b"{")
    checkpoint = fit_locally(counting_run(workspace, tmp_path / "attempts"))
    assert checkpoint is not None and read_seen(checkpoint)["epochs"][-1] == [2, 2]


def test_checkpoints_lie_on_an_object_store_as_well(s3_workspace: Workspace, tmp_path: Path) -> None:
    checkpoint = fit_locally(counting_run(s3_workspace, tmp_path / "attempts", "fail once", retries=1))
    assert checkpoint is not None and read_seen(checkpoint)["epochs"] == [[1, 0], [1, 1], [2, 2]]
    assert s3_workspace.files(FOLDER) == [f"{FOLDER}/checkpoint-000002/seen.json", f"{FOLDER}/latest-checkpoint.json"]


def test_every_try_is_made_and_each_but_the_last_is_a_warning(
    workspace: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(WorkflowError, match="not retried any more"):
        fit_locally(counting_run(workspace, tmp_path / "attempts", "broken", retries=2))
    assert (tmp_path / "attempts").read_text() == "xxx"
    assert caplog.messages == ["try: failed (ValueError: the plan is broken), trying again"] * 2


def test_a_store_that_is_out_for_a_while_is_tried_again(workspace: Workspace, tmp_path: Path) -> None:
    checkpoint = fit_locally(counting_run(workspace, tmp_path / "attempts", "store out once", retries=1))
    assert checkpoint is not None and read_seen(checkpoint)["epochs"] == [[1, 0], [1, 1], [2, 2]]


def more_threads(_: TrainingContext, plan: int) -> None:
    torch.set_num_threads(plan)


def test_the_process_has_its_threads_back(workspace: Workspace) -> None:
    before = torch.get_num_threads()
    assert fit_locally(TrainingRun(workspace, "runs", "one", more_threads, before + 1, 1, Resources(), 0)) is None
    assert torch.get_num_threads() == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(workspace: Workspace) -> None:
    run = TrainingRun(workspace, "runs", "one", more_threads, 1, 1, Resources(gpus=1), 0)
    with pytest.raises(WorkflowError, match="a worker asks for 1 GPUs, and torch can use none"):
        fit_locally(run)
