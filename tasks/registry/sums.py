"""Hashes of a model's or an encoder's files, in a file beside them that `sha256sum -c` reads as well.

Of JSON the content is hashed, whatever the order of its keys; such lines are comments to `sha256sum`. The description
of a model or an encoder repeats those of its weights: where the file of hashes is gone, it is missed. Folders of
earlier versions have no hashes, and their files count as they are.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress

from tasks.errors import DamagedFile
from tasks.storage.manifest import file_digest
from tasks.storage.workspace import Workspace

SUMS = "SHA256SUMS"
_LINE = re.compile(r"(?:# )?([0-9a-f]{64})  (.+)")


def sums_of(files: Mapping[str, bytes]) -> bytes:
    """The content of `SUMS` for files, by their names in the folder."""
    return write_sums({name: content_digest(name, content) for name, content in files.items()})


def write_sums(digests: Mapping[str, str]) -> bytes:
    """The content of `SUMS` for hashes, by the names of their files in the folder."""
    lines = (f"{'# ' if _is_json(name) else ''}{digest}  {name}\n" for name, digest in sorted(digests.items()))
    return "".join(lines).encode()


def content_digest(name: str, content: bytes) -> str:
    """The hash of a file's content."""
    if _is_json(name):
        with suppress(ValueError):  # damaged, and of another hash
            content = json.dumps(json.loads(content), sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(content).hexdigest()


def digest_of(workspace: Workspace, folder: str, name: str) -> str:
    """The hash of a file of a folder; only JSON is held in memory."""
    path = _path(folder, name)
    return content_digest(name, workspace.read_bytes(path)) if _is_json(name) else file_digest(workspace, path)[0]


def _is_json(name: str) -> bool:
    return name.endswith(".json")


def described_hashes(description: bytes) -> dict[str, str]:
    """The hashes that a model's or an encoder's description says; none where it is damaged."""
    with suppress(ValueError):
        content = json.loads(description)
        hashes = content.get("hashes") if isinstance(content, dict) else None
        return dict(hashes) if isinstance(hashes, dict) else {}
    return {}


def read_sums(workspace: Workspace, folder: str, described: Mapping[str, str]) -> dict[str, str]:
    """The hash of each file of a folder; empty where an earlier version wrote it.

    ``described``: the hashes that the folder's description says.

    Raises:
        DamagedFile: they cannot be read, or lack what the description says.
    """
    path = _path(folder, SUMS)
    if not workspace.exists(path):
        if described:
            raise DamagedFile(workspace.uri(path), path, "it is not there, and the description says that it should be")
        return {}
    lines = workspace.read_bytes(path).decode(errors="replace").splitlines()
    matches = [_LINE.fullmatch(line) for line in lines]
    if not lines or None in matches:
        raise DamagedFile(workspace.uri(path), path, "not a list of hashes and names")
    sums = {match[2]: match[1] for match in matches if match}
    if not described.items() <= sums.items():
        raise DamagedFile(workspace.uri(path), path, "it and the description say different hashes")
    return sums


def read_checked(workspace: Workspace, folder: str, name: str, sums: Mapping[str, str]) -> bytes:
    """The content of a file of the folder, which has the hash that ``sums`` says, if it says one.

    Raises:
        DamagedFile: it has another.
    """
    content = workspace.read_bytes(_path(folder, name))
    check_content(workspace, folder, name, content, sums)
    return content


def check_content(workspace: Workspace, folder: str, name: str, content: bytes, sums: Mapping[str, str]) -> None:
    """Compare what was read of a file of the folder with the hash that ``sums`` says, if it says one.

    Args:
        workspace: where the folder lies.
        folder: of the model or encoder.
        name: of the file in it.
        content: what was read.
        sums: as `read_sums` returns them.

    Raises:
        DamagedFile: it has another.
    """
    if name in sums and content_digest(name, content) != sums[name]:
        path = _path(folder, name)
        raise DamagedFile(workspace.uri(path), path, f"its sha256 is not that in {SUMS}")


def wrong_files(workspace: Workspace, folder: str, sums: Mapping[str, str]) -> dict[str, str]:
    """The files of a folder that are not as their hashes say, by path, and what is wrong with each."""
    sizes, wrong = workspace.sizes(folder), {}
    for name, digest in sums.items():
        path = _path(folder, name)
        if path not in sizes:
            wrong[path] = "it is not there"
        elif digest_of(workspace, folder, name) != digest:
            wrong[path] = f"its sha256 is not that in {SUMS}"
    return wrong


def _path(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
