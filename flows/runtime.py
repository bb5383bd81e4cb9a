"""The surroundings of a flow that the command line runs; set before Prefect and Ray are imported, which read them once.

What Prefect keeps lies in ``./.sdt``. With a server (``PREFECT_API_URL``, or the active Prefect profile) the lines of
the stages also go to the server's run logs. On the terminal each line appears once, printed by `flows.logs`.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def prepare_environment() -> None:
    """Set what the user has not set himself."""
    home = Path.cwd() / ".sdt" / "prefect"
    profiles = Path.home() / ".prefect" / "profiles.toml"
    defaults = {
        "DO_NOT_TRACK": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread that outlives an interrupted run starts no Ray of its own
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # A first start makes the database, which a busy machine does not do in the default 20 s.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "sdt",
        # Where there is nothing to do, a command says so without a flow: no warning that the line has no run.
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    }
    if "PREFECT_HOME" not in os.environ:
        home.mkdir(parents=True, exist_ok=True)  # Prefect makes the last folder of the path only
        if profiles.is_file():
            defaults["PREFECT_PROFILES_PATH"] = str(profiles)
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


@contextmanager
def server_meanwhile() -> Iterator[None]:
    """Have Prefect's embedded server started by the end, where it would start one: it and what is imported within the
    body take seconds, a core each. Prefect itself would start it after all imports.
    """
    from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED

    if PREFECT_API_URL.value() or not PREFECT_SERVER_EPHEMERAL_ENABLED.value():
        yield
        return
    from prefect.server.api.server import SubprocessASGIServer

    failed: list[Exception] = []

    def start() -> None:
        try:
            SubprocessASGIServer().start()
        except Exception as error:
            failed.append(error)

    # A daemon, for which an interrupted command does not wait: the server is interrupted too, and never answers.
    thread = threading.Thread(target=start, name="prefect-server", daemon=True)
    thread.start()
    yield
    thread.join()
    if failed:
        raise failed[0]
