"""What lies in deploy/, read as its tools read it."""

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[2]
DEPLOY = CHECKOUT / "deploy"
BASE = DEPLOY / "k8s" / "base"
SDT = "sdt-emotion"  # the image
RAY = "sdt-ray"  # the Ray cluster

# What KubeRay's operator adds to the labels of the pods that it makes.
_HEAD = {"ray.io/cluster": "sdt-ray", "ray.io/node-type": "head", "ray.io/group": "headgroup"}
_WORKER = {"ray.io/cluster": "sdt-ray", "ray.io/node-type": "worker"}


def documents(folder: Path = BASE) -> list[dict[str, Any]]:
    """Every object of the manifests."""
    return copy.deepcopy(_documents(folder))


@cache
def _documents(folder: Path) -> list[dict[str, Any]]:
    files = [path for path in sorted(folder.glob("*.yaml")) if path.name != "kustomization.yaml"]
    return [document for path in files for document in yaml.safe_load_all(path.read_text())]


def the(kind: str, name: str) -> dict[str, Any]:
    (found,) = [d for d in documents() if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return found


def pod_templates() -> dict[str, dict[str, Any]]:
    """Each pod template by the name of what makes its pods, with the labels that such a pod has in the end."""
    templates = {
        document["metadata"]["name"]: document["spec"]["template"]
        for document in documents()
        if document["kind"] in {"Deployment", "StatefulSet", "Job"}
    }
    ray = the("RayCluster", "sdt-ray")["spec"]
    groups = {"head": ray["headGroupSpec"]} | {group["groupName"]: group for group in ray["workerGroupSpecs"]}
    for name, group in groups.items():
        template = group["template"]
        template["metadata"]["labels"] |= _HEAD if name == "head" else _WORKER | {"ray.io/group": name}
        templates[f"ray-{name}"] = template
    return templates


def selected(selector: dict[str, Any]) -> set[str]:
    """Names of the pod templates whose pods a selector takes."""
    wanted = selector.get("matchLabels", {}).items()
    return {name for name, template in pod_templates().items() if wanted <= template["metadata"]["labels"].items()}


def containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def environment(container: dict[str, Any]) -> dict[str, Any]:
    """The variables that are set by name: their value, or their source."""
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container.get("env", [])}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def pinned(package: str) -> str:
    (version,) = re.findall(rf"^{re.escape(package)}==(\S+)$", (DEPLOY / "constraints.txt").read_text(), re.MULTILINE)
    return str(version)
