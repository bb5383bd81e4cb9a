"""The command line as a user runs it: a process of its own, in a folder of its own, with an empty home."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sized
from pathlib import Path
from typing import Any

SDT = Path(sys.executable).with_name("sdt")


def environment(home: Path, **more: str) -> dict[str, str]:
    """The surroundings' variables without those that would lead out of the test."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "SDT_", "RAY_", "XDG_"))}
    return {**kept, "HOME": str(home), "PATH": f"{SDT.parent}:{kept['PATH']}", **more}


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
