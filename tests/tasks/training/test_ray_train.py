"""What Ray Train's workers have alone: the surroundings that they are started in."""

from pathlib import Path

import pytest

from tasks.config.stages import RayConfig
from tasks.storage.workspace import Workspace
from tasks.training.run import fit
from tests.fixtures.training.counting import counting_run, read_seen

pytestmark = pytest.mark.usefixtures("ray_session")


def test_a_worker_has_one_arena_of_memory_and_a_controller_that_looks_often(
    workspace: Workspace, tmp_path: Path
) -> None:
    from tasks.training.ray_train import POLL_VARIABLE

    seen = read_seen(fit(counting_run(workspace, tmp_path / "attempts"), RayConfig()))
    assert "MALLOC_ARENA_MAX=1" in seen["started"]
    assert float(seen["variables"][POLL_VARIABLE]) <= 0.5  # the controller's environment is handed on to the worker
