"""A process is told from others that have its number."""

import os
import subprocess
import sys

from tasks.storage.process import Process, this_process


def started() -> tuple["subprocess.Popen[str]", Process]:
    """A process under way, and what it says of itself."""
    code = (
        "from tasks.storage.process import this_process; print(this_process().model_dump_json(), flush=True); input()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, Process.model_validate_json(child.stdout.readline())


def test_another_process_is_alive_until_it_is_killed_even_where_nobody_has_waited_for_it() -> None:
    child, process = started()
    assert process.pid == child.pid and process.is_visible() and process.is_alive()
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process.is_alive(), "a process that is dead and not yet buried does not live"
    child.communicate()
    assert not process.is_alive()


def test_who_has_the_number_later_is_another() -> None:
    process = this_process()
    assert process is not None and process.is_alive()
    assert not process.model_copy(update={"started": process.started + 1}).is_alive()
    for field in ("boot", "namespace"):
        assert not process.model_copy(update={field: "another"}).is_visible()
