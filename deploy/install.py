"""Install the project into the environment of this Python: `.venv/bin/python deploy/install.py '.[dev]'`.

uv takes a tenth of pip's time. It reads neither pip's variables nor its files, so what pip was told is passed on in
uv's own variables. Where that cannot be done, or uv fails, pip installs. Needs the standard library and pip alone.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CONSTRAINTS = "deploy/constraints.txt"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
INSTALL = [*PIP, "install", "--quiet", "--no-compile", "-c", CONSTRAINTS]

# An option of pip, and uv's variables of the same meaning: the first is set, unless the user has set one of them.
COUNTERPARTS = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),  # see `index_variables`
    "find-links": ("UV_FIND_LINKS",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "constraint": ("UV_CONSTRAINT",),
    "cert": ("SSL_CERT_FILE",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "proxy": ("ALL_PROXY", "HTTPS_PROXY", "https_proxy", "all_proxy"),
    "timeout": ("UV_HTTP_TIMEOUT",),
    "no-index": (),  # a flag of uv's, see `uv_command`
}
# These change what pip prints, keeps or asks, and not what it installs.
HARMLESS = {
    "break-system-packages", "cache-dir", "compile", "config-file", "disable-pip-version-check", "exists-action",
    "log", "no-cache-dir", "no-color", "no-compile", "no-input", "no-python-version-warning", "no-warn-conflicts",
    "no-warn-script-location", "prefer-binary", "progress-bar", "quiet", "require-virtualenv", "resume-retries",
    "retries", "root-user-action", "verbose",
}  # fmt: skip
FALSE = {"0", "false", "no", "off", "n", "f"}


def pip_settings(listing: str) -> dict[str, str]:
    """What pip is told, by the long names of its options.

    Args:
        listing: what `pip config list` prints. Variables stand above files, and `[install]` above `[global]`.
    """
    settings: dict[str, str] = {}
    lines = [line.partition("=") for line in listing.splitlines()]
    for section in ("global", "install", ":env:"):
        for name, _, value in lines:
            where, _, option = name.rpartition(".")
            if where == section and (text := ast.literal_eval(value).strip()):
                settings[option.removeprefix("default-")] = text
    return settings


def index_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """Where uv looks for packages if pip is told of several indexes.

    Of a version that several have, pip weighs all files, and uv takes the file of the first index alone. So pip's main
    index comes first: another may hold a file without the library that a package needs.
    """
    main = settings.get("index-url") or pip_default_index()
    *first, last = [main, *settings["extra-index-url"].split()]
    return {"UV_INDEX": " ".join(first), "UV_DEFAULT_INDEX": last, "UV_INDEX_STRATEGY": "unsafe-best-match"}


def pip_default_index() -> str:
    """The index that pip uses where it is told of none."""
    from pip._internal.models.index import PyPI

    return str(PyPI.simple_url)


def uv_variables(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that tell uv what pip is told; one that ``environment`` sets already stays as it is."""
    variables = {}
    for option, names in COUNTERPARTS.items():
        if names and option in settings and not any(environment.get(name) for name in names):
            separator = "," if option == "find-links" else " "
            variables[names[0]] = separator.join(settings[option].split())
    if "UV_INDEX" in variables:
        ours = index_variables(settings)
        variables |= {name: value for name, value in ours.items() if not environment.get(name)}
    if not {"SSL_CERT_FILE", "UV_SYSTEM_CERTS"} & {*variables, *environment}:
        variables["UV_SYSTEM_CERTS"] = "true"
    own = variables.get("UV_CONSTRAINT") or environment.get("UV_CONSTRAINT", "")
    variables["UV_CONSTRAINT"] = f"{CONSTRAINTS} {own}".strip()
    return variables


def uv_command(requirement: str, settings: Mapping[str, str]) -> list[str]:
    """The command that installs ``requirement``, with the uv beside this Python."""
    uv = str(Path(sys.executable).with_name("uv"))
    no_index = ["--no-index"] if settings.get("no-index", "no").lower() not in FALSE else []
    return [uv, "pip", "install", "--quiet", "--python", sys.executable, *no_index, "-e", requirement]


def install_with_uv(requirement: str) -> str:
    """Install with uv; why that did not work, or nothing where it did."""
    listing = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True, check=True).stdout
    settings = pip_settings(listing)
    if other := sorted(settings.keys() - COUNTERPARTS - HARMLESS):
        return f"pip is configured with {', '.join(other)}, which uv cannot be told"
    environment = {**os.environ, **uv_variables(settings, os.environ)}
    for command in ([*INSTALL, "--only-binary", "uv", "uv"], uv_command(requirement, settings)):
        try:
            result = subprocess.run(command, env=environment, capture_output=True, text=True)
        except OSError as error:
            return str(error)
        if result.returncode:
            return result.stderr.strip() or f"{command[0]} ended with exit code {result.returncode}"
    return ""


def main() -> int:
    requirement = sys.argv[1]
    print(f"Installing {requirement} into {sys.prefix} as {CONSTRAINTS} pins it: about a minute", flush=True)
    if not (reason := install_with_uv(requirement)):
        return 0
    print(f"{reason}\nInstalling with pip instead: some minutes", flush=True)
    return subprocess.run([*INSTALL, "-e", requirement]).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; the next `make` goes on")
