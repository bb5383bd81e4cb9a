"""The manifest: what a stage finished. It is written last; a stage without one is unfinished.

It holds nothing that depends on the clock or on who ran it, so a second run of the same stage finds it and stops.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from pydantic import BaseModel, ConfigDict

from tasks.config.stages import Check
from tasks.errors import DamagedFile
from tasks.storage.sealed import json_digest, read_sealed, write_sealed
from tasks.storage.workspace import Workspace

log = logging.getLogger("sdt.stage")

MANIFEST = "_manifest.json"


def fingerprint(*parts: object) -> str:
    """Sixteen hex digits of sha256 over the canonical JSON of ``parts``: equal exactly when the parts are equal."""
    return json_digest(parts)


class Facts(BaseModel):
    """What a stage notes for the stages after it; a JSON object in a manifest, or in a shard's record.

    A subclass names the fields. Those that a later version adds are passed over when an earlier one reads them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True, use_attribute_docstrings=True)

    @classmethod
    def of(cls, source: "Manifest | ShardRecord") -> Self:
        """Read the facts of a manifest or of a shard. Raises: pydantic.ValidationError: one is missing."""
        return cls.model_validate(source.facts)

    def plain(self) -> dict[str, object]:
        """The JSON object: the fields that were set."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


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
    facts: dict[str, object] = {}
    """What later stages want to know of it without opening it; read them with `Facts.of`."""


class Aside(BaseModel):
    """Why a file was set aside, and what it was then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str
    version: str | None
    """Changes with the file's content."""


class ShardFacts(Facts):
    """Facts that the shards of any stage may have."""

    aside: dict[str, Aside] = {}
    """The files that the shard was made without, by name."""


class Manifest(BaseModel):
    """What a stage finished: its shards in order, and the fingerprint of all that went into them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    fingerprint: str
    shards: tuple[ShardRecord, ...]
    columns: dict[str, str]
    """Name and Arrow type of each column of the shards."""
    facts: dict[str, object] = {}
    """What later stages need to know: media root, extractor, dimension, model; read them with `Facts.of`."""

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
        files = {name: why for shard in self.shards for name, why in ShardFacts.of(shard).aside.items()}
        return {name: files[name] for name in sorted(files)}

    def is_of(self, archive: "Manifest") -> bool:
        """Whether this was made of the archive as it is now, and not of an earlier state of it."""
        return self.facts.get("archive_fingerprint") == archive.fingerprint

    def write(self, workspace: Workspace, path: str) -> None:
        write_sealed(workspace, path, self.model_dump(mode="json"))


def read_manifest(workspace: Workspace, path: str) -> Manifest | None:
    """The manifest at ``path``, or None where its stage is unfinished.

    Raises:
        DamagedFile: it is not what was written.
    """
    return read_sealed(workspace, path, Manifest)


def usable_manifest(workspace: Workspace, path: str) -> Manifest | None:
    """The manifest at ``path`` for the stage that writes it: a damaged one is none, and is made again."""
    try:
        return read_manifest(workspace, path)
    except DamagedFile as error:
        log.warning("%s; it is made again", error)
        return None


def incomplete_shards(
    workspace: Workspace, shards: Iterable[ShardRecord], sizes: Mapping[str, int], check: Check = "size"
) -> dict[str, str]:
    """The shards whose files are not as the manifest says, and what is wrong with each.

    Args:
        workspace: where they lie.
        shards: as a manifest has them.
        sizes: of the files in their folders, by path.
        check: what is compared: the files' sizes, or what they hold as well.
    """
    wrong, same = {}, []
    for shard in shards:
        size = sizes.get(shard.path)
        if size is None:
            wrong[shard.path] = "it is not there"
        elif size != shard.bytes:
            wrong[shard.path] = f"its size is {size}, and {shard.bytes} in the manifest"
        else:
            same.append(shard)
    if check == "content":
        with ThreadPoolExecutor(8) as pool:
            digests = pool.map(lambda shard: file_digest(workspace, shard.path)[0], same)
            for shard, digest in zip(same, digests, strict=True):
                if digest != shard.sha256:
                    wrong[shard.path] = f"its sha256 is {digest}, and {shard.sha256} in the manifest"
    return wrong


def remove_damaged(workspace: Workspace, damaged: Mapping[str, str], stage: str) -> None:
    """Remove shards that are damaged, so that they are made again, and nothing is copied from them.

    Args:
        workspace: where they lie.
        damaged: as `incomplete_shards` returns them.
        stage: that makes them again, for the log.
    """
    for path, why in damaged.items():
        log.warning("%s: %s is made again: %s", stage, path, why)
        if workspace.exists(path):
            workspace.remove(path)


def file_digest(workspace: Workspace, path: str) -> tuple[str, int]:
    """The sha256 of a file, and its bytes."""
    digest, size = hashlib.sha256(), 0
    with workspace.open(path) as file:
        while block := file.read(2**20):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
