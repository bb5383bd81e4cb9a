"""What the tests share: one Ray for the session, and a workspace of their own."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tasks.config.stages import RayConfig
from tasks.extractors import registry
from tasks.storage.filesystem import open_url
from tasks.storage.workspace import Workspace
from tests.fixtures.services.embedded_ray import embedded_ray
from tests.fixtures.services.gateway import Gateway
from tests.fixtures.services.wire import Wire

pytest_plugins = ["tests.fixtures.cpu_seconds"]

settings.register_profile("unhurried", deadline=None)  # how long an example takes says more of the machine than of us
settings.load_profile("unhurried")


BUCKET = "sdt"
SERVICES = {"ray_session": "ray", "server": "prefect", "gateway": "process"}
TOGETHER = {
    "cluster": ("tests/cluster/",),
    "prefect": ("tests/flows/orchestration/", "tests/flows/test_deployment.py"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a service by the fixture that starts it, and put the files with services first."""
    for item in items:
        assert isinstance(item, pytest.Function)
        chosen = item.callspec.params.values() if hasattr(item, "callspec") else ()
        for fixture, marker in SERVICES.items():
            if fixture in item.fixturenames or any(isinstance(value, str) and value == marker for value in chosen):
                item.add_marker(marker)
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    items[:] = [item for members in sorted(files.values(), key=_rank) for item in members]


def _rank(members: list[pytest.Item]) -> int:
    """The longest files first: the quick ones then fill what is left, and no worker waits for the other."""
    marks = {mark.name for item in members for mark in item.iter_markers()}
    return next((rank for rank, name in enumerate(("cluster", "prefect", "process", "ray")) if name in marks), 4)


class ServicesAndFiles(LoadFileScheduling):  # type: ignore[misc]
    """Gives a worker whole files; those whose tests share a service that starts slowly are one worker's together.

    Two workers would start two Prefect servers, and wait for each other's machines of network namespaces.
    """

    def _split_scope(self, nodeid: str) -> str:
        service = next((name for name, places in TOGETHER.items() if nodeid.startswith(places)), None)
        return service or str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ServicesAndFiles:
    return ServicesAndFiles(config, log)


@pytest.fixture(autouse=True)
def own_extractors(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(registry, "EXTRACTORS", dict(registry.EXTRACTORS))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Products on one thread, as in a worker with one core."""
    import torch  # takes seconds, and most tests do without

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A real S3 gateway, started once, with an empty bucket."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.stop()


@pytest.fixture(scope="session")
def store(gateway: Gateway) -> Iterator[Wire]:
    """The way to the gateway, which this process's environment names."""
    with Wire(gateway).open() as wire:
        os.environ.update(wire.environment | {"AWS_MAX_ATTEMPTS": "3"})
        open_url(f"s3://{BUCKET}")[0].makedirs(BUCKET)
        yield wire


@pytest.fixture
def s3_workspace(store: Wire, tmp_path: Path) -> Workspace:
    """A workspace of its own on the object store, which behaves well when a test begins."""
    store.reset()
    return Workspace(f"s3://{BUCKET}/{secrets.token_hex(4)}-{tmp_path.name}")


@pytest.fixture(scope="session")
def ray_session(store: Wire) -> Iterator[None]:  # noqa: ARG001 - the workers are given its environment
    """A real Ray with two CPUs, started once."""
    with embedded_ray(RayConfig(cpus=2)):
        yield


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "workspace"))
