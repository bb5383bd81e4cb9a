"""Kubernetes' and KubeRay's schemas, strict: a field that there is not is an error."""

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

OLDEST, NEWEST = "1.29", "1.37"  # of Kubernetes: what deploy/README.md asks for, and what was last looked at
CRD = Path(__file__).parents[3] / "shared" / "data" / "kuberay" / "ray.io_rayclusters.yaml"


def check(document: dict[str, Any]) -> None:
    """Raises: kubernetes_validate.ValidationError"""
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(document, version, strict=True)


def check_ray(document: dict[str, Any]) -> None:
    """Raises: ValueError: where the RayCluster is not as KubeRay's definition wants it, and why."""
    faults = jsonschema.Draft202012Validator(ray_schema()).iter_errors(document)
    if found := [f"{fault.json_path}: {fault.message[:200]}" for fault in faults]:
        raise ValueError("\n".join(found))


@cache
def ray_schema() -> dict[str, Any]:
    definition = yaml.load(CRD.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (is a safe one)
    (version,) = [version for version in definition["spec"]["versions"] if version["name"] == "v1"]
    schema: dict[str, Any] = _strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(part) for name, part in schema.items()}
    closed = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if closed and "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        strict["additionalProperties"] = False
    return strict
