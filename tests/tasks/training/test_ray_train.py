"""Training runs of a worker that learns nothing."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import ray.train
from ray.train import Checkpoint

from sdt_model.config import Frozen
from tasks.config.stages import Resources
from tasks.errors import WorkflowError
from tasks.storage.workspace import Workspace
from tasks.training.ray_train import POLL_VARIABLE, fit

pytestmark = [pytest.mark.usefixtures("ray_session"), pytest.mark.slow]
SEEN = "seen.json"


class Plan(Frozen):
    broken: bool = False


def worker(settings: dict[str, Any]) -> None:
    if settings["plan"]["broken"]:
        raise ValueError("the plan is broken")
    settings["queue"].put(json.dumps({"line": "epoch 1/1"}))
    started = Path("/proc/self/environ").read_text().split("\0")
    seen = {"poll_s": float(os.environ[POLL_VARIABLE]), "started": started}
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, SEEN).write_text(json.dumps(seen))
        ray.train.report({}, checkpoint=Checkpoint.from_directory(scratch))


def run(workspace: Workspace, plan: Plan) -> Checkpoint:
    return fit(workspace, "runs", "one", worker, plan, workers=1, resources=Resources(cpus=1), retries=0, what="try")


def seen(checkpoint: Checkpoint) -> dict[str, Any]:
    with checkpoint.as_directory() as folder:
        found: dict[str, Any] = json.loads(Path(folder, SEEN).read_text())
        return found


def test_an_epoch_does_not_wait_seconds_for_the_controller(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "sdt.train"):
        checkpoint = run(workspace, Plan())
    assert seen(checkpoint)["poll_s"] <= 0.5  # the controller's environment is handed on to the worker
    assert caplog.messages == ["try: epoch 1/1"]


def test_a_worker_is_started_with_one_arena_of_memory(workspace: Workspace) -> None:
    assert "MALLOC_ARENA_MAX=1" in seen(run(workspace, Plan()))["started"]


def test_a_failed_training_says_why(workspace: Workspace) -> None:
    with pytest.raises(WorkflowError, match="the plan is broken"):
        run(workspace, Plan(broken=True))
