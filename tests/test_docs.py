"""docs/architecture.md lists the packages that there are, in the words of their docstrings, and the import layers."""

import ast
import re
import tomllib

from tests.fixtures.deploy.files import CHECKOUT

PAGE = (CHECKOUT / "docs" / "architecture.md").read_text()


def test_the_packages_are_listed_as_they_call_themselves() -> None:
    expected = []
    for floor in ("flows", "tasks", "sdt_model"):
        for init in sorted((CHECKOUT / floor).glob("*/**/__init__.py")):
            docstring = ast.get_docstring(ast.parse(init.read_text()))
            assert docstring, init
            expected.append(f"| `{init.parent.relative_to(CHECKOUT)}/` | {docstring.splitlines()[0]} |")
    listed = re.findall(r"^\| `(?:flows|tasks|sdt_model)/[\w/]+` \| .*\|$", PAGE, re.MULTILINE)
    assert listed == expected, "\n".join(["the table should be:", *expected])


def test_the_layers_are_those_that_the_linter_keeps() -> None:
    linter = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [contract["layers"] for contract in linter["contracts"] if contract.get("containers") == ["tasks"]]
    assert " > ".join(f"`{layer}`" for layer in layers) in " ".join(PAGE.split())
