"""The Kubernetes manifests are of one mind: ports, addresses, secrets, versions."""

import re
from typing import Any

from tests.fixtures.deploy.files import (
    DEPLOY,
    RAY,
    containers,
    documents,
    environment,
    pinned,
    pod_templates,
    selected,
    the,
)


def test_services_select_pods_that_have_their_ports() -> None:
    services = [document for document in documents() if document["kind"] == "Service"]
    assert len(services) == 2
    for service in services:
        (name,) = selected({"matchLabels": service["spec"]["selector"]})
        ports = {port["name"] for c in containers(pod_templates()[name]) for port in c.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_workloads_select_their_own_pods() -> None:
    workloads = [document for document in documents() if document["kind"] in {"Deployment", "StatefulSet"}]
    assert {w["metadata"]["name"]: selected(w["spec"]["selector"]) for w in workloads} == {
        w["metadata"]["name"]: {w["metadata"]["name"]} for w in workloads
    }


def test_addresses_are_those_of_services() -> None:
    ports = {
        f"{d['metadata']['name']}:{port['port']}"
        for d in documents()
        if d["kind"] == "Service"
        for port in d["spec"]["ports"]
    }
    assert (
        the("ConfigMap", "sdt-config")["data"]["PREFECT_API_URL"].removeprefix("http://").removesuffix("/api") in ports
    )
    (server,) = containers(pod_templates()["sdt-prefect-server"])
    found = environment(server)
    assert f"{found['PREFECT_SERVER_DATABASE_HOST']}:{found['PREFECT_SERVER_DATABASE_PORT']}" in ports
    (head,) = containers(pod_templates()["ray-head"])
    (gcs,) = [port["containerPort"] for port in head["ports"] if port["name"] == "gcs-server"]
    node, worker = containers(pod_templates()["sdt-prefect-worker"])
    joined = {environment(container)["RAY_ADDRESS"] for container in (node, worker)}
    assert joined == {f"{RAY}-head-svc:{gcs}"}  # the name that KubeRay gives to the head's service


def test_probes_ask_ports_that_there_are() -> None:
    for name, template in pod_templates().items():
        for container in containers(template):
            ports = {port["name"] for port in container.get("ports", [])}
            probes = [container[probe] for probe in container if probe.endswith("Probe")]
            asked = {probe[how]["port"] for probe in probes for how in ("httpGet", "tcpSocket") if how in probe}
            assert asked <= ports, name


def test_ray_is_the_pinned_one_and_asks_for_its_token() -> None:
    ray = the("RayCluster", RAY)["spec"]
    assert ray["rayVersion"] == pinned("ray")
    assert ray["authOptions"] == {"mode": "token", "secretName": "sdt-ray"}
    for container in containers(pod_templates()["sdt-prefect-worker"]):
        found = environment(container)
        assert found["RAY_AUTH_MODE"] == "token"
        assert found["RAY_AUTH_TOKEN"]["secretKeyRef"] == {"name": "sdt-ray", "key": "auth_token"}


def test_prefect_asks_for_the_password_that_its_clients_have() -> None:
    names = {"sdt-prefect-server": "PREFECT_SERVER_API_AUTH_STRING", "sdt-prefect-worker": "PREFECT_API_AUTH_STRING",
             "sdt-prefect-deploy": "PREFECT_API_AUTH_STRING"}  # fmt: skip
    for workload, name in names.items():
        container = containers(pod_templates()[workload])[-1]
        assert environment(container)[name]["secretKeyRef"] == {"name": "sdt-prefect", "key": "auth-string"}


def test_the_readme_makes_every_secret_that_is_asked_for() -> None:
    text = (DEPLOY / "README.md").read_text().replace("\\\n", " ")
    made = {
        name: set(re.findall(r"--from-literal=([\w-]+)=", rest))
        for name, rest in re.findall(r"create secret generic (\S+)(.*)", text)
    }
    asked = {(e["secretKeyRef"]["name"], e["secretKeyRef"]["key"]) for e in _sources("env")}
    assert asked and all(key in made.get(name, ()) for name, key in asked), (asked, made)
    whole = {e["secretRef"]["name"] for e in _sources("envFrom") if "secretRef" in e}
    assert whole == {"sdt-storage"} <= set(made)
    assert {e["configMapRef"]["name"] for e in _sources("envFrom") if "configMapRef" in e} == {"sdt-config"}
    assert not any(document["kind"] == "Secret" for document in documents())


def _sources(where: str) -> list[dict[str, Any]]:
    every = [c for template in pod_templates().values() for c in containers(template)]
    if where == "envFrom":
        return [source for c in every for source in c.get("envFrom", [])]
    return [value for c in every for value in environment(c).values() if isinstance(value, dict)]
