"""What the tests share: one Ray for the session, and a workspace of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.cluster import connected
from tasks.config import RayConfig
from tasks.workspace import Workspace


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A real Ray with two CPUs, started once."""
    with connected(RayConfig(cpus=2)):
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "workspace"))
