"""The server's URL is found where Prefect finds it: every case is held against Prefect itself."""

import os
import pwd
from pathlib import Path
from typing import NamedTuple

import pytest

from flows.orchestration.api_url import api_url
from tasks.errors import WorkflowError

URL = "http://127.0.0.1:9/api"
PROFILES = f'active = "team"\n[profiles.team]\nPREFECT_API_URL = "{URL}"\n[profiles.alone]\n'


class Place(NamedTuple):
    files: dict[str, str]
    variables: dict[str, str]
    names_it: bool


PLACES = {
    "nowhere": Place({}, {}, False),
    "the environment": Place({}, {"PREFECT_API_URL": URL}, True),
    "the environment in small letters": Place({}, {"prefect_api_url": URL}, True),
    "an empty variable over a profile": Place({".prefect/profiles.toml": PROFILES}, {"PREFECT_API_URL": ""}, False),
    "the active profile": Place({".prefect/profiles.toml": PROFILES}, {}, True),
    "another profile": Place({".prefect/profiles.toml": PROFILES}, {"PREFECT_PROFILE": "alone"}, False),
    "a profile that is not there": Place({".prefect/profiles.toml": PROFILES}, {"PREFECT_PROFILE": "x"}, False),
    "a profile of PREFECT_HOME": Place({"p/profiles.toml": PROFILES}, {"PREFECT_HOME": "p"}, True),
    "profiles elsewhere": Place({"x.toml": PROFILES}, {"PREFECT_PROFILES_PATH": "x.toml"}, True),
    "profiles that .env names": Place({"x.toml": PROFILES, ".env": "PREFECT_PROFILES_PATH=x.toml"}, {}, True),
    ".env": Place({".env": f"export PREFECT_API_URL='{URL}'\n"}, {}, True),
    "prefect.toml": Place({"prefect.toml": f'[api]\nurl = "{URL}"\n'}, {}, True),
    "pyproject.toml": Place({"pyproject.toml": f'[tool.prefect.api]\nurl = "{URL}"\n'}, {}, True),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, in which the test runs, and none of Prefect's variables."""
    from prefect.settings import sources

    for name in [name for name in os.environ if name.upper().startswith("PREFECT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sources, "DEFAULT_PREFECT_HOME", Path.home() / ".prefect")  # read when it was imported
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_it_is_found_where_prefect_finds_it(place: Place, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import Settings

    for name, content in place.files.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(content)
    for name, value in place.variables.items():
        monkeypatch.setenv(name, value)
    expected = URL if place.names_it else None
    assert (api_url(), Settings().api.url or None) == (expected, expected)


def test_a_settings_file_that_cannot_be_read_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "prefect.toml").write_text("[api\n")
    with pytest.raises(WorkflowError, match=r"prefect\.toml cannot be read[\s\S]*PREFECT_API_URL"):
        api_url()
    monkeypatch.setenv("PREFECT_API_URL", URL)
    assert api_url() == URL, "what is said first need not be looked for further"


def test_a_user_without_a_home_has_no_profile(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del home
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # the system does not know the user, as in some containers
    assert api_url() is None
