"""What Ray Train's workers have alone: the surroundings that they are started in."""

import signal
from pathlib import Path

import pytest

from tasks.config.stages import RayConfig
from tasks.storage.workspace import Workspace
from tasks.training.run import fit
from tests.fixtures.training.counting import counting_run, read_seen

pytestmark = pytest.mark.usefixtures("ray_session")


def test_a_worker_has_one_arena_a_controller_that_looks_often_and_no_say_in_ctrl_c(
    workspace: Workspace, tmp_path: Path
) -> None:
    from tasks.training.ray_train import POLL_VARIABLE

    handler = signal.getsignal(signal.SIGINT)
    seen = read_seen(fit(counting_run(workspace, tmp_path / "attempts"), RayConfig()))
    assert "MALLOC_ARENA_MAX=1" in seen["started"]
    assert float(seen["variables"][POLL_VARIABLE]) <= 0.5  # the controller's environment is handed on to the worker
    assert signal.getsignal(signal.SIGINT) is handler, (
        "Ctrl-C is the command's to handle, during a training and after it"
    )
