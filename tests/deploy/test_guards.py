"""The Kubernetes manifests: where work runs, what a container may, who reaches whom, what a drain leaves."""

from typing import Any

from tests.fixtures.deploy.files import RAY, containers, documents, pod_templates, selected, the


def test_no_work_runs_on_the_head_or_beside_the_driver() -> None:
    assert the("RayCluster", RAY)["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    node, _ = containers(pod_templates()["sdt-prefect-worker"])
    assert "--num-cpus=0" in node["command"] and node["restartPolicy"] == "Always"


def test_the_driver_shares_ray_s_sockets() -> None:
    node, worker = containers(pod_templates()["sdt-prefect-worker"])
    assert node["volumeMounts"] == worker["volumeMounts"]
    assert {"name": "tmp", "mountPath": "/tmp"} in node["volumeMounts"]
    assert node["image"] == worker["image"]


def test_one_ray_pod_fills_a_node_and_groups_scale() -> None:
    for name in ("ray-head", "ray-cpu", "ray-gpu"):
        (rule,) = pod_templates()[name]["spec"]["affinity"]["podAntiAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]
        assert rule["topologyKey"] == "kubernetes.io/hostname"
        assert selected(rule["labelSelector"]) == {"ray-head", "ray-cpu", "ray-gpu"}
    ray = the("RayCluster", RAY)["spec"]
    assert ray["enableInTreeAutoscaling"]
    assert all(g["minReplicas"] <= g["replicas"] < g["maxReplicas"] for g in ray["workerGroupSpecs"])
    (gpu,) = containers(pod_templates()["ray-gpu"])
    assert gpu["resources"]["limits"]["nvidia.com/gpu"] == "1" and gpu["image"].endswith("-cuda")


def test_every_container_is_confined_and_bounded() -> None:
    for name, template in pod_templates().items():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in containers(template):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"], name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][bound]), name


def test_only_the_autoscaler_has_an_account() -> None:
    account = "account"
    mounts = the("RayCluster", RAY)["spec"]["autoscalerOptions"]["volumeMounts"]
    volumes = {volume["name"] for volume in pod_templates()["ray-head"]["spec"]["volumes"]}
    assert account in {mount["name"] for mount in mounts} <= volumes
    for template in pod_templates().values():
        assert not any(mount["name"] == account for c in containers(template) for mount in c["volumeMounts"])


def test_only_ray_and_the_worker_reach_ray() -> None:
    ray = {"ray-head", "ray-cpu", "ray-gpu"}
    policies = [document["spec"] for document in documents() if document["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    callers: set[str] = set()
    for policy in policies:
        if selected(policy["podSelector"]) & ray:
            for rule in policy.get("ingress", []):
                assert rule["from"], "a rule without `from` lets everyone in"
                for peer in rule["from"]:
                    assert set(peer) == {"podSelector"}, "of this namespace only"
                    callers |= selected(peer["podSelector"])
    assert callers == ray | {"sdt-prefect-worker"}


def test_what_may_be_called_may_also_call() -> None:
    """Each permission to come in has its permission to go out, and the other way round."""
    into, out_of = set(), set()
    for policy in (document["spec"] for document in documents() if document["kind"] == "NetworkPolicy"):
        for me in selected(policy["podSelector"]):
            into |= {(other, me) for rule in policy.get("ingress", []) for other in _peers(rule, "from")}
            out_of |= {(me, other) for rule in policy.get("egress", []) for other in _peers(rule, "to")}
    assert into == out_of
    assert {("sdt-prefect-server", "sdt-postgres"), ("sdt-prefect-worker", "sdt-prefect-server")} <= into
    assert ("sdt-prefect-worker", "sdt-postgres") not in into and ("ray-cpu", "sdt-prefect-server") not in into


def _peers(rule: dict[str, Any], side: str) -> set[str]:
    found: set[str] = set()
    for peer in rule.get(side, []):
        if set(peer) == {"podSelector"}:
            found |= selected(peer["podSelector"])
    return found


def test_budgets_guard_each_lasting_workload_in_a_way_that_counts() -> None:
    budgets = [document["spec"] for document in documents() if document["kind"] == "PodDisruptionBudget"]
    guarded = [selected(budget["selector"]) for budget in budgets]
    assert sorted(name for names in guarded for name in names) == sorted(set(pod_templates()) - {"sdt-prefect-deploy"})
    for budget in budgets:
        assert set(budget) == {"minAvailable", "selector"} and isinstance(budget["minAvailable"], int)


def test_no_pod_may_call_any_address_but_at_a_port_and_never_the_machine_s_own() -> None:
    for policy in (document["spec"] for document in documents() if document["kind"] == "NetworkPolicy"):
        for rule in policy.get("egress", []):
            blocks = [peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer]
            assert "to" in rule or rule["ports"] == [{"protocol": "TCP", "port": 6443}]
            assert all("169.254.0.0/16" in block["except"] and rule["ports"] for block in blocks)
