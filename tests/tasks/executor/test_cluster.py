"""Ray's beginning and end, in processes of their own: this one's Ray is the session's."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.patience import PATIENCE_S
from tests.fixtures.services.gateway import free_port

pytestmark = pytest.mark.ray

BEGIN = """
import json, os, signal, subprocess, sys, tempfile
from pathlib import Path
from tests.fixtures.services.embedded_ray import embedded_ray
from tasks.config.stages import RayConfig
import ray

def folders():
    return sorted(path.name for path in Path(tempfile.gettempdir()).glob("sdt-ray-*"))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a run finds a folder `here` to run in, and its temporary files; its path is short, as the system's is."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name, "here").mkdir()
        yield Path(name)


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Without what the session's Ray left there."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return plain | {"TMPDIR": str(folder), "PYTHONPATH": str(Path.cwd())} | more


def seen_by(code: str, folder: Path, **more: str) -> dict[str, Any]:
    """What the code leaves in ``seen``."""
    code = f"{BEGIN}\nseen = {{}}\n{code}\nprint(json.dumps(seen))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder / "here", env=environment(folder, **more), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list((folder / "here").iterdir()) == [], "something was written to the folder that the run was started in"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_an_embedded_ray_asks_for_a_token_and_leaves_nothing_behind(folder: Path) -> None:
    stranger = "import ray, sys; ray.init(address=sys.argv[1], logging_level='ERROR'); print('let in')"
    seen = seen_by(
        f"""
with embedded_ray(RayConfig(cpus=1)):
    seen["cpus"], seen["mode"] = ray.cluster_resources()["CPU"], os.environ["RAY_AUTH_MODE"]
    seen["token"], seen["inside"] = os.environ["RAY_AUTH_TOKEN"], folders()
    seen["worked"] = ray.get(ray.remote(lambda: os.getpid()).remote()) != os.getpid()
    address, outer = ray.get_runtime_context().gcs_address, ray.get_runtime_context().get_node_id()
    with embedded_ray(RayConfig(cpus=1)):
        seen["nested"] = ray.get_runtime_context().get_node_id() == outer
    seen["still there"] = ray.is_initialized()
    for who, token in (("friend", os.environ["RAY_AUTH_TOKEN"]), ("stranger", "0" * 64)):
        done = subprocess.run([sys.executable, "-c", {stranger!r}, address], capture_output=True, text=True,
                              env=os.environ | {{"RAY_AUTH_TOKEN": token}})
        seen[who] = done.stdout + done.stderr
seen["after"], seen["left"] = ray.is_initialized(), folders()
""",
        folder,
    )
    assert (seen["cpus"], seen["mode"], seen["worked"]) == (1, "token", True)
    assert len(seen["token"]) == 64 and len(seen["inside"]) == 1
    assert seen["nested"] and seen["still there"] and not seen["after"] and seen["left"] == []
    assert "let in" in seen["friend"]
    assert "let in" not in seen["stranger"] and "AuthenticationError" in seen["stranger"]


def test_every_process_has_a_token_of_its_own(folder: Path) -> None:
    code = """
with embedded_ray(RayConfig(cpus=1)):
    seen["token"] = os.environ["RAY_AUTH_TOKEN"]
"""
    assert seen_by(code, folder)["token"] != seen_by(code, folder)["token"]


def test_a_given_token_is_kept_and_an_error_inside_takes_ray_down_as_well(folder: Path) -> None:
    seen = seen_by(
        """
try:
    with embedded_ray(RayConfig(cpus=1)):
        seen["token"], seen["inside"] = os.environ["RAY_AUTH_TOKEN"], len(folders())
        raise ValueError("x")
except ValueError:
    seen["after"], seen["left"] = ray.is_initialized(), folders()
""",
        folder,
        RAY_AUTH_TOKEN="ab" * 16,
    )
    assert seen == {"token": "ab" * 16, "inside": 1, "after": False, "left": []}


def test_a_ray_by_its_address_is_joined_and_outlives_the_one_who_joined(folder: Path) -> None:
    seen = seen_by(
        """
join = '''
import ray
from tests.fixtures.services.embedded_ray import embedded_ray
from tasks.config.stages import RayConfig
with embedded_ray(RayConfig(%s)):
    print(ray.get_runtime_context().get_node_id())
'''
with embedded_ray(RayConfig(cpus=1)):
    address, seen["node"] = ray.get_runtime_context().gcs_address, ray.get_runtime_context().get_node_id()
    for how, argument, more in (("config", f"address={address!r}", {}), ("variable", "", {"RAY_ADDRESS": address})):
        done = subprocess.run([sys.executable, "-c", join % argument], capture_output=True, text=True,
                              env=os.environ | more)
        seen[how] = done.stdout.strip() or done.stderr
    seen["there"] = ray.get(ray.remote(lambda: 7).remote())
    seen["folders"] = len(folders())
""",
        folder,
    )
    assert seen["config"] == seen["variable"] == seen["node"]
    assert seen["there"] == 7 and seen["folders"] == 1


def test_a_killed_run_s_folder_goes_with_the_next_and_a_living_one_s_stays(folder: Path) -> None:
    code = f"{BEGIN}\nwith embedded_ray(RayConfig(cpus=1)):\n    print('up', flush=True)\n    sys.stdin.read()"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder / "here", env=environment(folder), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        assert [run.stdout and run.stdout.readline() for run in runs] == ["up\n", "up\n"]
        both = in_use(folder)
        runs[0].kill()
        runs[0].wait()
        seen = seen_by("with embedded_ray(RayConfig(cpus=1)):\n    seen['folders'] = folders()", folder)
        left = in_use(folder)
        runs[1].communicate("", timeout=PATIENCE_S)
    finally:
        for run in runs:
            run.kill()
            run.wait()
    assert len(both) == 2 == len(seen["folders"]) and len(left) == 1 and left < both
    assert not in_use(folder)


def in_use(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("sdt-ray-*")}


def test_a_killed_run_leaves_no_process(folder: Path) -> None:
    code = f"""{BEGIN}
with embedded_ray(RayConfig(cpus=1)):
    ray.get(ray.remote(lambda: 7).remote())
    busy = ray.remote(lambda: [0 for _ in iter(int, 1)]).remote()
    print('up', flush=True)
    sys.stdin.read()
"""
    run = subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder / "here", env=environment(folder), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert run.stdout and run.stdout.readline() == "up\n"
        assert len(processes(folder)) > 3
    finally:
        run.kill()
        run.wait()
    until = time.monotonic() + 60  # on a machine that others use; 10 s on a quiet one
    while (left := processes(folder)) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == {}


def processes(folder: Path) -> dict[int, str]:
    """The processes that have the folder in their surroundings, as everything has that a run there has started."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"TMPDIR={folder}\0".encode() in (path / "environ").read_bytes():
                found[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
    return found


def test_who_waits_long_for_ray_is_told_and_what_the_surroundings_say_of_patience_counts(folder: Path) -> None:
    seen = seen_by(
        """
import logging, tasks.executor.cluster
lines = []
class Kept(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())
logging.getLogger("sdt.stage").addHandler(Kept())
logging.getLogger("sdt.stage").setLevel(logging.INFO)
tasks.executor.progress._SLOW_S = 0.0
with embedded_ray(RayConfig(cpus=1)):
    seen["lines"] = lines
    names = ("worker_register_timeout_seconds", "agent_register_timeout_ms")
    seen["patience"] = [os.environ["RAY_" + name] for name in names]
""",
        folder,
        RAY_agent_register_timeout_ms="300000",
    )
    assert seen["lines"] == ["waiting for Ray to start, the machine is busy"]
    assert seen["patience"] == ["600", "300000"]


def test_a_scope_in_which_nothing_needs_ray_starts_none(folder: Path) -> None:
    code = """
import sys
from tasks.executor.capacity import working_nodes
from tasks.executor.cluster import ray_scope
from tasks.config.stages import RayConfig
with ray_scope():
    assert working_nodes(RayConfig(address="local", cpus=3)) == [{"CPU": 3.0}]
assert "ray" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


def test_ray_starts_with_the_first_question_what_it_has_and_stays_until_the_outer_scope_ends(folder: Path) -> None:
    code = """
from tasks.executor.capacity import working_nodes
from tasks.executor.cluster import ray_scope
with ray_scope():
    seen["before"] = ray.is_initialized()
    with ray_scope():
        seen["cores"] = [node["CPU"] for node in working_nodes(RayConfig(cpus=1))]
    seen["between"] = ray.is_initialized()
seen["after"], seen["left"] = ray.is_initialized(), folders()
try:
    working_nodes(RayConfig(cpus=1))
except RuntimeError as error:
    seen["outside"] = str(error)
"""
    seen = seen_by(code, folder)
    assert seen.pop("outside").endswith("within tasks.executor.cluster.ray_scope()")
    assert seen == {"before": False, "cores": [1.0], "between": True, "after": False, "left": []}


def test_sigterm_is_the_caller_s_to_handle_and_prints_no_stack(folder: Path) -> None:
    code = f"""{BEGIN}
caught = []
signal.signal(signal.SIGTERM, lambda number, _: caught.append(number))
with embedded_ray(RayConfig(cpus=1)):
    os.kill(os.getpid(), signal.SIGTERM)
print(caught)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"[{signal.SIGTERM.value}]\n", "")


@pytest.mark.parametrize(("named_by", "more"), [("ray.address", {}), ("RAY_ADDRESS", {"RAY_ADDRESS": ""})])
def test_a_ray_that_is_not_there_is_named_with_what_names_it(folder: Path, named_by: str, more: dict[str, str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    code = f"""
import tasks.executor.cluster
tasks.executor.cluster._ANSWER_S = 0.5
try:
    with embedded_ray(RayConfig({"" if more else f"address={address!r}"})):
        pass
except Exception as error:
    seen["error"] = [type(error).__name__, *str(error).splitlines()]
"""
    kind, what, whose, way_out = seen_by(code, folder, **dict.fromkeys(more, address))["error"]
    assert (kind, what) == ("WorkflowError", f"Ray at {address} cannot be joined: [Errno 111] Connection refused")
    assert whose.startswith(f"  {named_by} names it") and "RAY_ADDRESS= sdt" in way_out
