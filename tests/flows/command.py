"""The command line as a user runs it: a process of its own, in a folder of its own, with an empty home."""

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sized
from functools import cache
from pathlib import Path
from typing import Any

SDT, PREFECT = (Path(sys.executable).with_name(name) for name in ("sdt", "prefect"))


def environment(home: Path, **more: str) -> dict[str, str]:
    """The surroundings' variables without those that would lead out of the test."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "SDT_", "RAY_", "XDG_"))}
    return {**kept, "HOME": str(home), "PATH": f"{SDT.parent}:{kept['PATH']}", **more}


@cache
def _database() -> Path:
    """The folder of a database as a first start of Prefect leaves it, made once."""
    folder = Path(tempfile.mkdtemp(prefix="sdt-prefect-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run(
        [PREFECT, "server", "database", "upgrade", "-y"], cwd=folder, check=True, capture_output=True, timeout=300,
        env=environment(folder, PREFECT_HOME=str(folder / "prefect")),
    )  # fmt: skip
    return folder / "prefect"


def with_database(folder: Path) -> None:
    """Let Prefect find its database in this folder, which is to be its home: making one takes 8 s of a processor."""
    folder.mkdir(parents=True)
    for file in _database().glob("prefect.db*"):
        shutil.copy(file, folder)


def sdt(*arguments: str, cwd: Path, timeout: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `sdt` in ``cwd``; afterwards its home must be as empty as it was."""
    home = cwd.parent / f"{cwd.name}-home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [SDT, *arguments], cwd=cwd, env=environment(home, **more), capture_output=True, text=True, timeout=timeout
    )
    assert list(home.iterdir()) == [], "something was written to the home folder"
    return done


def kill_once(
    made: Callable[[], Sized], count: int, driver: "subprocess.Popen[Any]", log: Path, seconds: float
) -> None:
    """Kill a driver, started as the leader of its session, once so many files are made."""
    try:
        until = time.monotonic() + seconds
        while len(made()) < count:
            assert driver.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.002)
        driver.kill()
        driver.wait()
        time.sleep(2)  # Ray's processes die with the driver; what they had in hand is not published
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)  # Prefect's embedded server outlives its driver
