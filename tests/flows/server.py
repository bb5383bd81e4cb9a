"""A real Prefect server for tests."""

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.flows.command import PREFECT, environment, with_database
from tests.gateway import free_port


class Server:
    """A Prefect server of the test's own, in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.environment = environment(
            home, PREFECT_HOME=str(home / "prefect"), PREFECT_API_URL=self.url,
            PREFECT_SERVER_ANALYTICS_ENABLED="false", DO_NOT_TRACK="1",
        )  # fmt: skip

    def prefect(self, *arguments: str, cwd: Path | None = None, timeout: float = 300) -> str:
        done = subprocess.run(
            [PREFECT, *arguments], cwd=cwd or self.home, env=self.environment, capture_output=True, text=True,
            timeout=timeout,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def background(self, name: str, *arguments: str) -> Iterator[None]:
        with (self.home / f"{name}.log").open("w") as log:
            process = subprocess.Popen(
                [PREFECT, *arguments], cwd=self.home, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                yield
            finally:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    @contextmanager
    def running(self) -> Iterator[None]:
        """The server, up and answering."""
        with_database(self.home / "prefect")
        with self.background("server", "server", "start", "--port", str(self.port)):
            self._wait()
            yield

    def _wait(self, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                self.ask("health")
                return
            except OSError:
                assert time.monotonic() < until, (self.home / "server.log").read_text()
                time.sleep(0.5)
