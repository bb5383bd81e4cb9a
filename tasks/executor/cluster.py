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
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tasks.config.stages import RayConfig
from tasks.errors import WorkflowError
from tasks.executor.patient_start import patient_start
from tasks.executor.progress import told_if_slow

# Shards travel as files in the workspace; the object store carries little more than their records.
_OBJECT_STORE_BYTES = 256 * 2**20
# A Unix socket's path holds 107 bytes, of which Ray's own part takes about 65.
_LONGEST_TEMP = 40
_LOCK = "lock"
_ANSWER_S, _TRY_S = 12.0, 3.0  # that a cluster's head may take to answer, and one try of asking it

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
        WorkflowError: there is no Ray at that address, or it does not let us in.
        RuntimeError: outside of a `ray_scope`.
    """
    import ray  # takes seconds

    if ray.is_initialized():
        return
    if _scope is None:
        raise RuntimeError("Ray is needed: call this within tasks.executor.cluster.ray_scope()")
    address = config.address or os.environ.get("RAY_ADDRESS")
    with _own_sigterm():
        if address:
            _join(address, "ray.address" if config.address else "RAY_ADDRESS")
        else:
            _start_embedded(config, _scope)
    _scope.callback(ray.shutdown)


def _join(address: str, named_by: str) -> None:
    import ray

    with told_if_slow(f"waiting for Ray at {address}"):
        try:
            _wait_for_answer(address)  # of itself Ray tries for minutes, and hears no signal meanwhile
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise WorkflowError(
                f"Ray at {address} cannot be joined: {error}\n"
                f"  {named_by} names it: see that the cluster is up and RAY_AUTH_TOKEN is its token,\n"
                "  or work without it: RAY_ADDRESS= sdt ... starts Ray on this machine"
            ) from error


def _wait_for_answer(address: str) -> None:
    """Return when a connection to the address succeeds. Raises: OSError: none did in time."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    until = time.monotonic() + _ANSWER_S
    while port.isdigit():  # it is not in `auto`
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_TRY_S).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _start_embedded(config: RayConfig, stack: contextlib.ExitStack) -> None:
    import ray

    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    folder = stack.enter_context(_scratch_folder())
    with told_if_slow("waiting for Ray to start, the machine is busy"), patient_start():
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
def _own_sigterm() -> Iterator[None]:
    """Let SIGTERM mean after this what it meant before: Ray makes it print a stack of its C++ and end the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


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
