"""Ray's beginning and end, in processes of their own: this one's Ray is the session's."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

BEGIN = """
import json, os, subprocess, sys
from pathlib import Path
from tasks.executor.cluster import connected
from tasks.config.stages import RayConfig
import ray

def folders():
    return sorted(str(path) for path in Path(".sdt").glob("r-*"))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a path short enough for Ray's sockets, as a project's usually is."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def environment(**more: str) -> dict[str, str]:
    """Without what the session's Ray left there."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | more


def seen_by(code: str, folder: Path, **more: str) -> dict[str, Any]:
    """What the code leaves in ``seen``."""
    code = f"{BEGIN}\nseen = {{}}\n{code}\nprint(json.dumps(seen))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment(**more), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_an_embedded_ray_asks_for_a_token_and_leaves_nothing_behind(folder: Path) -> None:
    stranger = "import ray, sys; ray.init(address=sys.argv[1], logging_level='ERROR'); print('let in')"
    seen = seen_by(
        f"""
with connected(RayConfig(cpus=1)):
    seen["cpus"], seen["mode"] = ray.cluster_resources()["CPU"], os.environ["RAY_AUTH_MODE"]
    seen["token"], seen["inside"] = os.environ["RAY_AUTH_TOKEN"], folders()
    seen["worked"] = ray.get(ray.remote(lambda: os.getpid()).remote()) != os.getpid()
    address, outer = ray.get_runtime_context().gcs_address, ray.get_runtime_context().get_node_id()
    with connected(RayConfig(cpus=1)):
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
with connected(RayConfig(cpus=1)):
    seen["token"] = os.environ["RAY_AUTH_TOKEN"]
"""
    assert seen_by(code, folder)["token"] != seen_by(code, folder)["token"]


def test_a_given_token_is_kept_and_an_error_inside_takes_ray_down_as_well(folder: Path) -> None:
    seen = seen_by(
        """
try:
    with connected(RayConfig(cpus=1)):
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
from tasks.executor.cluster import connected, ray
from tasks.config.stages import RayConfig
with connected(RayConfig(%s)):
    print(ray.get_runtime_context().get_node_id())
'''
with connected(RayConfig(cpus=1)):
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
    code = f"{BEGIN}\nwith connected(RayConfig(cpus=1)):\n    print('up', flush=True)\n    sys.stdin.read()"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, env=environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]  # fmt: skip
    try:
        assert [run.stdout and run.stdout.readline() for run in runs] == ["up\n", "up\n"]
        both = in_use(folder)
        runs[0].kill()
        runs[0].wait()
        seen = seen_by("with connected(RayConfig(cpus=1)):\n    seen['folders'] = folders()", folder)
        left = in_use(folder)
        runs[1].communicate("", timeout=60)
    finally:
        for run in runs:
            run.kill()
            run.wait()
    assert len(both) == 2 == len(seen["folders"]) and len(left) == 1 and left < both
    assert not in_use(folder)


def in_use(folder: Path) -> set[str]:
    return {path.name for path in (folder / ".sdt").glob("r-*")}
