"""A real S3 gateway for tests: JuiceFS over a folder, which can be stopped, started again and slowed down."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

JUICEFS = shutil.which("juicefs") or str(Path(sys.executable).with_name("juicefs"))
START_S = 60.0


class Gateway:
    """An S3 server over ``folder``; ``prefix`` goes before its commands, to run them in another network namespace."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int | None = None, prefix: Sequence[str] = ()):
        self.host, self.port = host, port or free_port()
        self.user, self.password = "sdt", secrets.token_hex(12)
        self._folder, self._prefix = folder, tuple(prefix)
        self._meta = f"sqlite3://{folder}/meta.db"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [JUICEFS, "format", "--storage", "file", "--bucket", f"{folder}/objects/", self._meta, "sdt"],
            check=True, capture_output=True, env=self._surroundings(),
        )  # fmt: skip

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What s3fs, Arrow and Polars read."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.user,
            "AWS_SECRET_ACCESS_KEY": self.password,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }

    @property
    def log(self) -> Path:
        return self._folder / "gateway.log"

    def start(self) -> None:
        """Start, or start again on the same port with the same objects."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, JUICEFS, "gateway", "--multi-buckets", "--no-banner", "--no-usage-report",
                 "--cache-dir", f"{self._folder}/cache", self._meta, f"{self.host}:{self.port}"],
                stdout=log, stderr=log, env=self._surroundings(), start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the S3 gateway did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop at once, as a machine does that loses its power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1):
                return True
        except OSError:
            return False

    def _surroundings(self) -> dict[str, str]:
        return os.environ | {
            "HOME": str(self._folder),
            "MINIO_ROOT_USER": self.user,
            "MINIO_ROOT_PASSWORD": self.password,
        }


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
