"""docs/architecture.md lists the packages and the import layers that there are."""

import re
import tomllib

from tests.fixtures.deploy.files import CHECKOUT

PAGE = (CHECKOUT / "docs" / "architecture.md").read_text()


def test_every_package_is_listed() -> None:
    packages = [
        str(init.parent.relative_to(CHECKOUT))
        for floor in ("flows", "tasks", "sdt_model")
        for init in sorted((CHECKOUT / floor).glob("*/**/__init__.py"))
    ]
    assert re.findall(r"^\| `((?:flows|tasks|sdt_model)/[\w/]+)/` \| \w.* \|$", PAGE, re.MULTILINE) == packages


def test_the_layers_are_those_that_the_linter_keeps() -> None:
    linter = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [contract["layers"] for contract in linter["contracts"] if contract.get("containers") == ["tasks"]]
    assert " > ".join(f"`{layer}`" for layer in layers) in " ".join(PAGE.split())
