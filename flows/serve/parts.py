"""The parts that `make serve` runs: Prefect's server, then the deployments, then the worker."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from flows.serve.process_tree import children_by_parent, die_with_parent, end, kill_descendants
from tasks.errors import WorkflowError

HOST = "127.0.0.1"
POOL = "sdt"
REGISTER = Path("deploy/register.sh")
_POLL_S, _REQUEST_S, _LAST_LINES = 0.5, 10, 20

Condition = Callable[[], bool]


class Served:
    """The parts that run, each the leader of a session of its own, with its log in ``home``."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.page = home, f"http://{HOST}:{port}"
        self.url = f"{self.page}/api"
        self._port = port
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._open = build_opener(ProxyHandler({})).open
        own = {
            "PREFECT_HOME": str(home), "PREFECT_API_URL": self.url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60", "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
            "DO_NOT_TRACK": "1", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }  # fmt: skip
        # Of another server: this one would ask for a password, and would never count as answering.
        elsewhere = ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_KEY")
        self._environment = {name: value for name, value in os.environ.items() if name not in elsewhere} | own

    def start(self) -> None:
        """Start the server, register the deployments and start the worker; each when the one before answers.

        Raises:
            WorkflowError: a part ended by itself; shows the last lines of its log.
        """
        say("starting Prefect's server")
        self._run("server", "prefect", "server", "start", "--host", HOST, "--port", str(self._port))
        self._wait("server", lambda: self._ask("health") is True)
        say("registering the work pool and the deployments")
        self._run("register", "sh", str(REGISTER))
        self._wait("register", lambda: self._parts["register"].poll() == 0)
        del self._parts["register"]
        say("starting the worker")
        self._run("worker", "prefect", "worker", "start", "--pool", POOL, "--type", "process")
        self._wait("worker", self._worker_is_online)

    def watch(self) -> None:
        """Wait until someone asks for the end.

        Raises:
            WorkflowError: a part ended by itself.
        """
        while True:
            for name in self._parts:
                self._check(name)
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Stop the worker with its runs, then the server; what does not end by itself is killed."""
        if (worker := self._parts.get("worker")) is not None:
            end(children_by_parent().get(worker.pid, set()))  # the runs: they stop their Ray, and say so
        for name in ("register", "worker", "server"):
            if (part := self._parts.get(name)) is not None:
                end({part.pid})
        kill_descendants()

    def _run(self, name: str, *command: str) -> None:
        with (self.home / f"{name}.log").open("wb") as log:
            self._parts[name] = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip

    def _wait(self, name: str, done: Condition) -> None:
        """Wait as long as it takes: on a busy machine a first start takes minutes."""
        while not done():
            self._check(name)
            time.sleep(_POLL_S)

    def _check(self, name: str) -> None:
        code = self._parts[name].poll()
        registered = name == "register" and code == 0
        if code is not None and not registered:
            log = self.home / f"{name}.log"
            lines = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
            raise WorkflowError(f"the {name} ended by itself; the end of {log}:\n  " + "\n  ".join(lines))

    def _worker_is_online(self) -> bool:
        workers = self._ask(f"work_pools/{POOL}/workers/filter", {})
        return isinstance(workers, list) and any(worker.get("status") == "ONLINE" for worker in workers)

    def _ask(self, path: str, body: object = None) -> Any:
        """The server's answer; None where it does not give any yet."""
        data = None if body is None else json.dumps(body).encode()
        try:
            with self._open(
                Request(f"{self.url}/{path}", data, {"content-type": "application/json"}), None, _REQUEST_S
            ) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None


def say(text: str) -> None:
    """Print for whoever waits, at once."""
    print(text, flush=True)
