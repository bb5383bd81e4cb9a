"""The image: what it is built from, and that everyone runs the same one."""

import re
import tomllib

import pytest

from tests.fixtures.deploy.files import CHECKOUT, DEPLOY, SDT, compose, containers, pinned, pod_templates

DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
TAGS = {f"{SDT}:{PROJECT['version']}-{variant}" for variant in ("cpu", "cuda")}


def instructions(name: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_every_image_of_ours_is_one_that_the_dockerfile_says_how_to_build() -> None:
    built = set(re.findall(r"-t (\S+)", DOCKERFILE)) | set(re.findall(r"-t (\S+)", (DEPLOY / "README.md").read_text()))
    used = {c["image"] for template in pod_templates().values() for c in containers(template)}
    used |= {service["image"] for service in compose()["services"].values()}
    ours = {image for image in used if image.startswith(SDT)}
    assert built == ours == TAGS


def test_every_image_is_pinned_and_postgres_is_the_same_everywhere() -> None:
    used = [c["image"] for template in pod_templates().values() for c in containers(template)]
    used += [service["image"] for service in compose()["services"].values()]
    assert all(re.search(r":\D*\d+\.\d+", image) for image in used), used
    assert len({image for image in used if image.startswith("postgres:")}) == 1
    (base,) = re.findall(r"^ARG PYTHON_IMAGE=python:(\d+\.\d+)\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert PROJECT["requires-python"].startswith(f">={base},")


def test_each_variant_has_a_stage_that_installs_the_pinned_torch() -> None:
    stages = [line.split(" AS ")[1] for line in instructions("FROM")]
    assert {f"torch-{tag.rsplit('-')[-1]}" for tag in TAGS} == {name for name in stages if name.startswith("torch-")}
    assert "FROM torch-${VARIANT} AS build" in DOCKERFILE
    torch = [line for line in instructions("RUN") if "^torch==" in line]
    assert len(torch) == 2 and all("-c deploy/constraints.txt" in line for line in torch)
    assert pinned("torch")


def test_no_package_index_is_named_but_that_of_torch() -> None:
    assert re.findall(r"https?://\S+", DOCKERFILE) == ["https://download.pytorch.org/whl/cpu"]


def test_it_runs_as_nobody_in_particular() -> None:
    (user,) = instructions("USER")
    worker = pod_templates()["sdt-prefect-worker"]["spec"]["securityContext"]
    assert user == f"{worker['runAsUser']}:{worker['runAsGroup']}" == "10001:10001"
    assert DOCKERFILE.index("USER 10001") > DOCKERFILE.index("FROM ${PYTHON_IMAGE} AS image")


@pytest.mark.parametrize("source", [word for line in instructions("COPY") if "--from" not in line
                                    for word in line.split()[:-1]])  # fmt: skip
def test_what_is_copied_is_there_and_let_through(source: str) -> None:
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert (CHECKOUT / source).exists() and f"!{source}" in ignore


def test_it_has_each_package_of_ours_and_what_kuberay_s_autoscaler_needs() -> None:
    packages = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages <= {word for line in instructions("COPY") for word in line.split()}
    assert PROJECT["optional-dependencies"]["cluster"] == ["ray[default]"] and "ARG EXTRAS=cluster\n" in DOCKERFILE
    for package in ("opencensus", "py-spy", "colorful", "smart_open"):
        assert pinned(package)


def test_commands_of_ours_are_in_the_image() -> None:
    (place,) = re.findall(r"SDT_HOME=(\S+)", DOCKERFILE)
    assert instructions("WORKDIR")[-1] == place
    commands = [c["command"][0] for t in pod_templates().values() for c in containers(t) if "command" in c]
    commands += [s["command"][0] for s in compose()["services"].values() if s["image"] in TAGS]
    assert set(commands) == {"prefect", "ray", "python", "deploy/register.sh"}
    assert (DEPLOY / "register.sh").stat().st_mode & 0o111


def test_no_command_has_two_indexes_to_take_a_name_from() -> None:
    assert "--extra-index-url" not in DOCKERFILE
    (other,) = [line for line in instructions("RUN") if "--index-url" in line]
    assert "--no-deps" in other and other.count("\"$(grep '^torch=='") == 1
