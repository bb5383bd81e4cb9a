"""The services of deploy/compose.yaml on machines of their own: its commands and settings, without Docker.

What differs: Prefect keeps its database in a file instead of Postgres, a Ray worker has one core, and there are two.
"""

import base64
import json
import re
import secrets
import shlex
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.namespaces import HOME, Machine, network
from tests.cluster.transcript import say
from tests.deploy.files import CHECKOUT, compose
from tests.flows.command import environment
from tests.gateway import Gateway

WORKERS = ("ray-worker-1", "ray-worker-2")
_MACHINES = ("s3", "prefect-server", "ray-head", *WORKERS, "ray-node")
_COMPOSE: dict[str, dict[str, Any]] = compose()["services"]
# As deploy/Dockerfile sets them.
_IMAGE = {
    "DO_NOT_TRACK": "1",
    "PREFECT_HOME": f"{HOME}/prefect",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PYTHONUNBUFFERED": "1",
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "SDT_HOME": str(CHECKOUT),
}
_TEST = {"COLUMNS": "200", "NO_COLOR": "1", "SDT_LOG": "json", "TMPDIR": HOME}


class Cluster:
    """Services that run, and commands beside them."""

    def __init__(self, machines: dict[str, Machine]) -> None:
        self._machines = machines
        s3 = machines["s3"]
        self._gateway = Gateway(s3.folder / "objects", s3.address, port=9000, prefix=s3.inside)
        self.secrets = {
            "SDT_PREFECT_AUTH": f"admin:{secrets.token_hex(12)}",
            "SDT_RAY_TOKEN": secrets.token_hex(32),
            "SDT_S3_PASSWORD": self._gateway.password,
        }
        self._started: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self) -> None:
        """Start them in the order that compose does."""
        say("machine         address      what runs there")
        self._gateway.start()
        self._introduce("s3", f"juicefs gateway {self._gateway.endpoint}")
        self._start("prefect-server")
        self._start("ray-head")
        self._reachable("ray-head", 6379)
        for worker in WORKERS:
            self._start("ray-worker", worker, "--num-cpus=1")
        self._start("ray-node")
        self._reachable("ray-node", 6380)
        self._wait_for("prefect-server", lambda: self.ask("ready"))
        self.run("bucket", *_COMPOSE["bucket"]["command"])
        self.run("prefect-deploy", str(CHECKOUT / "deploy" / "register.sh"))
        self._start("prefect-worker")

    def gone(self) -> None:
        """Wait for the services of machines that have stopped."""
        self._gateway.stop()
        for process in self._started.values():
            process.wait(timeout=60)

    def environment(self, service: str) -> dict[str, str]:
        """What the service has set, in compose and in the image."""
        given: Mapping[str, str] = _COMPOSE[service].get("environment", {})
        filled = {
            name: re.sub(r"\$\{(\w+)[^}]*\}", lambda found: self.secrets[found[1]], value)
            for name, value in given.items()
            if not name.startswith("PREFECT_SERVER_DATABASE_")
        }
        return environment(Path(HOME), **(_IMAGE | _TEST | filled))

    def run(
        self, service: str, *command: str, fails: bool = False, without: tuple[str, ...] = (), **more: str
    ) -> "subprocess.CompletedProcess[str]":
        """A command on the service's machine, with its settings but those ``without``; it must end as it is said to."""
        surroundings = {k: v for k, v in self.environment(service).items() if k not in without} | more
        words = [*self._prefix(service), *command]
        done = subprocess.run(words, env=surroundings, capture_output=True, text=True, timeout=900, check=False)
        assert (done.returncode != 0) is fails, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
        return done

    def ask(self, path: str, body: dict[str, Any] | None = None, auth: str | None = None) -> Any:
        """Ask Prefect's server, from outside of the cluster."""
        known = base64.b64encode((self.secrets["SDT_PREFECT_AUTH"] if auth is None else auth).encode()).decode()
        request = urllib.request.Request(
            f"http://{self._machines['prefect-server'].address}:4200/api/{path}",
            None if body is None else json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": f"Basic {known}"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def log(self, service: str) -> str:
        return (self._machines[_machine(service)].folder / f"{service}.log").read_text()

    def name(self, address: str) -> str:
        """The machine that has an address."""
        return next(machine.name for machine in self._machines.values() if machine.address == address)

    def _start(self, service: str, machine: str | None = None, *more: str) -> None:
        command = [*_COMPOSE[service]["command"], *more]
        self._introduce(machine or _machine(service), shlex.join(command))
        with (self._machines[machine or _machine(service)].folder / f"{service}.log").open("w") as log:
            process = subprocess.Popen(
                [*self._prefix(service, machine), *command], env=self.environment(service), stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._started[machine or service] = process

    def _prefix(self, service: str, machine: str | None = None) -> tuple[str, ...]:
        """A container on another's network sees the processes of that one only where compose says so."""
        where = self._machines[machine or _machine(service)].inside
        shared = _COMPOSE[service]
        apart = "network_mode" in shared and "pid" not in shared
        return (*where, "unshare", "--pid", "--fork", "--mount-proc") if apart else where

    def _introduce(self, machine: str, command: str) -> None:
        say(f"{machine:<15} {self._machines[machine].address:<12} {command}")

    def _reachable(self, machine: str, port: int) -> None:
        where = (self._machines[machine].address, port)
        self._wait_for(machine, lambda: socket.create_connection(where, timeout=5).close())

    def _wait_for(self, service: str, attempt: Callable[[], object], seconds: float = 240) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                attempt()
                return
            except OSError:
                assert time.monotonic() < until and self._started[service].poll() is None, self.log(service)
                time.sleep(0.5)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """All services of deploy/compose.yaml, but for Postgres."""
    with ExitStack() as afterwards, network(folder, _MACHINES) as machines:
        found = Cluster(machines)
        afterwards.callback(found.gone)
        found.begin()
        yield found


def _machine(service: str) -> str:
    """Where a service runs: where it shares a network, or on its own; what compose runs once, at the driver's."""
    shared: str = _COMPOSE[service].get("network_mode", "")
    name = shared.removeprefix("service:") or service
    return name if name in _MACHINES else "ray-node"
