"""Ray's node on a machine that others use: what `ray.init` has no argument for.

Ray gives its own processes 15 to 30 s to start, counted in constants, and a busy machine takes longer; and it starts
some that a single command has no use for. Each replacement below stands for one such constant of Ray 2.60, and lasts
for the start alone.
"""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

PATIENCE_S = 600.0

# A node waits 15 s for each of these helpers' ports, and ends itself then; for one that it is told it does not wait.
_HELPERS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
# PR_SET_PDEATHSIG is 1; the node starts its helpers in its main thread.
_DIE_WITH_PARENT = "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);os.execv(sys.argv[1],sys.argv[1:])"
# The monitor asks for more nodes, the log monitor carries workers' output to the command.
_NOT_NEEDED = {"no_monitor": True, "include_log_monitor": False}


@contextlib.contextmanager
def patient_start() -> Iterator[None]:
    """While this lasts, an embedded Ray starts with fewer processes, and has `PATIENCE_S` for it."""
    import ray._private.node
    import ray._private.parameter
    import ray._private.services

    node: Any = ray._private.node
    parameter: Any = ray._private.parameter
    services: Any = ray._private.services
    complete, start, get_node = parameter.RayParams, services.start_ray_process, services.get_node
    wait_for_port = node.wait_for_persisted_port
    ports = dict(zip(_HELPERS, _free_ports(len(_HELPERS)), strict=True))
    raylets: list[Any] = []

    def lean(**settings: Any) -> Any:
        return complete(**settings | ports | _NOT_NEEDED)

    def start_process(command: list[str], process_type: str, *args: Any, **more: Any) -> Any:
        if process_type != "raylet":
            return start(command, process_type, *args, **more)
        port = f"--dashboard_agent_listen_port={ports['dashboard_agent_listen_port']}"  # which Ray forgets to hand on
        ended_with_node = [_with_node(part) for part in command]
        started = start([*ended_with_node, port], process_type, *args, **more)
        raylets.append(started.process)
        return started

    def wait_patiently(*args: Any, timeout_ms: int) -> Any:
        return wait_for_port(*args, timeout_ms=timeout_ms and int(PATIENCE_S * 1000))  # 0: only looks

    def get_node_patiently(*args: Any) -> Any:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                return get_node(*args)
            except RuntimeError:  # not yet
                if time.monotonic() > until or any(raylet.poll() is not None for raylet in raylets):
                    raise

    with (
        _replaced(parameter, RayParams=lean),
        _replaced(node, wait_for_persisted_port=wait_patiently),
        _replaced(services, start_ray_process=start_process, get_node=get_node_patiently),
    ):
        yield


def _with_node(part: str) -> str:
    """The part of a node's command; one that starts a helper is made to end it with the node.

    Of itself a helper of a node that was killed first reports that to the head, and tries for a minute to reach it.
    """
    name, equals, helper = part.partition("=")
    if name not in ("--dashboard_agent_command", "--runtime_env_agent_command"):
        return part
    return f"{name}{equals}{subprocess.list2cmdline([sys.executable, '-c', _DIE_WITH_PARENT])} {helper}"


@contextlib.contextmanager
def _replaced(module: Any, **replacements: Any) -> Iterator[None]:
    before = {name: getattr(module, name) for name in replacements}
    try:
        for name, value in replacements.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("", 0))
        return [int(each.getsockname()[1]) for each in sockets]
