"""The manifest: what a stage finished. It is written last; a stage without one is unfinished.

It holds nothing that depends on the clock or on who ran it, so a second run of the same stage finds it and stops.
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from tasks.storage.workspace import Workspace

MANIFEST = "_manifest.json"
ASIDE = "aside"  # in a shard's facts: the files that it was made without


def fingerprint(*parts: object) -> str:
    """Sixteen hex digits of sha256 over the canonical JSON of ``parts``: equal exactly when the parts are equal."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no place in a fingerprint")


class ShardRecord(BaseModel):
    """One finished shard."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    """The shard's number in its plan."""
    path: str
    """Its file, relative to the workspace."""
    rows: int
    bytes: int
    sha256: str
    counts: dict[str, int] = {}
    """What the stage counted in this shard, e.g. rows rejected."""
    facts: dict[str, Any] = {}
    """What later stages want to know of it without opening it, e.g. the days it holds."""


class Aside(BaseModel):
    """Why a file was set aside, and what it was then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str
    version: str | None
    """Changes with the file's content."""


class Manifest(BaseModel):
    """What a stage finished: its shards in order, and the fingerprint of all that went into them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    fingerprint: str
    shards: tuple[ShardRecord, ...]
    columns: dict[str, str]
    """Name and Arrow type of each column of the shards."""
    facts: dict[str, Any] = {}
    """What later stages need to know: media root, extractor, dimension, model."""

    @property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def counts(self) -> dict[str, int]:
        """The shards' counts, added up."""
        total: dict[str, int] = {}
        for shard in self.shards:
            for name, value in shard.counts.items():
                total[name] = total.get(name, 0) + value
        return total

    @property
    def aside(self) -> dict[str, Aside]:
        """The files that were set aside, by name."""
        found = {name: why for shard in self.shards for name, why in shard.facts.get(ASIDE, {}).items()}
        return {name: Aside.model_validate(found[name]) for name in sorted(found)}

    def write(self, workspace: Workspace, path: str) -> None:
        workspace.write_json(path, self.model_dump(mode="json"))


def read_manifest(workspace: Workspace, path: str) -> Manifest | None:
    """The manifest at ``path``, or None where its stage is unfinished."""
    if not workspace.exists(path):
        return None
    return Manifest.model_validate(workspace.read_json(path))
