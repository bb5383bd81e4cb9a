"""The executors that the contract tests run over: the session's Ray, and none."""

from pathlib import Path

import pytest

from tasks.config.stages import RayConfig
from tasks.storage.workspace import Workspace
from tests.fixtures.executor.shards import CountingStage


@pytest.fixture(params=["local", "ray"])
def executor(request: pytest.FixtureRequest) -> RayConfig:
    """Where the stages of a test run."""
    if request.param == "ray":
        request.getfixturevalue("ray_session")
        return RayConfig()
    return RayConfig(address="local")


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    (tmp_path / "calls").mkdir()
    return tmp_path / "calls"


@pytest.fixture
def counting(executor: RayConfig, workspace: Workspace, calls: Path) -> CountingStage:
    """A stage of five shards over either executor."""
    return CountingStage(workspace, calls, executor)
