"""Ray for the length of a flow: an embedded one on this machine, or a cluster by its address."""

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ray

from tasks.config.stages import RayConfig

# Shards travel as files in the workspace; the object store carries little more than their records.
_OBJECT_STORE_BYTES = 256 * 2**20
# A Unix socket's path holds 107 bytes, of which Ray's own part takes about 70.
_LONGEST_TEMP = 30


@contextlib.contextmanager
def connected(config: RayConfig) -> Iterator[None]:
    """Connect to Ray unless this process already is, and let go of what was started here."""
    if ray.is_initialized():
        yield
        return
    address = config.address or os.environ.get("RAY_ADDRESS")
    with contextlib.ExitStack() as stack:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        else:
            _start_embedded(config, stack)
        stack.callback(ray.shutdown)
        yield


def _start_embedded(config: RayConfig, stack: contextlib.ExitStack) -> None:
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(
        address="local",
        num_cpus=config.cpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.WARNING,
        object_store_memory=_OBJECT_STORE_BYTES,
        _temp_dir=str(_temporary_folder(stack)),
    )


def _temporary_folder(stack: contextlib.ExitStack) -> Path:
    """Ray's scratch folder: below the folder that the command runs in where sockets allow, else the system's."""
    home = Path.cwd() / ".sdt"
    if len(str(home)) > _LONGEST_TEMP:
        folder = Path(tempfile.mkdtemp(prefix="r-"))
    else:
        home.mkdir(exist_ok=True)
        with _locked(home, fcntl.LOCK_EX):  # no one removes a new folder before it is locked
            _remove_abandoned(home)
            folder = Path(tempfile.mkdtemp(prefix="r-", dir=home))
            stack.enter_context(_locked(folder, fcntl.LOCK_EX))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _remove_abandoned(home: Path) -> None:
    """Remove the scratch folders of runs that were killed: their lock is free, a living run's is not."""
    for folder in home.glob("r-*"):
        with contextlib.suppress(BlockingIOError), _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold the folder's lock, which the system lets go when this process ends, however it ends."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, how)
        yield
