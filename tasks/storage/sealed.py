"""Small JSON files that say of themselves whether they are what was written: a digest of the rest stands in them.

A flipped bit leaves most of them readable, with another number or name. Files of earlier versions have no digest, and
count as they are.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tasks.errors import DamagedFile
from tasks.storage.workspace import Workspace

_DIGEST = "digest"
Content = TypeVar("Content", bound=BaseModel)


def write_sealed(workspace: Workspace, path: str, content: Mapping[str, object]) -> None:
    """Write a JSON object with a digest of itself."""
    workspace.write_json(path, {**content, _DIGEST: json_digest(content)})


def read_sealed(workspace: Workspace, path: str, kind: type[Content]) -> Content | None:
    """Read what `write_sealed` wrote; None where there is nothing.

    Raises:
        DamagedFile: it is not what was written.
    """
    if not workspace.exists(path):
        return None
    content = workspace.read_json(path)
    where = workspace.uri(path)
    if not isinstance(content, dict):
        raise DamagedFile(where, path, "no JSON object")
    digest = content.pop(_DIGEST, None)
    if digest is not None and digest != json_digest(content):
        raise DamagedFile(where, path, "its content does not fit its digest")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise DamagedFile(where, path, f"{field}: {first['msg']}") from error


def json_digest(content: object) -> str:
    """Sixteen hex digits of sha256 over the canonical JSON of ``content``; a model counts as its JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no place in a digest")
