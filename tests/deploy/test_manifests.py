"""The Kubernetes manifests, offline: valid against strict schemas, and built by kustomize."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonpatch
import kubernetes_validate
import pytest
import yaml

from tests.fixtures.deploy import schemas
from tests.fixtures.deploy.files import BASE, DEPLOY, RAY, SDT, containers, documents, pod_templates, the

needs_crd = pytest.mark.skipif(not schemas.CRD.exists(), reason=f"KubeRay's schema is not in {schemas.CRD.parent}")
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl to build with")


@pytest.mark.long
def test_every_object_is_valid() -> None:
    core = [document for document in documents() if document["kind"] != "RayCluster"]
    assert len(core) > 15
    for document in core:
        schemas.check(document)


def test_every_ray_pod_is_valid() -> None:
    pods = {name: template for name, template in pod_templates().items() if name.startswith("ray-")}
    assert set(pods) == {"ray-head", "ray-cpu", "ray-gpu"}
    for name, template in pods.items():
        schemas.check({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": template["spec"]})


@pytest.mark.shared
@needs_crd
def test_the_ray_cluster_is_valid() -> None:
    schemas.check_ray(the("RayCluster", RAY))


@pytest.mark.parametrize(
    ("kind", "name", "path", "right", "wrong"),
    [
        ("Deployment", "sdt-prefect-worker", "spec/template/spec", "automountServiceAccountToken", "automountToken"),
        ("NetworkPolicy", "ray", "spec", "podSelector", "podSelecter"),
        ("PodDisruptionBudget", "sdt-ray-cpu", "spec", "minAvailable", "minAvailible"),
    ],
)
def test_a_misspelt_field_is_refused(kind: str, name: str, path: str, right: str, wrong: str) -> None:
    document = the(kind, name)
    misspell(document, path, right, wrong)
    with pytest.raises(kubernetes_validate.ValidationError, match=wrong):
        schemas.check(document)


@pytest.mark.shared
@needs_crd
@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        ("spec", "authOptions", "authOption"),
        ("spec/workerGroupSpecs/0", "maxReplicas", "maxReplica"),
        ("spec/headGroupSpec/template/spec/containers/0", "resources", "resource"),
    ],
)
def test_a_misspelt_field_of_the_ray_cluster_is_refused(path: str, right: str, wrong: str) -> None:
    document = the("RayCluster", RAY)
    misspell(document, path, right, wrong)
    with pytest.raises(ValueError, match=rf"'{wrong}' was unexpected"):
        schemas.check_ray(document)


def misspell(document: dict[str, Any], path: str, right: str, wrong: str) -> None:
    holder: Any = document
    for part in path.split("/"):
        holder = holder[int(part) if part.isdigit() else part]
    holder[wrong] = holder.pop(right)


def test_the_base_names_every_file() -> None:
    named = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert sorted(named) == sorted(path.name for path in BASE.glob("*.yaml") if path.name != "kustomization.yaml")


def test_without_gpus_the_patches_take_the_gpu_group_and_no_other() -> None:
    patches = yaml.safe_load((DEPLOY / "k8s" / "cpu-only" / "kustomization.yaml").read_text())["patches"]
    for patch in patches:
        assert the(patch["target"]["kind"], patch["target"]["name"])
    (operations,) = [patch["patch"] for patch in patches if patch["target"]["kind"] == "RayCluster"]
    patched = jsonpatch.apply_patch(the("RayCluster", RAY), yaml.safe_load(operations))
    assert [group["groupName"] for group in patched["spec"]["workerGroupSpecs"]] == ["cpu"]
    images = [patched["spec"]["headGroupSpec"], *patched["spec"]["workerGroupSpecs"]]
    assert not any("cuda" in container["image"] for group in images for container in containers(group["template"]))


@pytest.mark.long
@needs_kubectl
@pytest.mark.parametrize("folder", ["base", "cpu-only"])
def test_kustomize_builds_it(folder: str) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", DEPLOY / "k8s" / folder], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    found = list(yaml.safe_load_all(built))
    for document in found:
        if document["kind"] != "RayCluster":
            schemas.check(document)
    gone = {"sdt-ray-gpu"} if folder == "cpu-only" else set()
    assert {d["metadata"]["name"] for d in documents()} - {d["metadata"]["name"] for d in found} == gone


@needs_kubectl
def test_the_readme_s_overlay_changes_registry_workspace_and_deployments(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(# kustomization\.yaml\n.*?)```", (DEPLOY / "README.md").read_text(), re.DOTALL)
    shutil.copytree(DEPLOY / "k8s", tmp_path / "k8s")
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "prefect.yaml").write_text("name: mine\n")
    (overlay / "kustomization.yaml").write_text(example.replace("../sdt/deploy/k8s/base", "../k8s/base"))
    built = subprocess.run(
        ["kubectl", "kustomize", overlay], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert built.count(f"image: registry.example/{SDT}:") == built.count(f"{SDT}:") == 7
    made = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(built)}
    config = made["ConfigMap", "sdt-config"]["data"]
    assert config["SDT_WORKSPACE"] == "s3://your-bucket/sdt" and "PREFECT_API_URL" in config
    pod = made["Job", "sdt-prefect-deploy"]["spec"]["template"]["spec"]
    (volume,) = (v["configMap"]["name"] for v in pod["volumes"] if v["name"] == "deployments")
    assert made["ConfigMap", volume]["data"] == {"prefect.yaml": "name: mine\n"}
    (home,) = re.findall(r"SDT_HOME=(\S+)", (DEPLOY / "Dockerfile").read_text())
    (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "deployments")
    assert mount == {"name": "deployments", "mountPath": f"{home}/deploy/prefect.yaml", "subPath": "prefect.yaml"}


def test_all_lie_in_one_namespace() -> None:
    assert {d["metadata"].get("namespace", d["metadata"]["name"]) for d in documents()} == {"sdt"}
