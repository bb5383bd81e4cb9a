"""The deployments: each is a flow with parameters that it takes, in the pool that the workers ask."""

import re
from typing import Any

import pytest
import yaml

from tasks.config.flows import DemoConfig
from tests.fixtures.deploy.files import CHECKOUT, DEPLOY, compose, containers, pod_templates

FILE: dict[str, Any] = yaml.safe_load((DEPLOY / "prefect.yaml").read_text())
FLOWS = {"flows/train.py:train_flow": "sdt-train", "flows/nightly.py:nightly_flow": "sdt-label"}
DEPLOYMENTS = {f"{FLOWS[d['entrypoint']]}/{d['name']}": d for d in FILE["deployments"]}
WHEN_ANOTHER_RUNS = {"sdt-train/weekly": "CANCEL_NEW", "sdt-label/nightly": "ENQUEUE"}  # each night has its own day


def load_flow(deployment: dict[str, Any]) -> Any:
    """A deployment's flow, as Prefect loads it."""
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint(str(CHECKOUT / deployment["entrypoint"]))


@pytest.mark.long
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_it_is_a_flow_that_takes_its_parameters(name: str) -> None:
    flow = load_flow(DEPLOYMENTS[name])
    assert flow.name == name.split("/")[0]
    flow.validate_parameters(DEPLOYMENTS[name]["parameters"])


@pytest.mark.long
def test_the_default_training_is_that_of_the_demo() -> None:
    deployment = DEPLOYMENTS["sdt-train/default"]
    config = load_flow(deployment).validate_parameters(deployment["parameters"])
    wanted = DemoConfig()
    assert (config["config"].training, config["config"].archive) == (wanted.training, wanted.archive)


def test_training_and_labelling_are_scheduled_and_wait_to_be_resumed() -> None:
    scheduled = {name: d["schedules"] for name, d in DEPLOYMENTS.items() if "schedules" in d}
    assert set(scheduled) == set(WHEN_ANOTHER_RUNS)
    for name, schedules in scheduled.items():
        (schedule,) = schedules
        assert schedule["active"] is False and schedule["timezone"] and schedule["slug"] == name.split("/")[1]
        assert DEPLOYMENTS[name]["concurrency_limit"] == {"limit": 1, "collision_strategy": WHEN_ANOTHER_RUNS[name]}


def test_the_weekly_training_is_the_default_one() -> None:
    assert DEPLOYMENTS["sdt-train/weekly"]["parameters"] == DEPLOYMENTS["sdt-train/default"]["parameters"]


def test_the_pool_is_the_one_that_is_made_and_asked() -> None:
    pools = {deployment["work_pool"]["name"] for deployment in DEPLOYMENTS.values()}
    (made,) = re.findall(r"work-pool create (\S+)", (DEPLOY / "register.sh").read_text())
    worker = containers(pod_templates()["sdt-prefect-worker"])[-1]["command"]
    asked = [part for part in [*worker, *compose()["services"]["prefect-worker"]["command"]] if "--pool" in part]
    assert pools == {made} and asked == [f"--pool={made}"] * 2


def test_names_in_the_readmes_are_those_of_deployments() -> None:
    text = (CHECKOUT / "README.md").read_text() + (DEPLOY / "README.md").read_text()
    named = set(re.findall(r"deployment run (\S+)", text))
    assert named and named <= set(DEPLOYMENTS)
