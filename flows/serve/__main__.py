"""`python -m flows.serve`: a Prefect server, its worker and the deployments, on this machine, until Ctrl-C.

What deploy/ does on a cluster, for one machine: the server's data and logs lie in ./.prefect, the pool and the
deployments are those of deploy/register.sh. It waits for each part to answer, however long that takes, and at the end
it stops all of them with everything that they started, the runs that are under way first.
"""

import argparse
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.serve.parts import HOST, REGISTER, Served, say
from flows.serve.process_tree import adopt_orphans
from tasks.errors import WorkflowError

PORT = 4200


class Interrupted(BaseException):
    """Someone asked for the end."""


def main() -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help=f"port of Prefect's page and API (default: {PORT})")
    parser.add_argument("--home", type=Path, default=Path(".prefect"), help="folder of its data (default: ./.prefect)")
    arguments = parser.parse_args()
    try:
        serve(arguments.home.absolute(), arguments.port)
    except WorkflowError as error:
        sys.exit(f"error: {error}")


def serve(home: Path, port: int) -> None:
    """Start everything, say how to use it, and stop everything when asked to.

    Raises:
        WorkflowError: this is no checkout, the port is taken, or a part ended by itself.
    """
    if not REGISTER.is_file():
        raise WorkflowError(f"there is no {REGISTER} in {Path.cwd()}\n  run it from the root of the checkout")
    _check_port(port)
    home.mkdir(parents=True, exist_ok=True)
    served = Served(home, port)
    adopt_orphans()
    with _interruptible():
        try:
            served.start()
            say(_banner(served))
            served.watch()
        except Interrupted:
            say("\nstopping the worker and the server")
        finally:
            _ignore_interrupts()
            served.stop()


def _banner(served: Served) -> str:
    prefect = Path(sys.executable).with_name("prefect")
    here = Path.cwd()
    command = prefect.relative_to(here) if prefect.is_relative_to(here) else prefect
    return f"""
Prefect's page: {served.page}
In another terminal, from this folder, train on what `make demo` or `sdt demo` has made:

  export PREFECT_API_URL={served.url}
  {command} deployment run sdt-train/default --watch

Logs: {served.home}/server.log, {served.home}/worker.log
Ctrl-C stops the server, the worker and the runs that are under way."""


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise WorkflowError(
                f"port {port} cannot be used: {error.strerror}\n"
                "  another server may be running; end it, or take another port: make serve PORT=4201"
            ) from error


@contextmanager
def _interruptible() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise Interrupted

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ignore_interrupts() -> None:
    """A second Ctrl-C must not leave half of it running."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
