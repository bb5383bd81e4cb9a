"""What contributors read: the files that CONTRIBUTING.md names exist, forms and workflow are what hosts can read."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures.deploy.files import CHECKOUT

CONTRIBUTING = (CHECKOUT / "CONTRIBUTING.md").read_text()
ROWS = re.findall(r"^\| ((?:add|change) [^|]+) \| ([^|]+) \| ([^|]+) \|$", CONTRIBUTING, re.MULTILINE)
FILES = {change: files for change, files, _ in ROWS}
CHANGES = [
    "add an audio extractor", "add a source", "add a metric", "add a command", "add an optimiser", "add a recipe",
    "add a drift statistic", "change the label schema", "change the lease time", "change the fusion gate",
    "change a report", "change the Ray resources of a stage",
]  # fmt: skip
FORMS = sorted(path for path in (CHECKOUT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def test_every_change_is_listed_once() -> None:
    assert [change for change, _, _ in ROWS] == CHANGES


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_names_at_most_three_files_that_exist(change: str) -> None:
    paths = [Path(name) for name in re.findall(r"`([^`]+)`", FILES[change])]
    assert 1 <= len(paths) <= 3
    for path in paths:
        assert (CHECKOUT / (path.parent if path.name == "NAME.py" else path)).exists(), path


def test_what_the_changes_name_is_in_the_code() -> None:
    sources = [path for folder in ("flows", "tasks", "sdt_model") for path in (CHECKOUT / folder).rglob("*.py")]
    words = {word for path in sources for word in re.findall(r"\w+", path.read_text())}
    named = {name.rsplit(".", 1)[-1] for _, _, text in ROWS for name in re.findall(r"`([\w.]+)`", text)}
    assert named and named <= words, named - words


def test_other_files_that_contributors_are_sent_to_exist() -> None:
    pages = ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md"]
    text = "\n".join((CHECKOUT / page).read_text() for page in pages) + "".join(form.read_text() for form in FORMS)
    prose = re.sub(r"^\|.*", "", text, flags=re.MULTILINE)
    named = set(re.findall(r"(?<![\w/])((?:[\w.-]+/)*[\w-]+\.(?:md|py|toml|txt|cff))\b", prose))
    assert {"CHANGELOG.md", "pyproject.toml", "tasks/storage/manifest.py"} <= named
    assert not [name for name in named if not (CHECKOUT / name).exists()]


def test_make_targets_that_are_named_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    pages = [CHECKOUT / name for name in ("CONTRIBUTING.md", ".github/PULL_REQUEST_TEMPLATE.md", ".ci/run")]
    named = {name for page in pages for name in re.findall(r"(?:^|`)make ([\w-]+)", page.read_text(), re.MULTILINE)}
    assert {"lint", "quick", "test"} <= named <= targets


def test_the_hosted_checks_are_those_of_ci_run() -> None:
    workflow = yaml.safe_load((CHECKOUT / ".github" / "workflows" / "ci.yml").read_text())
    (job,) = workflow["jobs"].values()
    *_, last = job["steps"]
    assert last == {"run": "make ${{ matrix.target }}"}
    ours = re.findall(r"^make (\S+)$", (CHECKOUT / ".ci" / "run").read_text(), re.MULTILINE)
    assert job["strategy"]["matrix"]["target"] == ours == ["lint", "test"]
    (python,) = [step["with"]["python-version"] for step in job["steps"] if "setup-python" in step.get("uses", "")]
    assert f'requires-python = ">={python},' in (CHECKOUT / "pyproject.toml").read_text()


def test_the_hosted_checks_have_pinned_actions_and_no_secrets() -> None:
    text = (CHECKOUT / ".github" / "workflows" / "ci.yml").read_text()
    workflow = yaml.safe_load(text)
    (job,) = workflow["jobs"].values()
    actions = [step["uses"] for step in job["steps"] if "uses" in step]
    assert actions and all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", action) for action in actions)
    assert workflow["permissions"] == {"contents": "read"} and "secrets" not in text


@pytest.mark.parametrize("form", FORMS, ids=[form.stem for form in FORMS])
def test_an_issue_form_is_one_that_the_host_shows(form: Path) -> None:
    content: dict[str, Any] = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= content.keys()
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    ids = [field["id"] for field in fields]
    assert len(set(ids)) == len(ids) and any(field.get("validations", {}).get("required") for field in fields)


def test_there_is_a_form_for_each_kind_of_issue() -> None:
    assert [form.stem for form in FORMS] == ["bug", "feature", "question"]


@pytest.mark.parametrize(
    ("message", "passes"),
    [("x" * 72, True), ("x" * 73, False), (f"short\n\n{'x' * 100}", True), (f"{'x' * 73}\n\nbody", False)],
)
def test_the_hook_refuses_a_long_subject_and_no_long_body(message: str, passes: bool) -> None:
    hooks = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    (hook,) = [hook for hook in hooks if hook.get("stages") == ["commit-msg"]]
    assert (re.search(hook["entry"], message, re.MULTILINE) is None) is passes


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    pyproject = (CHECKOUT / "pyproject.toml").read_text()
    assert f'version = "{citation["version"]}"' in pyproject and f'license = "{citation["license"]}"' in pyproject
    (paper,) = citation["references"]
    assert paper["doi"] in pyproject and len(paper["authors"]) == 6


def test_every_package_says_that_it_is_typed() -> None:
    assert all((CHECKOUT / package / "py.typed").exists() for package in ("flows", "tasks", "sdt_model"))
