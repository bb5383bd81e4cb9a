"""What the tests share: one Ray for the session, and a workspace of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tasks.cluster import connected
from tasks.config import RayConfig
from tasks.workspace import Workspace

settings.register_profile("unhurried", deadline=None)  # how long an example takes says more of the machine than of us
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A real Ray with two CPUs, started once."""
    with connected(RayConfig(cpus=2)):
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "workspace"))
