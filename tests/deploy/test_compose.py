"""The compose file: closed unless secrets are given, and the same layout as on a cluster."""

import re
from typing import Any

from tests.fixtures.deploy.files import CHECKOUT, DEPLOY, compose, containers, environment, pod_templates, the

FIELDS = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "init", "ipc",
    "network_mode", "networks", "pid", "ports", "read_only", "restart", "security_opt", "shm_size", "tmpfs", "volumes",
}  # fmt: skip
SERVICES: dict[str, dict[str, Any]] = compose()["services"]
TEXT = (DEPLOY / "compose.yaml").read_text()


def test_services_have_fields_that_there_are() -> None:
    assert set(compose()) == {"name", "services", "networks", "volumes", "x-image", "x-settings", "x-prefect"}
    for name, service in SERVICES.items():
        assert set(service) <= FIELDS, name


def test_what_is_named_is_there() -> None:
    for name, service in SERVICES.items():
        needed = service.get("depends_on", {})
        assert set(needed) <= set(SERVICES), name
        for other, how in needed.items() if isinstance(needed, dict) else ():
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other], (name, other)
        for mount in service.get("volumes", []):
            assert mount.split(":")[0] in compose()["volumes"], name
        assert set(service.get("networks", [])) <= {*compose()["networks"], "default"}, name
        for shared in (service.get("network_mode", ""), service.get("ipc", ""), service.get("pid", "")):
            assert not shared.startswith("service:") or shared.removeprefix("service:") in SERVICES, name


def test_addresses_are_those_of_services() -> None:
    hosts = re.findall(r"(?:http://|address=|RAY_ADDRESS: |_HOST: )([a-z0-9-]+)", TEXT)
    assert set(hosts) - {"localhost", "127"} == {"prefect-server", "ray-head", "s3", "postgres"} <= set(SERVICES)


def test_nothing_starts_without_its_secrets() -> None:
    asked = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert asked == set(re.findall(r"\$\{(\w+)", TEXT)), "a variable has no message for when it is not set"
    example = dict(line.split("=", 1) for line in (DEPLOY / "example.env").read_text().splitlines() if "=" in line)
    assert set(example) == asked and not any(example.values())
    assert "deploy/.env" in (CHECKOUT / ".gitignore").read_text().splitlines()


def test_ray_has_a_token_and_prefect_a_password() -> None:
    for name in ("ray-head", "ray-worker", "ray-node", "prefect-worker"):
        given = SERVICES[name]["environment"]
        assert given["RAY_AUTH_MODE"] == "token" and "SDT_RAY_TOKEN" in given["RAY_AUTH_TOKEN"]
    server = SERVICES["prefect-server"]["environment"]["PREFECT_SERVER_API_AUTH_STRING"]
    for name in ("prefect-worker", "prefect-deploy"):
        assert SERVICES[name]["environment"]["PREFECT_API_AUTH_STRING"] == server
    assert "RAY_ADDRESS" not in SERVICES["ray-head"]["environment"], "a head that is told to join does not start"


def test_ports_are_open_to_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert sorted(ports) == ["127.0.0.1:4200:4200", "127.0.0.1:8265:8265", "127.0.0.1:9000:9000"]


def test_the_driver_is_on_a_ray_node_as_on_a_cluster() -> None:
    node, worker = SERVICES["ray-node"], SERVICES["prefect-worker"]
    assert {worker[shared] for shared in ("network_mode", "ipc", "pid")} == {"service:ray-node"}
    assert node["ipc"] == "shareable" and pod_templates()["sdt-prefect-worker"]["spec"]["shareProcessNamespace"]
    assert set(node["volumes"]) == {"worker-tmp:/tmp"} <= set(worker["volumes"])
    assert "networks" not in node, "with two networks Ray may take the address of the wrong one"
    their_node, their_worker = containers(pod_templates()["sdt-prefect-worker"])
    for command in (node["command"], their_node["command"]):
        assert {"--num-cpus=0", "--node-manager-port=6380", "--block"} <= set(command)
    assert set(worker["command"]) - {"--limit=1"} <= set(their_worker["command"])


def test_settings_are_those_of_the_cluster() -> None:
    cluster = the("ConfigMap", "sdt-config")["data"]
    here = SERVICES["prefect-worker"]["environment"]
    assert set(cluster) <= set(here)
    assert {name for name in cluster if cluster[name] != here[name]} == {"PREFECT_API_URL"}
    (server,) = containers(pod_templates()["sdt-prefect-server"])
    assert set(environment(server)) == set(SERVICES["prefect-server"]["environment"])
    assert server["command"] == SERVICES["prefect-server"]["command"]
