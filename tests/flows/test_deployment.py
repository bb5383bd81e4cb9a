"""The deployments on a real Prefect server with a real worker."""

import json
import re
from pathlib import Path

import pytest

from tasks.registry.models import find_bundle
from tasks.storage.workspace import Workspace
from tests.fixtures import archives as made
from tests.fixtures.command import CommandLine
from tests.fixtures.models import promoted_model
from tests.fixtures.services.prefect_server import Server, register

pytestmark = pytest.mark.process

CHECKOUT = Path(__file__).parents[2]


def test_train_runs_on_a_worker_and_shows_its_scores(server: Server, tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "workspace"))
    made.archive(workspace)
    small = {"model": {"hidden": 32, "heads": 4}, "optim": {"epochs": 2}}
    config = {"workspace": workspace.url, "archive": "made", "training": small, "ray": {"cpus": 2}}
    server.prefect("deployment", "run", "sdt-train/default", "--param", f"config={json.dumps(config)}", "--watch")
    (run,) = server.ask("flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
    assert run["state_type"] == "COMPLETED" and run["parameters"]["config"] == config, run["state"]["message"]
    bundle = find_bundle(workspace, "production")
    artifacts = server.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    page = next(artifact["data"] for artifact in artifacts if artifact["key"] == "sdt-train")
    assert bundle.model_id in page and f"{bundle.metrics['dev_weighted_f1']:.4f}" in page
    logs = server.ask("logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
    epochs = [
        log["message"] for log in logs if log["name"] == "sdt.train" and log["message"].startswith("train: epoch")
    ]
    assert len(epochs) == 2


def test_a_run_that_fails_says_why_on_its_page_and_in_the_workspace(server: Server, sdt: CommandLine) -> None:
    run = server.run_deployment("sdt-label/nightly", {"workspace": sdt.workspace.url, "archive": "nowhere"})
    assert run["state_type"] == "FAILED" and "archive 'nowhere' is not in" in run["state"]["message"]
    done = sdt("status")
    (row,) = (line for line in done.stdout.splitlines() if "nowhere" in line)
    assert f"| {run['name']} " in row and "| failed " in row and "archive 'nowhere' is not in" in row


def test_a_night_that_runs_late_labels_the_day_for_which_it_was_scheduled(server: Server, tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path / "workspace"))
    made.archive(workspace)
    promoted_model(workspace)
    config = {"workspace": workspace.url, "archive": "made", "ray": {"address": "local"}, "look_back": 0}
    planned = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2026-03-02T23:45:00Z"}}
    run = server.run_deployment("sdt-label/nightly", config, state=planned)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert {path.split("/")[2] for path in workspace.files("labels/made")} == {"date=2026-03-02"}
    artifacts = server.ask("artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    (page,) = (artifact["data"] for artifact in artifacts if artifact["key"] == "sdt-label")
    assert "2026-03-02" in page and re.search(r"Throughput: [1-9]\d* utterances in [\d.]+ s, \d+ a second", page)


def test_runs_of_the_nightly_wait_for_one_another(server: Server) -> None:
    deployment = server.ask("deployments/name/sdt-label/nightly")
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"


@pytest.mark.parametrize(("name", "cron"), [("sdt-label/nightly", "45 23 * * *"), ("sdt-train/weekly", "15 4 * * 0")])
def test_schedules_wait_to_be_resumed(server: Server, name: str, cron: str) -> None:
    (schedule,) = server.ask(f"deployments/name/{name}")["schedules"]
    assert schedule["active"] is False
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == (cron, "UTC")


def test_the_parameters_are_a_form(server: Server) -> None:
    deployment = server.ask("deployments/name/sdt-train/default")
    assert deployment["work_pool_name"] == "sdt" and deployment["parameters"]["config"]["archive"] == "synthetic-demo"
    schema = deployment["parameter_openapi_schema"]["definitions"]
    assert schema["OptimConfig"]["properties"]["seed"]["description"].startswith("Seed of the initial weights")
    (step,) = deployment["pull_steps"]
    assert step["prefect.deployments.steps.set_working_directory"]["directory"] == str(CHECKOUT)
    assert deployment["parameters"]["config"]["workspace"] == "./workspace"


def test_registering_again_moves_the_workspace_to_where_it_is_said(server: Server) -> None:
    register(server, SDT_WORKSPACE="s3://bucket/sdt")
    assert [automation["name"] for automation in server.ask("automations/filter", {})] == ["sdt-silent-runs"]
    for name in ("sdt-train/default", "sdt-train/weekly", "sdt-label/nightly"):
        assert server.ask(f"deployments/name/{name}")["parameters"]["config"]["workspace"] == "s3://bucket/sdt"


def test_what_lies_in_a_secret_block_reaches_a_run_by_the_pool_s_template(server: Server, tmp_path: Path) -> None:
    """As deploy/README.md says; shown by the workspace, which a failing run names."""
    from prefect.blocks.system import Secret
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: server.url}):
        Secret(value=str(tmp_path)).save("place")
    template = server.ask("work_pools/sdt")["base_job_template"]
    env = template["variables"]["properties"]["env"]
    env["default"] = (env.get("default") or {}) | {"SDT_WORKSPACE": "{{ prefect.blocks.secret.place }}"}
    (tmp_path / "pool.json").write_text(json.dumps(template))
    server.prefect("work-pool", "update", "sdt", "--base-job-template", str(tmp_path / "pool.json"))
    run = server.run_deployment("sdt-label/nightly", {"archive": "nowhere"})
    assert f"archive 'nowhere' is not in {tmp_path}" in run["state"]["message"]
    deployment = server.ask("deployments/name/sdt-label/nightly")
    assert str(tmp_path) not in json.dumps([deployment, server.ask("work_pools/sdt")])
