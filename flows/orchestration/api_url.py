"""The URL of the Prefect server that a run is to report to, found where Prefect finds it and without importing it.

Importing Prefect takes seconds of a processor, which a command without a server need not spend. The places and their
order are those of Prefect 3.8 (`prefect.settings.sources`): the environment, `.env`, `prefect.toml` and
`pyproject.toml` of the working folder, then the active profile.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.errors import WorkflowError

API_URL = "PREFECT_API_URL"
_TEST_MODES = ("PREFECT_TEST_MODE", "PREFECT_UNIT_TEST_MODE", "PREFECT_TESTING_UNIT_TEST_MODE",
               "PREFECT_TESTING_TEST_MODE")  # fmt: skip


def api_url() -> str | None:
    """The server's address; None where none is named, or where an empty one is, which switches it off for once.

    Raises:
        WorkflowError: a file that Prefect would read its settings from is not TOML.
    """
    places = (_environment, _dotenv, _prefect_toml, _pyproject_toml, _profile)
    return next((url for place in places if (url := place()) is not None), None) or None


def _environment() -> str | None:
    return next((value for name, value in os.environ.items() if name.upper() == API_URL), None)


def _dotenv() -> str | None:
    return next((value for name, value in _dotenv_values().items() if name.upper() == API_URL), None)


def _prefect_toml() -> str | None:
    return _text(_toml(Path("prefect.toml")), "api", "url")


def _pyproject_toml() -> str | None:
    return _text(_toml(Path("pyproject.toml")), "tool", "prefect", "api", "url")


def _profile() -> str | None:
    if any(os.environ.get(name) for name in _TEST_MODES):
        return None
    path = _profiles_path()
    content = _toml(path) if path else {}
    active = os.environ.get("PREFECT_PROFILE") or _text(content, "active")
    return _text(content, "profiles", active, API_URL) if active else None


def _profiles_path() -> Path | None:
    """Prefect's own profiles, which stand in where this file is missing, name no server; None: there is no home."""
    named = (
        os.environ.get("PREFECT_PROFILES_PATH")
        or _dotenv_values().get("PREFECT_PROFILES_PATH")
        or _text(_toml(Path("prefect.toml")), "profiles_path")
        or _text(_toml(Path("pyproject.toml")), "tool", "prefect", "profiles_path")
    )
    if named:
        return Path(named)
    if home := os.environ.get("PREFECT_HOME"):
        return Path(home) / "profiles.toml"
    try:
        return Path.home() / ".prefect" / "profiles.toml"
    except RuntimeError:  # a user that the system does not know, and no HOME, as in some containers
        return None


def _dotenv_values() -> Mapping[str, str | None]:
    if not Path(".env").is_file():
        return {}
    from dotenv import dotenv_values

    return dotenv_values(".env")


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WorkflowError(
            f"{path.absolute()} cannot be read, and Prefect's settings may be in it: {error}\n"
            f"  mend it, or set {API_URL} (empty: no server)"
        ) from error


def _text(content: Mapping[str, Any], *keys: str) -> str | None:
    """The text below nested keys, if there is one."""
    value: Any = content
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else None
