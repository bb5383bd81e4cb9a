"""What ingest could not use of a source: rows, cells that hold no value, and times that cannot be read."""

from tasks.archive.facts import IngestFacts
from tasks.ingest.validate import NO_VALUE, UNREADABLE
from tasks.query import DUPLICATE, rejection_reasons
from tasks.storage.manifest import Manifest
from tasks.storage.workspace import Workspace


def column_losses(manifest: Manifest) -> dict[str, dict[str, int]]:
    """How many accepted utterances hold no value (`NO_VALUE`) or no readable time (`UNREADABLE`), by column."""
    losses: dict[str, dict[str, int]] = {NO_VALUE: {}, UNREADABLE: {}}
    for name, count in manifest.counts.items():
        kind, _, column = name.partition(".")
        if column and kind in losses:
            losses[kind][column] = count
    return losses


def excess(workspace: Workspace, archive: str, manifest: Manifest, most: float) -> tuple[str, ...]:
    """Say, a line each, of what more was lost than a share of ``most``; nothing where all is well.

    Nor of an archive that was made before anyone looked at the share: it ends as it did.
    """
    if IngestFacts.of(manifest).reader == 1:
        return ()
    rows, rejected = manifest.counts["rows_in"], manifest.counts["rejected"]
    lines = []
    if rejected > most * rows:
        duplicates = rejection_reasons(workspace, archive, manifest).get(DUPLICATE, 0)
        line = f"{rejected:,} of {rows:,} rows rejected"
        if duplicates > most * rows:
            line += f", {duplicates:,} as duplicates: conversation_id and turn are no key of it"
        lines.append(line)
    lines += [
        f"{count:,} of {manifest.rows:,} times in {column} not readable"
        for column, count in column_losses(manifest)[UNREADABLE].items()
        if count > most * manifest.rows
    ]
    return tuple(lines)
