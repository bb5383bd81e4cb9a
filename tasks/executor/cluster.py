"""Ray for the length of a flow: an embedded one on this machine, or a cluster by its address.

A flow runs within `ray_scope`, and the first stage that needs Ray calls `connect`: a run that finds all its work done
starts none. What Ray has started ends with the thread that started it, however that ends: the system sees to it. That
thread is the one that runs the flow, and it stays in the scope until Ray is let go of.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextvars import copy_context
from pathlib import Path

from tasks.config.stages import RayConfig
from tasks.executor.patient_start import patient_start

log = logging.getLogger("sdt.ray")

# Shards travel as files in the workspace; the object store carries little more than their records.
_OBJECT_STORE_BYTES = 256 * 2**20
# A Unix socket's path holds 107 bytes, of which Ray's own part takes about 65.
_LONGEST_TEMP = 40
_LOCK = "lock"
_SLOW_START_S = 10.0  # before a line says what is waited for


_scope: contextlib.ExitStack | None = None  # as Ray's connection is, this is the process's


@contextlib.contextmanager
def ray_scope() -> Iterator[None]:
    """Let go, at the end, of the Ray that `connect` was asked for within; part of another scope, it does nothing."""
    global _scope
    if _scope is not None:
        yield
        return
    with contextlib.ExitStack() as stack:
        _scope = stack
        try:
            yield
        finally:
            _scope = None


def connect(config: RayConfig) -> None:
    """Start Ray, or join it at its address, unless this process already has; `ray_scope` lets go of it.

    Raises:
        RuntimeError: outside of a `ray_scope`.
    """
    import ray  # takes seconds

    if ray.is_initialized():
        return
    if _scope is None:
        raise RuntimeError("Ray is needed: call this within tasks.executor.cluster.ray_scope()")
    address = config.address or os.environ.get("RAY_ADDRESS")
    if address:
        with _told_if_slow(f"waiting for Ray at {address}"):
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    else:
        _start_embedded(config, _scope)
    _scope.callback(ray.shutdown)


def _start_embedded(config: RayConfig, stack: contextlib.ExitStack) -> None:
    import ray

    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    folder = stack.enter_context(_scratch_folder())
    with _told_if_slow("waiting for Ray to start, the machine is busy"), patient_start():
        ray.init(
            address="local",
            num_cpus=config.cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
            object_store_memory=_OBJECT_STORE_BYTES,
            _temp_dir=str(folder),
        )


@contextlib.contextmanager
def _told_if_slow(line: str) -> Iterator[None]:
    """Log the line once if this takes long."""
    # In the caller's context: a log handler may ask it which run a line belongs to.
    timer = threading.Timer(_SLOW_START_S, copy_context().run, (log.info, line))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def _scratch_folder() -> Iterator[Path]:
    """A folder for Ray's sockets and logs, among the system's temporary ones; those of runs that died are removed."""
    system = tempfile.gettempdir()
    prefix = f"sdt-ray-{os.getuid()}-"
    home = Path(system if len(system) + len(prefix) + 9 <= _LONGEST_TEMP else "/tmp")
    _remove_abandoned(home, prefix)
    with contextlib.ExitStack() as stack:
        folder = None
        while folder is None:
            fresh = Path(tempfile.mkdtemp(prefix=prefix, dir=home))
            # Until it is locked, another run may take it for abandoned.
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                stack.enter_context(_locked(fresh, os.O_CREAT | os.O_RDWR))
                folder = fresh if (fresh / _LOCK).exists() else None
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        yield folder


def _remove_abandoned(home: Path, prefix: str) -> None:
    """Remove this user's scratch folders of runs that were killed: their lock is free, a living run's is not."""
    for folder in home.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # it is in use, another's, or just going
            folder.rmdir()  # of a run that died before it had locked it
        with contextlib.suppress(OSError), _locked(folder, os.O_RDWR):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path, flags: int) -> Iterator[None]:
    """Hold the folder's lock, which the system lets go when this process ends, however it ends.

    Raises:
        BlockingIOError: someone else holds it.
        FileNotFoundError: there is none, and the flags do not ask for one.
    """
    descriptor = os.open(folder / _LOCK, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
