"""What a training run keeps to, over Ray Train and without Ray."""

from pathlib import Path

import pytest

from tasks.config.stages import RayConfig
from tasks.errors import WorkflowError
from tasks.storage.workspace import Workspace
from tasks.training.run import fit
from tests.fixtures.training.counting import counting_run, read_seen

TWO = [[1, 0], [1, 1]]


@pytest.fixture(params=["local", "ray"])
def executor(request: pytest.FixtureRequest) -> RayConfig:
    """Where a run trains."""
    if request.param == "ray":
        request.getfixturevalue("ray_session")
        return RayConfig()
    return RayConfig(address="local")


def test_after_a_fault_it_goes_on_from_the_last_checkpoint(
    workspace: Workspace, tmp_path: Path, executor: RayConfig, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "sdt.train"):
        checkpoint = fit(counting_run(workspace, tmp_path / "attempts", "fail once", retries=1), executor)
    assert read_seen(checkpoint)["epochs"] == [*TWO, [2, 2]]
    lines = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert lines == [f"try: epoch {number}/3" for number in (1, 2, 3)]


def test_a_run_that_is_begun_again_goes_on_and_a_failed_one_says_why(
    workspace: Workspace, tmp_path: Path, executor: RayConfig
) -> None:
    with pytest.raises(WorkflowError) as failure:
        fit(counting_run(workspace, tmp_path / "attempts", "fail once"), executor)
    assert str(failure.value).startswith("training failed and was not retried any more\n  worker 0: ")
    assert "OSError: the network is down" in str(failure.value)
    checkpoint = fit(counting_run(workspace, tmp_path / "attempts"), executor)
    assert read_seen(checkpoint)["epochs"] == [*TWO, [2, 2]]


def test_what_would_come_again_is_not_tried_again(workspace: Workspace, tmp_path: Path, executor: RayConfig) -> None:
    with pytest.raises(WorkflowError) as failure:
        fit(counting_run(workspace, tmp_path / "attempts", "bad input", retries=2), executor)
    assert str(failure.value) == ("training failed, and would again from its last checkpoint\n  nothing is annotated")
    assert (tmp_path / "attempts").read_text() == "x"
    assert not [path for path in workspace.files("runs") if "fault" in path]
