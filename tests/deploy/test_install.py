"""The installation of `.venv`: uv is told what pip is told, and pip installs where uv does not."""

import os
import runpy
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.fixtures.deploy.files import CHECKOUT, DEPLOY, pinned

pytestmark = pytest.mark.process

SCRIPT = DEPLOY / "install.py"
INSTALL = runpy.run_path(str(SCRIPT))
UV = Path(sys.executable).with_name("uv")

# A build backend of its own, so that the build needs no index.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "small"
version = "1"
dependencies = ["needed"]
"""
BACKEND = """
import zipfile

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "small-1-py3-none-any.whl"
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        wheel.writestr("small-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: small\\nVersion: 1\\n"
                       "Requires-Dist: needed\\n")
        wheel.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\n"
                       "Tag: py3-none-any\\n")
        wheel.writestr("small-1.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that needs `needed`, an environment for it, and wheels of `needed` that pip's file alone knows of."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "backend.py").write_text(BACKEND)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "constraints.txt").write_text(f"uv=={version('uv')}\nneeded<3\n")
    (tmp_path / "site.txt").write_text("needed<2\n")
    (tmp_path / "links").mkdir()
    for number in (1, 2, 3):
        write_wheel(tmp_path / "links", number)
    (tmp_path / "pip.conf").write_text(
        f"[global]\nno-index = true\nfind-links = {tmp_path / 'links'}\nconstraint = {tmp_path / 'site.txt'}\n"
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    (ours,) = {Path(path) for path in sys.path if path.endswith("site-packages")}
    (theirs,) = (tmp_path / ".venv").glob("lib/python*/site-packages")
    for package in ("pip", "uv"):
        for folder in (package, *(path.name for path in ours.glob(f"{package}-*.dist-info"))):
            (theirs / folder).symlink_to(ours / folder)
    (tmp_path / ".venv" / "bin" / "uv").symlink_to(UV)
    return tmp_path


def write_wheel(folder: Path, number: int) -> None:
    info = f"needed-{number}.dist-info"
    with zipfile.ZipFile(folder / f"needed-{number}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("needed.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: needed\nVersion: {number}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def install(project: Path, **variables: str) -> tuple[str, list[str]]:
    """What the script prints, and the installed version of `needed` with the name of what installed it."""
    foreign = ("PIP_", "UV_", "XDG_", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    environment |= {"HOME": str(project), "PIP_CONFIG_FILE": str(project / "pip.conf"), **variables}
    python = project / ".venv" / "bin" / "python"
    run = subprocess.run([python, SCRIPT, "."], cwd=project, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    ask = (
        "from importlib.metadata import distribution as d; n = d('needed'); print(n.version, n.read_text('INSTALLER'))"
    )
    answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout
    return run.stdout, answer.split()


def test_uv_installs_from_where_pip_s_file_says_and_as_both_constraints_say(project: Path) -> None:
    printed, installed = install(project)
    assert (installed, len(printed.splitlines())) == (["1", "uv"], 1), printed
    (project / "site.txt").write_text("needed>=2\n")
    assert install(project)[1] == ["2", "uv"]


def test_pip_installs_where_uv_does_not_run(project: Path) -> None:
    uv = project / ".venv" / "bin" / "uv"
    uv.unlink()
    uv.write_text("#!/bin/sh\necho of another processor >&2\nexit 1\n")
    uv.chmod(0o755)
    printed, installed = install(project)
    assert installed == ["1", "pip"] and "of another processor\nInstalling with pip instead" in printed


def test_pip_installs_where_uv_cannot_be_had(project: Path) -> None:
    (project / "deploy" / "constraints.txt").write_text("uv==0.0.0\nneeded<3\n")
    printed, installed = install(project)
    assert installed == ["1", "pip"] and "Cannot install uv" in printed


def test_pip_installs_where_it_is_told_what_uv_cannot_be_told(project: Path) -> None:
    printed, installed = install(project, PIP_NO_BINARY="other", PIP_REQUIRE_HASHES="0")
    assert installed == ["1", "pip"] and "pip is configured with no-binary, require-hashes" in printed


def test_variables_stand_above_the_install_section_and_that_above_the_global_one(project: Path) -> None:
    (project / "pip.conf").write_text("[global]\nfind-links = a\ncert = b\n[install]\nfind-links = c\nproxy = d\n")
    environment = {"HOME": str(project), "PIP_CONFIG_FILE": str(project / "pip.conf")}
    environment |= {"PIP_PROXY": "e", "PIP_DEFAULT_TIMEOUT": "9", "PIP_INDEX_URL": ""}
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    settings = INSTALL["pip_settings"](listing)
    assert {"find-links": "c", "cert": "b", "proxy": "e", "timeout": "9"}.items() <= settings.items()
    assert "index-url" not in settings


SEVERAL = {"extra-index-url": "https://a/simple\nhttps://b/simple", "find-links": "x y", "trusted-host": "a b"}


@pytest.mark.parametrize(
    ("settings", "environment", "expected"),
    [
        ({}, {}, {"UV_SYSTEM_CERTS": "true"}),
        ({"cert": "c.pem"}, {}, {"SSL_CERT_FILE": "c.pem"}),
        ({"cert": "c.pem"}, {"SSL_CERT_FILE": "d.pem"}, {}),
        ({"index-url": "https://a/simple"}, {"UV_SYSTEM_CERTS": "0"}, {"UV_DEFAULT_INDEX": "https://a/simple"}),
        ({"index-url": "https://a/simple"}, {"UV_SYSTEM_CERTS": "0", "UV_INDEX_URL": "https://b/simple"}, {}),
        (SEVERAL, {"UV_SYSTEM_CERTS": "0"},
         {"UV_INDEX": f"{INSTALL['pip_default_index']()} https://a/simple", "UV_DEFAULT_INDEX": "https://b/simple",
          "UV_INDEX_STRATEGY": "unsafe-best-match", "UV_FIND_LINKS": "x,y", "UV_INSECURE_HOST": "a b"}),
        ({**SEVERAL, "index-url": "https://m/simple"}, {"UV_SYSTEM_CERTS": "0", "UV_INDEX_STRATEGY": "first-index"},
         {"UV_INDEX": "https://m/simple https://a/simple", "UV_DEFAULT_INDEX": "https://b/simple",
          "UV_FIND_LINKS": "x,y", "UV_INSECURE_HOST": "a b"}),
        (SEVERAL, {"UV_SYSTEM_CERTS": "0", "UV_INDEX": "https://c/simple", "UV_FIND_LINKS": "z"},
         {"UV_INSECURE_HOST": "a b"}),
        ({"constraint": "one two"}, {"UV_SYSTEM_CERTS": "0"}, {"UV_CONSTRAINT": "deploy/constraints.txt one two"}),
        ({"constraint": "one"}, {"UV_SYSTEM_CERTS": "0", "UV_CONSTRAINT": "own"},
         {"UV_CONSTRAINT": "deploy/constraints.txt own"}),
    ],
)  # fmt: skip
def test_uv_is_told_what_pip_is_told_unless_it_was_told_itself(
    settings: dict[str, str], environment: dict[str, str], expected: dict[str, str]
) -> None:
    expected = {"UV_CONSTRAINT": "deploy/constraints.txt", **expected}
    assert INSTALL["uv_variables"](settings, environment) == expected


def test_of_one_version_the_file_of_pip_s_main_index_is_installed(project: Path) -> None:
    for name in ("main", "other"):
        folder = project / name / "needed"
        folder.mkdir(parents=True)
        write_wheel(folder, 1)
        (wheel,) = folder.iterdir()
        with zipfile.ZipFile(wheel, "a") as content:
            content.writestr(f"from_{name}.py", "")
        (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    main, other = ((project / name).as_uri() for name in ("main", "other"))
    (project / "pip.conf").write_text(f"[global]\nindex-url = {main}\nextra-index-url = {other}\n")
    (project / "deploy" / "constraints.txt").write_text("needed<3\n")
    assert install(project)[1] == ["1", "uv"]
    assert [path.name for path in (project / ".venv").glob("lib/python*/site-packages/from_*.py")] == ["from_main.py"]


def test_uv_knows_each_variable() -> None:
    binary = UV.read_bytes()
    names = {name for names in INSTALL["COUNTERPARTS"].values() for name in names if name.startswith(("UV_", "SSL_"))}
    assert {name for name in names | {"UV_INDEX_STRATEGY", "UV_SYSTEM_CERTS"} if name.encode() not in binary} == set()


def test_make_installs_once_and_again_when_what_it_installs_from_changes(tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / "Makefile", tmp_path)
    stamps = [tmp_path / ".venv" / "base", tmp_path / ".venv" / "dev"]
    sources = [tmp_path / "pyproject.toml", tmp_path / "deploy" / "constraints.txt"]
    for path in (*sources, *stamps):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (1000, 1000))
    ask = ["make", "-C", str(tmp_path), "--question", ".venv/base", ".venv/dev"]
    assert subprocess.run(ask, capture_output=True).returncode == 0
    for path in sources:
        os.utime(path, (2000, 2000))
        assert subprocess.run(ask, capture_output=True).returncode == 1
        os.utime(path, (1000, 1000))


def test_uv_is_pinned_and_no_index_is_named() -> None:
    assert pinned("uv")
    for path in (SCRIPT, CHECKOUT / "Makefile", CHECKOUT / "pyproject.toml", DEPLOY / "constraints.txt"):
        assert "/simple" not in path.read_text(), path
